//! The words that every crate of Muster speaks: ids, names, thumbprints, time, revisions, limits.
//!
//! What it is: parsed values that can not be wrong ([`RegistrationId`] can only be made by
//! [`RegistrationId::parse`]), and the named bounds of every queue, string and wait ([`limits`]).
//!
//! What it is not: rules. Nothing here knows what an enrollment is.
//!
//! Invariants: no clock, no randomness, no I/O, no `async`; the only dependency is serde's traits,
//! so that storage documents may hold these values (their form is the text form).

mod etag;
pub mod hex;
mod id;
mod json;
pub mod limits;
mod name;
mod pace;
mod secret;
mod thumbprint;
mod time;
mod verification_code;

pub use etag::{Etag, IfMatch, Revision};
pub use id::{
    CertificateName, DeviceId, EnrollmentGroupId, IdError, PolicyName, RegionName, RegistrationId,
};
pub use json::{MAX_DEPTH_DEFAULT, depth_at_most};
pub use name::{HostName, IdScope, ServiceName, SubscriptionName};
pub use pace::Pace;
pub use secret::Secret;
pub use thumbprint::{Sha1Thumbprint, Sha256, ThumbprintError};
pub use time::{TICKS_PER_SECOND, Timestamp, TimestampError};
pub use verification_code::VerificationCode;
