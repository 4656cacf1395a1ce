//! The issuers whose bearer tokens are taken, by a file that counts as it is at each call.

mod read;
#[cfg(test)]
mod tests;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use attestation::bearer::{Issuer, KeySet};
use gateway::issuers::{Issuers, Location, Remote, Rhythm};

use read::{Keys, Read};

/// Every fault of the file and of the files that it names.
pub(crate) fn faults(file: Option<&PathBuf>) -> Vec<String> {
    file.map(|file| read::read(file).1.err().unwrap_or_default()).unwrap_or_default()
}

/// The file, and what was last read of it.
pub(crate) struct Watched {
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of the file and of those that it names.
    seen: Vec<(PathBuf, Option<Stamp>)>,
    trusted: Vec<(Issuer, Option<Arc<Asked>>)>,
    faults: Vec<String>,
}

/// An issuer that is asked for its keys.
struct Asked {
    location: Location,
    ca: Option<(PathBuf, Option<Stamp>)>,
    remote: Remote,
}

/// Tells a file from what it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

fn stamp(file: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(file).ok()?;
    Some(Stamp {
        inode: found.ino(),
        bytes: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

impl Watched {
    /// Reads the file; must be called within a runtime, where issuers are asked for their keys.
    pub(crate) fn new(file: PathBuf) -> Self {
        let own = Self { file, state: Mutex::default() };
        drop(own.current());
        own
    }

    fn state(&self) -> MutexGuard<'_, State> {
        match self.state.lock() {
            Ok(state) => state,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// What the file says now. To look is a few calls of `stat`, at most at each bearer's call, and
    /// what lets a removed issuer's tokens fail at once.
    fn current(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        if state.is_as_seen() {
            return state;
        }
        state.read(&self.file);
        // What is named for the first time was not looked at before it was read.
        if !state.is_as_seen() {
            state.read(&self.file);
        }
        match &state.faults {
            faults if faults.is_empty() => {
                tracing::info!(issuers = state.trusted.len(), "{} counts", self.file.display());
            }
            faults => tracing::error!(
                "no bearer token is taken until {} is mended: {}",
                self.file.display(),
                faults.join("; ")
            ),
        }
        state
    }
}

/// An issuer that is asked already goes on being asked.
fn trusted(read: Read, before: &[(Issuer, Option<Arc<Asked>>)]) -> (Issuer, Option<Arc<Asked>>) {
    let Read { mut issuer, keys } = read;
    let (location, ca, tls) = match keys {
        Keys::File(keys) => {
            issuer.keys = Arc::new(keys);
            return (issuer, None);
        }
        Keys::Asked { location, ca, tls } => (location, ca, tls),
    };
    let ca = ca.map(|file| (file.clone(), stamp(&file)));
    let same = before.iter().find_map(|(_, asked)| {
        asked.as_ref().filter(|asked| asked.location == location && asked.ca == ca)
    });
    let asked = same.cloned().unwrap_or_else(|| {
        let remote = Remote::start(&issuer.issuer, location.clone(), tls, Rhythm::default());
        Arc::new(Asked { location, ca, remote })
    });
    (issuer, Some(asked))
}

impl State {
    fn is_as_seen(&self) -> bool {
        !self.seen.is_empty() && self.seen.iter().all(|(file, seen)| stamp(file) == *seen)
    }

    fn read(&mut self, file: &Path) {
        // The stamps are taken first: what changes while it is read is read again.
        let own = (file.to_owned(), stamp(file));
        let known: Vec<_> =
            self.seen.iter().skip(1).map(|(file, _)| (file.clone(), stamp(file))).collect();
        let (named, read) = read::read(file);
        let seen = named.into_iter().map(|named| {
            let before = known.iter().find(|(file, _)| *file == named).and_then(|known| known.1);
            (named, before)
        });
        self.seen = std::iter::once(own).chain(seen).collect();
        let before = std::mem::take(&mut self.trusted);
        // With a fault nobody is trusted: who was before may be whom the change was about.
        let (read, faults) = match read {
            Ok(read) => (read, Vec::new()),
            Err(faults) => (Vec::new(), faults),
        };
        self.trusted = read.into_iter().map(|one| trusted(one, &before)).collect();
        self.faults = faults;
    }
}

impl Issuers for Watched {
    fn trusted(&self) -> Arc<Vec<Issuer>> {
        let state = self.current();
        let now = |(issuer, asked): &(Issuer, Option<Arc<Asked>>)| match asked {
            Some(asked) => Issuer { keys: asked.remote.keys(), ..issuer.clone() },
            None => issuer.clone(),
        };
        Arc::new(state.trusted.iter().map(now).collect())
    }

    fn unknown_key(&self, issuer: &str) {
        let state = self.state();
        let named = state.trusted.iter().find(|(known, _)| known.issuer == issuer);
        if let Some((_, Some(asked))) = named {
            asked.remote.want();
        }
    }
}

/// No keys yet.
fn unknown() -> Arc<KeySet> {
    Arc::default()
}
