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
    pub(crate) fn kept(dir: &Path) -> Result<Self> {
        files::private_dir(dir)?;
        let pki = dir.join(PKI);
        Ok(Self {
            dir: dir.to_path_buf(),
            pki,
            keys: Keys::InFiles,
            at_end: AtEnd::Stay,
            _lock: None,
        })
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
    [CONTROL, PKI, TELEMETRY].iter().any(|name| dir.join(name).exists())
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
