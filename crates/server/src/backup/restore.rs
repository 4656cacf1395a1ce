//! Out of a backup into an empty directory; nothing is moved in place before all is verified.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::Done;
use super::archive::{self, BLOCK, END};
use super::manifest::{self, Entry, Hasher, Manifest};
use crate::{admin, files, home};

/// Flags of `restore`; the data directory is an option of every command.
#[derive(Args)]
pub(crate) struct RestoreArgs {
    /// The backup.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The configuration file, for the data directory [default: muster.toml, if there is one].
    #[arg(long, env = "MUSTER_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Removes what was staged, and the directory if it was made for it. While some of it is moved
/// already it stays, as the mark of a restore that another one finishes.
struct Staging {
    dir: PathBuf,
    made: Option<PathBuf>,
    stays: bool,
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        let _ = fs::remove_dir_all(&self.dir);
        if let Some(made) = &self.made {
            // Refused by the system unless it is empty.
            let _ = fs::remove_dir(made);
        }
    }
}

/// Restores a backup into a data directory that is empty, not there, or as a restore left it that
/// was cut off.
pub(crate) fn restore(data_dir: &Path, args: &RestoreArgs) -> Result<Done> {
    let there = data_dir.exists();
    let found = if there { names(data_dir)? } else { Vec::new() };
    if !found.is_empty() && !is_cut_off(&found) {
        bail!(
            "{} is not empty, and a restore overwrites nothing: name an empty directory with \
             --data-dir, or move this one away",
            data_dir.display()
        );
    }
    let archive = File::open(&args.from)
        .with_context(|| format!("can not open the backup {}", args.from.display()))?;
    files::private_dir(data_dir)?;
    let dir = data_dir.join(home::STAGING);
    let made = (!there).then(|| data_dir.to_path_buf());
    let mut staging = Staging { dir, made, stays: !found.is_empty() };
    if staging.dir.exists() {
        fs::remove_dir_all(&staging.dir)
            .with_context(|| format!("can not remove {}", staging.dir.display()))?;
    }
    files::private_dir(&staging.dir)?;
    let mut source = Source { archive: BufReader::new(archive), at: 0 };
    let manifest = source.all(&staging.dir).with_context(|| {
        format!(
            "{} can not be restored, and nothing was changed; use another backup or fetch this \
             one again",
            args.from.display()
        )
    })?;
    sync_dirs(&staging.dir)?;
    staging.stays = true;
    // The database last: a directory without it is not taken for a whole one.
    for name in tops(&manifest) {
        move_in(&staging.dir.join(&name), &data_dir.join(&name))
            .with_context(|| format!("can not move {name} into {}", data_dir.display()))?;
        files::sync_dir(data_dir)?;
    }
    staging.stays = false;
    if let Some(parent) = data_dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        files::sync_dir(parent)?;
    }
    Ok(Done { as_of: Some(manifest.made), ..Done::of(data_dir, &manifest) })
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let name = |entry: io::Result<fs::DirEntry>| {
        Ok::<_, io::Error>(entry?.file_name().to_string_lossy().into_owned())
    };
    let names = fs::read_dir(dir).and_then(|entries| entries.map(name).collect());
    names.with_context(|| format!("can not read {}", dir.display()))
}

/// Whether nothing is there but what a restore leaves that was cut off: what it had staged, and
/// what it had moved, which is never the database.
fn is_cut_off(found: &[String]) -> bool {
    let of_restore = [home::STAGING, admin::FILE, home::PKI, home::TELEMETRY];
    found.iter().any(|name| name == home::STAGING)
        && found.iter().all(|name| of_restore.contains(&name.as_str()))
}

/// Moves a file or directory in the place of one that an earlier try has moved there.
fn move_in(from: &Path, to: &Path) -> io::Result<()> {
    if to.is_dir() {
        fs::remove_dir_all(to)?;
    }
    fs::rename(from, to)
}

/// Makes the names in a directory and in those below it durable.
fn sync_dirs(dir: &Path) -> Result<()> {
    let cannot = || format!("can not write {}", dir.display());
    for entry in fs::read_dir(dir).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        if path.is_dir() {
            sync_dirs(&path)?;
        }
    }
    files::sync_dir(dir).with_context(cannot)
}

/// The names directly in the data directory, the database last.
fn tops(manifest: &Manifest) -> Vec<String> {
    let top = |entry: &Entry| entry.name.split('/').next().unwrap_or_default().to_owned();
    let mut tops: Vec<String> = manifest.files.iter().map(top).collect();
    tops.sort_by_key(|name| (name == home::CONTROL, name.clone()));
    tops.dedup();
    tops
}

