//! `muster backup` and `muster restore`: one file with everything that a server must not lose.
//!
//! The file is a plain tar archive: `manifest.json`, the manifest's SHA-256, then the files that
//! the manifest lists with size and SHA-256. Every byte of it is fixed by the manifest
//! ([`archive`]), so that any byte that differs is found, and told.

mod archive;
mod manifest;
mod restore;

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use model::Timestamp;
use serde_json::{Value, json};
use service::Clock;

use crate::environment::SystemClock;
use crate::{admin, home};
use manifest::{Entry, Hasher, Manifest};

pub(crate) use restore::{RestoreArgs, restore};

/// Flags of `backup`.
#[derive(Args)]
pub(crate) struct BackupArgs {
    /// The file to write; it may not exist.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Telemetry as well, which may be large.
    #[arg(long)]
    with_telemetry: bool,
    /// The configuration file, for the data directory [default: muster.toml, if there is one].
    #[arg(long, env = "MUSTER_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// What was written, and where.
pub(crate) struct Done {
    to: PathBuf,
    files: usize,
    bytes: u64,
    /// When what a restore brings back was saved.
    as_of: Option<Timestamp>,
}

impl Done {
    fn of(to: &Path, manifest: &Manifest) -> Self {
        let (files, bytes) = (manifest.files.len(), manifest.bytes());
        Self { to: to.to_path_buf(), files, bytes, as_of: None }
    }

    /// For a person.
    pub(crate) fn line(&self) -> String {
        let done = format!("{}: {} files, {} bytes", self.to.display(), self.files, self.bytes);
        match self.as_of {
            Some(made) => format!(
                "{done}, as of {made}: whatever was disabled, deleted, rolled or revoked since then \
                 is allowed again"
            ),
            None => done,
        }
    }

    /// For a program.
    pub(crate) fn value(&self) -> Value {
        let to = self.to.display().to_string();
        match self.as_of {
            Some(made) => json!({
                "to": to, "files": self.files, "bytes": self.bytes, "asOf": made.to_string()
            }),
            None => json!({"to": to, "files": self.files, "bytes": self.bytes}),
        }
    }
}

/// Removes a file that was not finished.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Writes a backup of a data directory; the server may run meanwhile.
pub(crate) fn backup(data_dir: &Path, args: &BackupArgs) -> Result<Done> {
    let control = data_dir.join(home::CONTROL);
    if !control.exists() {
        bail!(
            "{} holds no data to back up: there is no {}; name the server's data directory with \
             --data-dir",
            data_dir.display(),
            home::CONTROL
        );
    }
    if args.to.exists() {
        bail!("{} is there already; name a new file with --to", args.to.display());
    }
    let copy = Unfinished(beside(&args.to, ".control"));
    let _ = fs::remove_file(&copy.0);
    store_sqlite::backup(&control, &copy.0).context("can not copy the database")?;
    let mut sources = vec![(home::CONTROL.to_owned(), copy.0.clone())];
    if data_dir.join(admin::FILE).exists() {
        sources.push((admin::FILE.to_owned(), data_dir.join(admin::FILE)));
    }
    walk(data_dir, home::PKI, &mut sources)?;
    if args.with_telemetry {
        walk(data_dir, home::TELEMETRY, &mut sources)?;
    }
    let manifest = Manifest::new(SystemClock.now(), described(&sources)?);
    let part = Unfinished(beside(&args.to, ".part"));
    let _ = fs::remove_file(&part.0);
    write(&part.0, &manifest, &sources)
        .with_context(|| format!("can not write {}", part.0.display()))?;
    fs::rename(&part.0, &args.to)
        .with_context(|| format!("can not write {}", args.to.display()))?;
    Ok(Done::of(&args.to, &manifest))
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Adds the files under a directory of the data directory, in the order of their names.
fn walk(data_dir: &Path, under: &str, found: &mut Vec<(String, PathBuf)>) -> Result<()> {
    let dir = data_dir.join(under);
    let cannot = || format!("can not read {}", dir.display());
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries.collect::<Result<Vec<_>, _>>().with_context(cannot)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(cannot),
    };
    let mut entries: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{} has no plain name", path.display()))?;
        let inside = format!("{under}/{name}");
        match path.is_dir() {
            true => walk(data_dir, &inside, found)?,
            // Locks and files that are being written.
            false if name.starts_with('.') || name.ends_with(".new") => {}
            false => found.push((inside, path)),
        }
    }
    Ok(())
}

/// Sizes and hashes as they are now; a segment that grows meanwhile is kept up to this size.
fn described(sources: &[(String, PathBuf)]) -> Result<Vec<Entry>> {
    let mut entries = Vec::with_capacity(sources.len());
    for (name, path) in sources {
        let cannot = || format!("can not read {}", path.display());
        let file = File::open(path).with_context(cannot)?;
        let size = file.metadata().with_context(cannot)?.len();
        let mut hasher = Hasher::new();
        let read = std::io::copy(&mut BufReader::new(file).take(size), &mut hasher);
        if read.with_context(cannot)? != size {
            bail!("{} became shorter while it was read; try again", path.display());
        }
        archive::header(name, size).with_context(|| format!("can not keep {name}"))?;
        entries.push(Entry { name: name.clone(), size, sha256: hasher.hex() });
    }
    Ok(entries)
}

fn write(part: &Path, manifest: &Manifest, sources: &[(String, PathBuf)]) -> Result<()> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(part)?;
    let mut out = BufWriter::new(file);
    let (text, sum) = manifest.written()?;
    archive::append(&mut out, manifest::NAME, size_of(&text)?, text.as_slice())?;
    archive::append(&mut out, manifest::SUM_NAME, size_of(&sum)?, sum.as_slice())?;
    for (entry, (_, path)) in manifest.files.iter().zip(sources) {
        let file = BufReader::new(File::open(path)?);
        archive::append(&mut out, &entry.name, entry.size, file)?;
    }
    out.write_all(&archive::END)?;
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    Ok(())
}

fn size_of(bytes: &[u8]) -> Result<u64> {
    Ok(u64::try_from(bytes.len())?)
}
