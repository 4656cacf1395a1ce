//! Files of the data directory: written whole, secrets with mode 0600.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result};

/// Makes a directory that its owner alone can enter, unless it is there.
pub(crate) fn private_dir(dir: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("can not make the directory {}", dir.display()))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Writes a file that its owner alone can read.
pub(crate) fn write_private(file: &Path, bytes: &[u8]) -> Result<()> {
    write(file, bytes, 0o600)
}

/// Writes a file that everyone can read.
pub(crate) fn write_public(file: &Path, bytes: &[u8]) -> Result<()> {
    write(file, bytes, 0o644)
}

/// Through a new file beside it, so that a crash leaves the old one or the new one.
///
/// One that stands there already is left alone: a server must start on a disk that is full.
fn write(file: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    if stands(file, bytes, mode) {
        return Ok(());
    }
    let fresh = file.with_extension("new");
    let write = || -> std::io::Result<()> {
        if let Err(error) = fs::remove_file(&fresh)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        opened.write_all(bytes)?;
        opened.sync_all()?;
        fs::rename(&fresh, file)?;
        match file.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => sync_dir(dir),
            Some(_) | None => Ok(()),
        }
    };
    write().with_context(|| format!("can not write {}", file.display()))
}

fn stands(file: &Path, bytes: &[u8], mode: u32) -> bool {
    let as_wanted = |found: fs::Metadata| found.permissions().mode() & 0o777 == mode;
    fs::metadata(file).is_ok_and(as_wanted) && fs::read(file).is_ok_and(|found| found == bytes)
}
