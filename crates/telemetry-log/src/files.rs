//! Files and directories: private to the owner, and their names durable.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::error::at;
use crate::limits::FREE_BYTES_MIN;

/// What the writer does to a segment's file; a seam for tests of failing disks.
pub(crate) trait Disk: Send + Sync {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()>;
    fn sync(&self, file: &File) -> io::Result<()>;
}

/// The disk itself.
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let disk = rustix::fs::fstatvfs(&*file)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let wanted = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if free < kept_free(disk.f_blocks.saturating_mul(disk.f_frsize)).saturating_add(wanted) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

/// Bytes of a disk that telemetry leaves to others: a device that fills it must not keep an operator
/// from shutting it out.
fn kept_free(disk_bytes: u64) -> u64 {
    FREE_BYTES_MIN.min(disk_bytes / 8)
}

/// Makes a directory, mode 0700, and its parents, unless it is there.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(at(path))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(path).and_then(|directory| directory.sync_all()).map_err(at(path))
    } else {
        Ok(())
    }
}

/// How files are made and opened for writing, mode 0600.
pub(crate) fn writable() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes a small file so that a crash leaves it whole or absent.
pub(crate) fn write_whole(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    let (draft, path) = (directory.join(format!("{name}.new")), directory.join(name));
    let mut file = writable().create(true).truncate(true).open(&draft).map_err(at(&draft))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(at(&draft))?;
    fs::rename(&draft, &path).map_err(at(&path))?;
    sync_directory(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telemetry_leaves_room_on_large_disks_and_on_small_ones() {
        const MIB: u64 = 1024 * 1024;
        assert_eq!(kept_free(1_000_000 * MIB), 64 * MIB);
        assert_eq!(kept_free(512 * MIB), 64 * MIB);
        assert_eq!(kept_free(24 * MIB), 3 * MIB);
    }
}
