//! What can go wrong: opening, reading, and inside the writer.

use std::fmt;
use std::path::PathBuf;

use rusqlite::{ErrorCode, ffi};
use store::StoreError;

/// A store could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The file, its directory or its lock could not be made or opened.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process, or this one, has the store open already.
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// A newer program wrote the database: this one does not know its schema.
    TooNew {
        /// The version that was found.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// SQLite refused; the text says at what.
    Database {
        /// What was being done.
        during: &'static str,
        /// SQLite's own error.
        source: rusqlite::Error,
    },
    /// A thread could not be started.
    Thread(std::io::Error),
}

impl OpenError {
    pub(crate) fn database(during: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Database { during, source }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "{} can not be opened", path.display()),
            Self::InUse { path } => {
                write!(f, "{} is in use: another process has it open", path.display())
            }
            Self::TooNew { found, known } => write!(
                f,
                "the database has schema version {found}, written by a newer program; \
                 this one knows versions up to {known}"
            ),
            Self::Database { during, .. } => write!(f, "SQLite failed at {during}"),
            Self::Thread(_) => f.write_str("a thread of the store could not be started"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } | Self::Thread(source) => Some(source),
            Self::Database { source, .. } => Some(source),
            Self::InUse { .. } | Self::TooNew { .. } => None,
        }
    }
}

/// A statement failed, or a stored row is not what it should be.
#[derive(Debug)]
pub(crate) enum Fault {
    /// SQLite's own error.
    Sqlite(rusqlite::Error),
    /// A document can not be written or read.
    Document(serde_json::Error),
    /// A number does not fit its column, or a column its number.
    Number(std::num::TryFromIntError),
    /// A part of the store has stopped.
    Stopped(&'static str),
}

/// What a failed statement means for the commits that it was to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There is no room.
    Full,
    /// Another connection holds the lock.
    Busy,
    /// The disk or the file is broken: whatever is said after this may not be believed.
    Broken,
    /// This commit alone can not be written.
    Other,
}

impl Fault {
    pub(crate) const fn kind(&self) -> Kind {
        let Self::Sqlite(rusqlite::Error::SqliteFailure(error, _)) = self else {
            return Kind::Other;
        };
        // The log's index can not grow: the file system of the database is full.
        if error.extended_code == ffi::SQLITE_IOERR_SHMSIZE {
            return Kind::Full;
        }
        if matches!(error.code, ErrorCode::DiskFull) {
            return Kind::Full;
        }
        if matches!(error.code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) {
            return Kind::Busy;
        }
        let broken = matches!(
            error.code,
            ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::FileLockingProtocolFailed
        );
        if broken { Kind::Broken } else { Kind::Other }
    }

    /// The extended code of a broken constraint.
    pub(crate) const fn constraint(&self) -> Option<std::ffi::c_int> {
        match self {
            Self::Sqlite(rusqlite::Error::SqliteFailure(error, _))
                if matches!(error.code, ErrorCode::ConstraintViolation) =>
            {
                Some(error.extended_code)
            }
            Self::Sqlite(_) | Self::Document(_) | Self::Number(_) | Self::Stopped(_) => None,
        }
    }

    /// The fault as the port tells it.
    pub(crate) fn during(self, during: &'static str) -> StoreError {
        StoreError { during, source: Box::new(self) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(_) => f.write_str("SQLite failed"),
            Self::Document(_) => f.write_str("a stored document is not readable"),
            Self::Number(_) => f.write_str("a stored number is out of range"),
            Self::Stopped(part) => write!(f, "{part} has stopped"),
        }
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Sqlite(source) => Some(source),
            Self::Document(source) => Some(source),
            Self::Number(source) => Some(source),
            Self::Stopped(_) => None,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}
impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Document(error)
    }
}
impl From<std::num::TryFromIntError> for Fault {
    fn from(error: std::num::TryFromIntError) -> Self {
        Self::Number(error)
    }
}
