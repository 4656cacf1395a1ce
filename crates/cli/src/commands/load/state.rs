//! How far a load has come, beside its file: what makes it resumable.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};

/// The form of the file; another one is not resumed.
const VERSION: u32 = 1;

/// How far a load has come. Everything before is acknowledged and in the report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct State {
    version: u32,
    /// The host of the service.
    pub(super) service: String,
    /// Entries that are done with.
    pub(super) records: u64,
    /// The hash of these entries, in the file.
    pub(super) digest: String,
    /// Bytes of the report about them.
    pub(super) report_bytes: u64,
    /// What became of them.
    pub(super) counts: Counts,
}

/// What became of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Counts {
    pub(super) created: u64,
    pub(super) replaced: u64,
    pub(super) unchanged: u64,
    pub(super) skipped: u64,
    pub(super) refused: u64,
}

impl Counts {
    /// All of them.
    pub(super) const fn all(&self) -> u64 {
        self.created + self.replaced + self.unchanged + self.skipped + self.refused
    }
}

impl State {
    /// A load that begins.
    pub(super) fn of(service: &str) -> Self {
        Self { version: VERSION, service: service.to_owned(), ..Self::default() }
    }

    /// Where the state of a load of this file is.
    pub(super) fn path(file: &Path) -> PathBuf {
        let mut name = file.as_os_str().to_owned();
        name.push(".load-state.json");
        PathBuf::from(name)
    }

    /// Reads the state that an earlier load left; none where there is none.
    pub(super) fn read(path: &Path, service: &str) -> Result<Option<Self>> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::file("read", path, &error)),
        };
        let state = serde_json::from_slice::<Self>(&text).ok().filter(|state| {
            state.version == VERSION && state.service.eq_ignore_ascii_case(service)
        });
        match state {
            Some(state) => Ok(Some(state)),
            None => Err(Failure::new(format!(
                "{} is of another program or of another service than {service}",
                path.display()
            ))
            .hint("load without --resume: what is there already stays as it is")),
        }
    }

    /// Writes it in one step, so that a kill leaves this one or the one before.
    pub(super) fn write(&self, path: &Path) -> Result {
        let text = serde_json::to_vec(self)
            .map_err(|error| Failure::new(format!("can not write {}: {error}", path.display())))?;
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let fresh = PathBuf::from(name);
        fs::write(&fresh, text)
            .and_then(|()| fs::rename(&fresh, path))
            .map_err(|error| Failure::file("write", path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_of_one_service_and_one_form() {
        let dir = tempfile::tempdir().unwrap();
        let path = State::path(&dir.path().join("f.csv"));
        assert!(State::read(&path, "dps.localhost").unwrap().is_none());
        let state = State { records: 7, digest: "ab".to_owned(), ..State::of("dps.localhost") };
        state.write(&path).unwrap();
        assert_eq!(State::read(&path, "DPS.localhost").unwrap(), Some(state));
        assert!(State::read(&path, "other.localhost").is_err());
        fs::write(&path, "{\"version\":1").unwrap();
        assert!(State::read(&path, "dps.localhost").is_err());
    }
}
