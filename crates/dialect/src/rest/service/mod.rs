//! The service API of the provisioning service: enrollments, groups, records.
//!
//! Source: `dps-service-api` §1; REST reference "Device Provisioning Service, data plane".

pub mod attestation;
pub mod bulk;
pub mod enrollment;
pub mod group;
pub mod load;
pub mod registration;
mod route;
mod settings;
mod shape;
#[cfg(test)]
mod tests;

pub use route::{Route, route};

use super::error::ApiFault;

/// Which secrets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// In the answer to a PUT, and by `attestationmechanism`.
    Written,
    /// In the answers to GET and query: no key, and the webhook's address whole.
    Withheld,
    /// For who reads what is no secret, and for the webhook itself (W-10): not even the query of
    /// the webhook's address.
    WithheldAll,
}

/// Judges the media type of a body: an empty body may have any, another one is JSON.
///
/// # Errors
/// [`ApiFault::UnsupportedMediaType`].
pub fn media_type(content_type: Option<&str>, body: &[u8]) -> Result<(), ApiFault> {
    let Some(content_type) = content_type else { return Ok(()) };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match body.is_empty() || essence == "application/json" || essence.ends_with("+json") {
        true => Ok(()),
        false => Err(ApiFault::UnsupportedMediaType),
    }
}

/// The typed value of a word, case aside (V-29).
pub(in crate::rest) fn word<T: Copy>(
    member: &'static str,
    given: &str,
    known: &'static [&'static str],
    values: &[T],
) -> Result<T, ApiFault> {
    known
        .iter()
        .zip(values)
        .find(|(word, _)| word.eq_ignore_ascii_case(given))
        .map(|(_, value)| *value)
        .ok_or_else(|| ApiFault::UnknownWord {
            member,
            given: given.chars().take(64).collect(),
            known,
        })
}

/// An id in a path, decoded once already.
pub(in crate::rest) fn id<T>(
    of: &'static str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, model::IdError>,
) -> Result<T, ApiFault> {
    parse(text).map_err(|because| ApiFault::Id { of, because })
}
