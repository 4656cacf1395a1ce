//! What can be wrong with the files.

use std::fmt;
use std::io;
use std::path::PathBuf;

use store::telemetry::TelemetryError;

use crate::record::DecodeError;

/// A segment does not hold what it should at a place; found as the source of an
/// [`io::Error`] of kind `InvalidData`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// The file.
    pub segment: PathBuf,
    /// Bytes from the file's start to the record.
    pub offset: u64,
    /// The sequence that belongs there.
    pub sequence: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No record has this length.
    Length,
    /// The file ends inside it.
    Cut,
    /// It is not as it was written.
    Checksum,
    /// It belongs elsewhere: this sequence was found.
    Sequence(u64),
    /// It is whole, but its form is not known.
    Payload(DecodeError),
    /// The segment that should begin here is not there.
    Missing,
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment, offset, sequence, fault } = self;
        let segment = segment.display();
        write!(f, "record {sequence} at byte {offset} of {segment} ")?;
        match fault {
            Fault::Length => f.write_str("has an impossible length"),
            Fault::Cut => f.write_str("ends with the file"),
            Fault::Checksum => f.write_str("fails its checksum"),
            Fault::Sequence(found) => write!(f, "says that it is record {found}"),
            Fault::Payload(error) => error.fmt(f),
            Fault::Missing => f.write_str("is in no file"),
        }
    }
}

impl std::error::Error for Corrupt {}

impl From<Corrupt> for io::Error {
    fn from(corrupt: Corrupt) -> Self {
        Self::new(io::ErrorKind::InvalidData, corrupt)
    }
}

/// Whether there is no room, as against a disk that fails.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub(crate) fn refusal(error: io::Error) -> TelemetryError {
    if is_full(&error) { TelemetryError::Full } else { TelemetryError::Unavailable(error) }
}

/// The same error once more, for another caller.
pub(crate) fn again(error: &io::Error) -> io::Error {
    if let Some(corrupt) = error.get_ref().and_then(|inner| inner.downcast_ref::<Corrupt>()) {
        return corrupt.clone().into();
    }
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// Says at which path an operation failed; keeps the kind.
pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> io::Error {
    let path = path.display().to_string();
    move |error| {
        if error.get_ref().is_some_and(|inner| inner.is::<Corrupt>()) {
            return error;
        }
        io::Error::new(error.kind(), format!("{path}: {error}"))
    }
}
