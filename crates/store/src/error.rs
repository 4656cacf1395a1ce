//! What can go wrong with a store.

use std::fmt;

use crate::commit::Condition;

/// The store failed.
#[derive(Debug)]
pub struct StoreError {
    /// What was asked for.
    pub during: &'static str,
    /// The backend's own error.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store failed at {}", self.during)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}

/// A commit was not applied; nothing of it was.
#[derive(Debug)]
pub enum CommitError {
    /// A row that it rests on has changed: load again, decide again.
    Conflict(Condition),
    /// There is no room on the disk; what was acknowledged stays.
    Full,
    /// More commits wait than the bound allows: try again later.
    Busy,
    /// The store is away or broken.
    Unavailable(StoreError),
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(condition) => write!(f, "a row has changed meanwhile: {condition:?}"),
            Self::Full => f.write_str("the disk that holds the store is full"),
            Self::Busy => f.write_str("too many commits are waiting"),
            Self::Unavailable(_) => f.write_str("the store is unavailable"),
        }
    }
}

impl std::error::Error for CommitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unavailable(source) => Some(source),
            Self::Conflict(_) | Self::Full | Self::Busy => None,
        }
    }
}
