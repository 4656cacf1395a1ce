//! What can be wrong with a call before, or beside, the rules.

use std::fmt;

use model::IdError;

/// Items of one bulk call. Source: `dps-service-api` B-01.
pub const BULK_ITEMS_MAX: usize = 10;

/// What a call was for and is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// An enrollment of either kind.
    Enrollment,
    /// A registration record.
    Registration,
    /// A registration operation.
    Operation,
    /// A CA certificate.
    CaCertificate,
    /// A device identity.
    Device {
        /// Its id.
        id: String,
    },
    /// A provisioning service of that host name or id scope.
    ProvisioningService,
    /// A hub of that host name.
    Hub,
    /// A credential policy.
    CredentialPolicy,
    /// A shared access policy.
    Policy,
    /// An event subscription.
    Subscription,
    /// A dead letter.
    DeadLetter,
    /// An exception for expired certificates.
    ExpiryException,
    /// An address.
    Path,
}

/// A fault of a call that no rule is concerned with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiFault {
    /// What the call was for is not there.
    NotFound(Missing),
    /// It is there already, and nothing was said of replacing it.
    AlreadyExists,
    /// It is not at the version that was demanded.
    PreconditionFailed,
    /// Too many calls.
    Throttled {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// The address has no such method.
    MethodNotAllowed,
    /// The body is not JSON by its media type.
    UnsupportedMediaType,
    /// The body is too large (V-27).
    BodyTooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// The body nests too deep.
    TooDeep {
        /// The bound.
        levels: usize,
    },
    /// The body is not JSON, or not of the form that the call needs.
    Malformed {
        /// What is wrong, in words, and where.
        because: String,
    },
    /// The body lacks a member.
    MissingMember {
        /// Where.
        member: &'static str,
    },
    /// A member holds a word that is none of its words (V-29).
    UnknownWord {
        /// Where.
        member: &'static str,
        /// The word, cut short where it is long.
        given: String,
        /// The words that it may hold.
        known: &'static [&'static str],
    },
    /// A header holds what it may not hold.
    Header {
        /// Which.
        name: &'static str,
    },
    /// An id is none (V-01 to V-03).
    Id {
        /// What it is the id of.
        of: &'static str,
        /// What is wrong.
        because: IdError,
    },
    /// The device's body is for another registration id than it signed in with.
    OtherRegistration,
    /// A bulk of no items, or of too many (B-01).
    BulkSize {
        /// How many.
        given: usize,
    },
    /// An item of a bulk has the id of one before it.
    DefinedTwice,
    /// The query string has no `api-version`.
    MissingApiVersion,
    /// The `api-version` is none.
    UnknownApiVersion {
        /// As sent, cut short where it is long.
        given: String,
    },
    /// Another rule is broken; says what, where, how to mend it.
    Invalid(String),
    /// A certificate belongs to another entry (V-12).
    CertificateInUse {
        /// The entry that has it.
        by: String,
    },
    /// A count may not grow further.
    QuotaReached {
        /// What is counted.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// The call may not come from where it does; says which rule, and from where.
    Address(String),
    /// It would take the service API from who asks for it; says by which rule.
    ShutsOut(String),
    /// No credential, or none that can be read.
    Unauthorized,
    /// The credential is good, but not for this.
    Forbidden,
    /// The disk that holds the store is full.
    StoreFull,
    /// Too many calls are waiting, or others were faster again and again.
    Busy,
    /// We failed.
    Internal,
}

impl fmt::Display for ApiFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(_) => f.write_str("Not found."),
            Self::AlreadyExists => f.write_str("It exists already."),
            Self::PreconditionFailed => f.write_str("Precondition failed."),
            Self::Throttled { .. } => f.write_str("Too many calls."),
            Self::MethodNotAllowed => f.write_str("Method not allowed."),
            Self::UnsupportedMediaType => f.write_str("The body is not JSON by its Content-Type."),
            Self::BodyTooLarge { bytes_max } => {
                write!(f, "The body is larger than {bytes_max} bytes.")
            }
            Self::TooDeep { levels } => {
                write!(f, "The body nests deeper than {levels} levels.")
            }
            Self::Malformed { because } => {
                write!(f, "The body is not the JSON that this call needs: {because}.")
            }
            Self::MissingMember { member } => write!(f, "{member} is missing: add it."),
            Self::UnknownWord { member, given, known } => {
                write!(f, "{member} is {given:?}: give one of {}.", known.join(", "))
            }
            Self::Header { name } => write!(f, "The header {name} is not well formed."),
            Self::Id { of, because } => write!(f, "The id of the {of} {because}."),
            Self::OtherRegistration => f.write_str(
                "registrationId in the body is not the one that the device signed in with.",
            ),
            Self::BulkSize { given } => {
                write!(f, "The bulk has {given} items: give 1 to {BULK_ITEMS_MAX}.")
            }
            Self::DefinedTwice => f.write_str("The bulk has this id twice: give each one once."),
            Self::MissingApiVersion => {
                f.write_str("api-version is missing: add ?api-version=2021-10-01.")
            }
            Self::UnknownApiVersion { given } => {
                write!(f, "Unknown api version {given:?}: give a date such as 2021-10-01.")
            }
            Self::Invalid(because) => f.write_str(because),
            Self::CertificateInUse { by } => write!(
                f,
                "The certificate is in use by {by}: a certificate belongs to one enrollment only."
            ),
            Self::QuotaReached { what, max } => {
                write!(f, "There are {max} {what} already, which is the maximum.")
            }
            Self::Address(because) => write!(f, "{because}."),
            Self::ShutsOut(because) => write!(
                f,
                "It would shut out its caller. {because} from then on: add ?force=true to do it."
            ),
            Self::Unauthorized => f.write_str("Unauthorized"),
            Self::Forbidden => f.write_str("Forbidden"),
            Self::StoreFull => f.write_str("The disk that holds the store is full."),
            Self::Busy => f.write_str("The server is busy: try again."),
            Self::Internal => f.write_str("Internal error."),
        }
    }
}

impl std::error::Error for ApiFault {}
