//! Paths of the service API.

use model::{EnrollmentGroupId, RegistrationId};

use super::id;
use crate::rest::error::{ApiFault, Missing};
use crate::rest::segments;

/// What an operator asks for, by method and path (§1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `GET /enrollments/{id}`.
    GetIndividual(RegistrationId),
    /// `PUT /enrollments/{id}`.
    PutIndividual(RegistrationId),
    /// `DELETE /enrollments/{id}`.
    DeleteIndividual(RegistrationId),
    /// `POST /enrollments/query`.
    QueryIndividuals,
    /// `POST /enrollments/{id}/attestationmechanism`.
    IndividualMechanism(RegistrationId),
    /// `POST /enrollments`.
    BulkIndividuals,
    /// `GET /enrollmentGroups/{id}`.
    GetGroup(EnrollmentGroupId),
    /// `PUT /enrollmentGroups/{id}`.
    PutGroup(EnrollmentGroupId),
    /// `DELETE /enrollmentGroups/{id}`.
    DeleteGroup(EnrollmentGroupId),
    /// `POST /enrollmentGroups/query`.
    QueryGroups,
    /// `POST /enrollmentGroups/{id}/attestationmechanism`.
    GroupMechanism(EnrollmentGroupId),
    /// `POST /enrollmentGroups`.
    BulkGroups,
    /// `GET /registrations/{id}`.
    GetRegistration(RegistrationId),
    /// `DELETE /registrations/{id}`.
    DeleteRegistration(RegistrationId),
    /// `POST /registrations/{group}/query`.
    QueryRegistrations(EnrollmentGroupId),
}

/// Reads a method and a path: without case, with or without a last slash, ids
/// decoded once.
///
/// # Errors
/// [`ApiFault::NotFound`] of [`Missing::Path`] for a path of another API,
/// [`ApiFault::MethodNotAllowed`], [`ApiFault::Id`].
pub fn route(method: &str, path: &str) -> Result<Route, ApiFault> {
    let segments = segments(path);
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let Some((collection, rest)) = parts.split_first() else {
        return Err(ApiFault::NotFound(Missing::Path));
    };
    match collection.to_ascii_lowercase().as_str() {
        "enrollments" => individuals(method, rest),
        "enrollmentgroups" => groups(method, rest),
        "registrations" => registrations(method, rest),
        _ => Err(ApiFault::NotFound(Missing::Path)),
    }
}

/// Whether a segment is this word, case aside.
fn is(segment: &str, word: &str) -> bool {
    segment.eq_ignore_ascii_case(word)
}

fn individuals(method: &str, rest: &[&str]) -> Result<Route, ApiFault> {
    let parsed = |text: &str| id("enrollment", text, RegistrationId::parse);
    match (method, rest) {
        ("POST", []) => Ok(Route::BulkIndividuals),
        // `query` is reserved for POST alone.
        ("POST", [word]) if is(word, "query") => Ok(Route::QueryIndividuals),
        ("GET", [text]) => parsed(text).map(Route::GetIndividual),
        ("PUT", [text]) => parsed(text).map(Route::PutIndividual),
        ("DELETE", [text]) => parsed(text).map(Route::DeleteIndividual),
        ("POST", [text, word]) if is(word, "attestationmechanism") => {
            parsed(text).map(Route::IndividualMechanism)
        }
        (_, [] | [_]) => Err(ApiFault::MethodNotAllowed),
        (_, [_, word]) if is(word, "attestationmechanism") => Err(ApiFault::MethodNotAllowed),
        (_, _) => Err(ApiFault::NotFound(Missing::Path)),
    }
}

fn groups(method: &str, rest: &[&str]) -> Result<Route, ApiFault> {
    let parsed = |text: &str| id("enrollment group", text, EnrollmentGroupId::parse);
    match (method, rest) {
        ("POST", []) => Ok(Route::BulkGroups),
        ("POST", [word]) if is(word, "query") => Ok(Route::QueryGroups),
        ("GET", [text]) => parsed(text).map(Route::GetGroup),
        ("PUT", [text]) => parsed(text).map(Route::PutGroup),
        ("DELETE", [text]) => parsed(text).map(Route::DeleteGroup),
        ("POST", [text, word]) if is(word, "attestationmechanism") => {
            parsed(text).map(Route::GroupMechanism)
        }
        (_, [] | [_]) => Err(ApiFault::MethodNotAllowed),
        (_, [_, word]) if is(word, "attestationmechanism") => Err(ApiFault::MethodNotAllowed),
        (_, _) => Err(ApiFault::NotFound(Missing::Path)),
    }
}

fn registrations(method: &str, rest: &[&str]) -> Result<Route, ApiFault> {
    let parsed = |text: &str| id("registration", text, RegistrationId::parse);
    match (method, rest) {
        ("GET", [text]) => parsed(text).map(Route::GetRegistration),
        ("DELETE", [text]) => parsed(text).map(Route::DeleteRegistration),
        ("POST", [text, word]) if is(word, "query") => {
            id("enrollment group", text, EnrollmentGroupId::parse).map(Route::QueryRegistrations)
        }
        (_, [] | [_]) => Err(ApiFault::MethodNotAllowed),
        (_, [_, word]) if is(word, "query") => Err(ApiFault::MethodNotAllowed),
        (_, _) => Err(ApiFault::NotFound(Missing::Path)),
    }
}