/// An archive and how far it was read, in bytes.
struct Source {
    archive: BufReader<File>,
    at: u64,
}

impl Source {
    fn all(&mut self, into: &Path) -> Result<Manifest> {
        let manifest = self.manifest()?;
        for entry in &manifest.files {
            self.file(entry, into)?;
        }
        let at = self.at;
        let mut end = Vec::new();
        (&mut self.archive).take(2 * 1024 + 1).read_to_end(&mut end)?;
        if end != END {
            bail!("byte {at}: the archive does not end as it should: truncated or changed");
        }
        Ok(manifest)
    }

    fn manifest(&mut self) -> Result<Manifest> {
        let block = self.block(manifest::NAME)?;
        let size = archive::size_in(&block).filter(|size| *size <= manifest::BYTES_MAX);
        let Some(size) = size.filter(|size| is_header(&block, manifest::NAME, *size)) else {
            bail!("byte 0: this is not a backup of Muster, or its beginning was changed");
        };
        let mut text = Vec::new();
        self.content(manifest::NAME, size, &mut text)?;
        let expected = manifest::sum_of(&text);
        let sum_size = u64::try_from(expected.len())?;
        self.header(manifest::SUM_NAME, sum_size)?;
        let mut sum = Vec::new();
        self.content(manifest::SUM_NAME, sum_size, &mut sum)?;
        if sum != expected {
            bail!("{}: its SHA-256 is not the one that was saved: it was changed", manifest::NAME);
        }
        let manifest: Manifest = serde_json::from_slice(&text).context(manifest::NAME)?;
        if manifest.format != manifest::FORMAT {
            bail!("{}: format {} is of a newer Muster", manifest::NAME, manifest.format);
        }
        Ok(manifest)
    }

    fn file(&mut self, entry: &Entry, into: &Path) -> Result<()> {
        let name = Path::new(&entry.name);
        let plain = name.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || entry.name.is_empty() {
            bail!("{}: {:?} is no path inside a data directory", manifest::NAME, entry.name);
        }
        self.header(&entry.name, entry.size)?;
        let path = into.join(name);
        if let Some(parent) = path.parent() {
            files::private_dir(parent)?;
        }
        let mode = if entry.name.ends_with("ca.pem") { 0o644 } else { 0o600 };
        let opened = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        let file = opened.with_context(|| format!("can not write {}", path.display()))?;
        let mut out = Both { file, hasher: Hasher::new() };
        self.content(&entry.name, entry.size, &mut out)?;
        out.file.sync_all()?;
        if out.hasher.hex() != entry.sha256 {
            let end = self.at;
            bail!(
                "{}, which ends at byte {end}: its SHA-256 is not the one that was saved: it was \
                 changed",
                entry.name
            );
        }
        Ok(())
    }

    fn header(&mut self, name: &str, size: u64) -> Result<()> {
        let at = self.at;
        let block = self.block(name)?;
        match is_header(&block, name, size) {
            true => Ok(()),
            false => bail!("byte {at}: the header of {name} was changed"),
        }
    }

    fn block(&mut self, name: &str) -> Result<[u8; BLOCK]> {
        let mut block = [0_u8; BLOCK];
        let at = self.at;
        self.archive
            .read_exact(&mut block)
            .with_context(|| format!("byte {at}: the backup ends before {name}: truncated"))?;
        self.at = at.saturating_add(512);
        Ok(block)
    }

    /// Copies a file's content and checks the zeros behind it.
    fn content(&mut self, name: &str, size: u64, out: &mut dyn Write) -> Result<()> {
        let copied = io::copy(&mut (&mut self.archive).take(size), out)?;
        self.at = self.at.saturating_add(copied);
        let at = self.at;
        let missing = size.saturating_sub(copied);
        if missing > 0 {
            bail!("byte {at}: the backup ends in {name}, {missing} bytes early: truncated");
        }
        let mut zeros = vec![0_u8; archive::padding(size)];
        self.archive
            .read_exact(&mut zeros)
            .with_context(|| format!("byte {at}: the backup ends behind {name}: truncated"))?;
        self.at = at.saturating_add(u64::try_from(zeros.len())?);
        match zeros.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => bail!("byte {at}: what follows {name} was changed"),
        }
    }
}

fn is_header(block: &[u8; BLOCK], name: &str, size: u64) -> bool {
    archive::header(name, size).is_ok_and(|expected| expected == *block)
}

/// Writes to a file and hashes.
struct Both {
    file: File,
    hasher: Hasher,
}

impl Write for Both {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.write_all(bytes.get(..written).unwrap_or_default())?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
