//! Where a server's files are: a data directory, or a place for the two that a client needs.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use service::Entropy;

use crate::pki::Keys;
use crate::{admin, certificates, files};

/// The database in a data directory.
pub(crate) const CONTROL: &str = "control.db";
/// The directory of the CA in a data directory.
pub(crate) const PKI: &str = "pki";
/// The directory of telemetry in a data directory.
pub(crate) const TELEMETRY: &str = "telemetry";

/// Where a restore puts files until all of them are verified; the last one that it moves out is
/// the database.
pub(crate) const STAGING: &str = ".restoring";
/// There as long as a fixture is put into the database: nobody was served from it yet.
const FILLING: &str = ".filling";

/// How long what the server is told lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Until it is deleted.
    Kept,
    /// Until the server ends.
    Ephemeral,
}

/// Where a server's files are.
#[derive(Debug)]
pub(crate) struct Home {
    /// `admin.json` is here.
    pub(crate) dir: PathBuf,
    /// `ca.pem` is here.
    pub(crate) pki: PathBuf,
    /// Where the private keys are.
    pub(crate) keys: Keys,
    at_end: AtEnd,
    /// Of an ephemeral server in a directory that is named; a database has its own.
    _lock: Option<File>,
}

#[derive(Debug, PartialEq, Eq)]
enum AtEnd {
    Stay,
    Remove,
}

impl Home {
    /// A data directory, made where there is none.
    ///
    /// # Errors
    /// One that has lost its database, or that a start with a fixture has not finished.
    pub(crate) fn kept(dir: &Path) -> Result<Self> {
        files::private_dir(dir)?;
        whole(dir)?;
        Ok(Self::at(dir))
    }

    fn at(dir: &Path) -> Self {
        let pki = dir.join(PKI);
        Self { dir: dir.to_path_buf(), pki, keys: Keys::InFiles, at_end: AtEnd::Stay, _lock: None }
    }

    /// A place for `admin.json` and `ca.pem` alone: the directory that is named, else one that is
    /// removed at the end.
    pub(crate) fn ephemeral(named: Option<&Path>, entropy: &dyn Entropy) -> Result<Self> {
        let (dir, at_end, lock) = match named {
            Some(dir) => {
                if has_data(dir) {
                    bail!(
                        "{} holds the data of a server that is not ephemeral; name another \
                         directory with --data-dir, or none",
                        dir.display()
                    );
                }
                files::private_dir(dir)?;
                (dir.to_path_buf(), AtEnd::Stay, Some(lock(dir)?))
            }
            None => (temporary(entropy)?, AtEnd::Remove, None),
        };
        Ok(Self { pki: dir.clone(), dir, keys: Keys::InMemory, at_end, _lock: lock })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.at_end == AtEnd::Remove {
            // Ours alone: made under a random name, with these files.
            let _ = fs::remove_file(self.dir.join(admin::FILE));
            let _ = fs::remove_file(self.pki.join("ca.pem"));
            let _ = fs::remove_file(self.pki.join(certificates::TRUSTED));
            let _ = fs::remove_dir(&self.dir);
        }
    }
}

/// Whether a directory holds the data of a server.
pub(crate) fn has_data(dir: &Path) -> bool {
    [CONTROL, PKI, TELEMETRY, STAGING, FILLING].iter().any(|name| dir.join(name).exists())
}

/// Whether a directory is new, or has all that it had: a server that began anew beside keys or
/// telemetry would have forgotten every enrollment.
fn whole(dir: &Path) -> Result<()> {
    if dir.join(FILLING).exists() {
        bail!(
            "{} was not filled to the end by the fixture that it was begun with: start with \
             --fixture (MUSTER_FIXTURE) once more, or remove the directory",
            dir.display()
        );
    }
    let has_database = fs::metadata(dir.join(CONTROL)).is_ok_and(|found| found.len() > 0);
    let found = [STAGING, PKI, TELEMETRY].into_iter().find(|name| dir.join(name).exists());
    match found {
        Some(STAGING) if !has_database => {
            bail!("a restore into {} was cut off: run muster restore once more", dir.display())
        }
        Some(found) if !has_database => bail!(
            "{} has {found} and no {CONTROL}, or an empty one, and a start would begin without \
             all that was in it: put {CONTROL} back, or restore a backup into another directory; \
             to begin anew, move this one away",
            dir.display()
        ),
        Some(_) | None => Ok(()),
    }
}

/// Whether a fixture may be put into a directory: there is no data, or that of a start with a
/// fixture that was cut off.
///
/// # Errors
/// One with data.
pub(crate) fn fillable(dir: &Path) -> Result<()> {
    if has_data(dir) && !dir.join(FILLING).exists() {
        bail!(
            "{} is not empty, and a fixture is for a first start alone: leave --fixture \
             (MUSTER_FIXTURE) away, or name an empty directory with --data-dir",
            dir.display()
        );
    }
    Ok(())
}

/// A data directory that a fixture is put into, until that is [finished](Filling::finish).
#[derive(Debug)]
pub(crate) struct Filling<'d>(&'d Path);

impl<'d> Filling<'d> {
    /// Begins, in a directory that is [`fillable`]; what a start that was cut off has put into the
    /// database goes.
    ///
    /// # Errors
    /// A directory that is not, or can not be written to.
    pub(crate) fn begin(dir: &'d Path) -> Result<Self> {
        fillable(dir)?;
        files::private_dir(dir)?;
        files::write_private(&dir.join(FILLING), b"")?;
        for suffix in ["", "-wal", "-shm"] {
            let file = dir.join(format!("{CONTROL}{suffix}"));
            if file.exists() {
                fs::remove_file(&file)
                    .with_context(|| format!("can not remove {}", file.display()))?;
            }
        }
        Ok(Self(dir))
    }

    /// All of the fixture is in the database; durable before anybody is served from it, since it
    /// would be begun once more else.
    ///
    /// # Errors
    /// The marker can not be removed.
    pub(crate) fn finish(self) -> Result<()> {
        let marker = self.0.join(FILLING);
        let removed = fs::remove_file(&marker).and_then(|()| files::sync_dir(self.0));
        removed.with_context(|| format!("can not remove {}", marker.display()))
    }

    /// Where the files are.
    pub(crate) fn home(&self) -> Home {
        Home::at(self.0)
    }
}

/// Says that this process alone writes `admin.json` and `ca.pem` there, as long as it lives.
fn lock(dir: &Path) -> Result<File> {
    let opened = File::open(dir).with_context(|| format!("can not open {}", dir.display()))?;
    match opened.try_lock() {
        Ok(()) => Ok(opened),
        Err(TryLockError::WouldBlock) => bail!(
            "another ephemeral server is running on {}: stop it, or name another directory with \
             --data-dir, or none",
            dir.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("can not lock {}", dir.display()))
        }
    }
}

fn temporary(entropy: &dyn Entropy) -> Result<PathBuf> {
    let mut bytes = [0_u8; 8];
    entropy.fill(&mut bytes);
    let dir = std::env::temp_dir().join(format!("muster-{:016x}", u64::from_be_bytes(bytes)));
    // Not recursive, so that a name that somebody else has taken is refused.
    let made = fs::DirBuilder::new().mode(0o700).create(&dir);
    made.with_context(|| format!("can not make the directory {}", dir.display()))?;
    Ok(dir)
}
