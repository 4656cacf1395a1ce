//! Exceptions for expired certificates, under `dps/{name}/expiry-exceptions`.

use model::{EnrollmentGroupId, RegistrationId, Timestamp};
use provisioning::enrollment::EntryId;
use provisioning::instance::ExpiryException;
use serde::{Deserialize, Serialize};

use crate::json::read;
use crate::rest::error::{ApiFault, Missing};

/// Exceptions of a provisioning service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExceptionRoute {
    /// `GET`
    List,
    /// `PUT enrollments/{id}` or `PUT enrollmentGroups/{id}`
    Put(EntryId),
    /// `DELETE` of the same
    Delete(EntryId),
}

/// Reads a method and what follows `expiry-exceptions`.
pub(super) fn route(method: &str, rest: &[&str]) -> Result<ExceptionRoute, ApiFault> {
    let entry = |kind: &str, id: &str| match kind {
        "enrollments" => RegistrationId::parse(id).map(EntryId::Individual),
        _ => EnrollmentGroupId::parse(id).map(EntryId::Group),
    };
    Ok(match (method, rest) {
        ("GET", []) => ExceptionRoute::List,
        ("PUT" | "DELETE", [kind @ ("enrollments" | "enrollmentGroups"), id]) => {
            let entry =
                entry(kind, id).map_err(|because| ApiFault::Id { of: "enrollment", because })?;
            match method {
                "PUT" => ExceptionRoute::Put(entry),
                _ => ExceptionRoute::Delete(entry),
            }
        }
        (_, [] | ["enrollments" | "enrollmentGroups", _]) => {
            return Err(ApiFault::MethodNotAllowed);
        }
        (_, _) => return Err(ApiFault::NotFound(Missing::Path)),
    })
}

/// An exception.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    enrollment_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enrollment_group_id: Option<&'a str>,
    until: Timestamp,
    reason: &'a str,
}

/// An exception as a resource.
pub fn exception_json(exception: &ExpiryException) -> ExceptionJson<'_> {
    let (enrollment_id, enrollment_group_id) = match &exception.entry.id {
        EntryId::Individual(id) => (Some(id.as_str()), None),
        EntryId::Group(id) => (None, Some(id.as_str())),
    };
    let (until, reason) = (exception.until, exception.reason.as_str());
    ExceptionJson { enrollment_id, enrollment_group_id, until, reason }
}

/// What is said of an exception.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ExceptionBody {
    /// When it ends.
    pub until: Timestamp,
    /// Why it is made.
    pub reason: String,
}

/// Reads the body of `PUT dps/{name}/expiry-exceptions/…`.
///
/// # Errors
/// [`ApiFault`].
pub fn exception_body(body: &[u8]) -> Result<ExceptionBody, ApiFault> {
    read(body)
}
