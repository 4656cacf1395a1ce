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
use crate::{files, home};

/// Where files are put until all of them are verified.
const STAGING: &str = ".restoring";

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

/// Removes what was staged, and the directory if it was made for it.
struct Staging {
    dir: PathBuf,
    made: Option<PathBuf>,
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
        if let Some(made) = &self.made {
            // Refused by the system unless it is empty.
            let _ = fs::remove_dir(made);
        }
    }
}

/// Restores a backup into a data directory that is empty or not there.
pub(crate) fn restore(data_dir: &Path, args: &RestoreArgs) -> Result<Done> {
    let there = data_dir.exists();
    if there && fs::read_dir(data_dir)?.next().is_some() {
        bail!(
            "{} is not empty, and a restore overwrites nothing: name an empty directory with \
             --data-dir, or move this one away",
            data_dir.display()
        );
    }
    let archive = File::open(&args.from)
        .with_context(|| format!("can not open the backup {}", args.from.display()))?;
    files::private_dir(data_dir)?;
    let dir = data_dir.join(STAGING);
    let staging = Staging { dir, made: (!there).then(|| data_dir.to_path_buf()) };
    files::private_dir(&staging.dir)?;
    let mut source = Source { archive: BufReader::new(archive), at: 0 };
    let manifest = source.all(&staging.dir).with_context(|| {
        format!(
            "{} can not be restored, and nothing was changed; use another backup or fetch this \
             one again",
            args.from.display()
        )
    })?;
    // The database last: a directory without it is not taken for a whole one.
    for name in tops(&manifest) {
        fs::rename(staging.dir.join(&name), data_dir.join(&name))
            .with_context(|| format!("can not move {name} into {}", data_dir.display()))?;
    }
    File::open(data_dir)?.sync_all()?;
    Ok(Done::of(data_dir, &manifest))
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
