//! Why a call was not done.

use std::fmt;

use attestation::network::Refused;
use attestation::tpm::SealError;
use attestation::x509::issuing::IssueError;
use hub::twin::TwinError;
use provisioning::draft::DraftError;
use store::{CommitError, StoreError};

/// We failed; the caller can do nothing about it but try again.
#[derive(Debug)]
pub enum Fault {
    /// Others wrote the same rows faster, again and again.
    Contended,
    /// The disk is full.
    Full,
    /// Too many commits are waiting.
    Busy,
    /// The store is away or broken.
    Unavailable(StoreError),
    /// A key could not be wrapped for a TPM.
    Seal(SealError),
    /// A certificate could not be signed.
    Issue(IssueError),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contended => f.write_str("others kept changing what the call rests on"),
            Self::Full => f.write_str("the disk that holds the store is full"),
            Self::Busy => f.write_str("too many calls are waiting"),
            Self::Unavailable(_) => f.write_str("the store is unavailable"),
            Self::Seal(_) => f.write_str("a key could not be wrapped for a TPM"),
            Self::Issue(_) => f.write_str("a certificate could not be signed"),
        }
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unavailable(source) => Some(source),
            Self::Seal(source) => Some(source),
            Self::Issue(source) => Some(source),
            Self::Contended | Self::Full | Self::Busy => None,
        }
    }
}

impl From<SealError> for Fault {
    fn from(source: SealError) -> Self {
        Self::Seal(source)
    }
}

impl From<IssueError> for Fault {
    fn from(source: IssueError) -> Self {
        Self::Issue(source)
    }
}

impl From<IssueError> for ApiError {
    fn from(source: IssueError) -> Self {
        Self::Fault(Fault::Issue(source))
    }
}

impl From<StoreError> for Fault {
    fn from(source: StoreError) -> Self {
        Self::Unavailable(source)
    }
}

/// Why an operator's call was refused.
#[derive(Debug)]
pub enum ApiError {
    /// There is no such row.
    NotFound,
    /// There is one already, and nothing was said of replacing it.
    AlreadyExists,
    /// The row is not at the version that was demanded.
    PreconditionFailed,
    /// The request breaks a rule of enrollments.
    Draft(DraftError),
    /// The request breaks a rule of device identities.
    DeviceDraft(hub::draft::DraftError),
    /// The request breaks a rule of twins.
    Twin(TwinError),
    /// The request breaks another rule; says what, where, how to mend it.
    Invalid(String),
    /// A count may not grow further.
    QuotaReached {
        /// What is counted.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// It would take the service API from the address that asks for it.
    ShutsOut(Refused),
    /// We failed.
    Fault(Fault),
}

impl From<StoreError> for ApiError {
    fn from(source: StoreError) -> Self {
        Self::Fault(source.into())
    }
}

impl From<DraftError> for ApiError {
    fn from(source: DraftError) -> Self {
        Self::Draft(source)
    }
}

impl From<hub::draft::DraftError> for ApiError {
    fn from(source: hub::draft::DraftError) -> Self {
        Self::DeviceDraft(source)
    }
}

impl From<TwinError> for ApiError {
    fn from(source: TwinError) -> Self {
        Self::Twin(source)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is no such row"),
            Self::AlreadyExists => f.write_str("it exists already"),
            Self::PreconditionFailed => f.write_str("it is not at the version that was demanded"),
            Self::Draft(error) => write!(f, "{error}"),
            Self::DeviceDraft(error) => write!(f, "{error}"),
            Self::Twin(error) => write!(f, "{error}"),
            Self::Invalid(because) => f.write_str(because),
            Self::QuotaReached { what, max } => write!(f, "there are {max} {what} already"),
            Self::ShutsOut(because) => write!(f, "it would shut out its caller: {because}"),
            Self::Fault(fault) => write!(f, "{fault}"),
        }
    }
}

impl std::error::Error for ApiError {}

/// What the service does with a failed commit.
pub(crate) enum Retry {
    /// Load again, decide again.
    Again,
    /// Give up.
    Never(Fault),
}

/// Sorts a failed commit.
pub(crate) fn sorted(error: CommitError) -> Retry {
    match error {
        CommitError::Conflict(_) => Retry::Again,
        CommitError::Full => Retry::Never(Fault::Full),
        CommitError::Busy => Retry::Never(Fault::Busy),
        CommitError::Unavailable(source) => Retry::Never(Fault::Unavailable(source)),
    }
}
