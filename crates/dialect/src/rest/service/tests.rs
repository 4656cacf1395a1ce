mod bodies;
mod bulk;
mod shapes;

use super::*;
use crate::rest::error::dps;
use crate::samples::{group_id, id as registration_id};

#[test]
fn routes_are_read() {
    let id = || registration_id("dev-1");
    let group = || group_id("group-1");
    let cases = [
        ("GET", "/enrollments/dev-1", Ok(Route::GetIndividual(id()))),
        ("PUT", "/enrollments/dev-1?api-version=2021-10-01", Ok(Route::PutIndividual(id()))),
        ("DELETE", "/enrollments/dev-1", Ok(Route::DeleteIndividual(id()))),
        ("POST", "/enrollments/query", Ok(Route::QueryIndividuals)),
        ("POST", "/enrollments/dev-1/attestationmechanism", Ok(Route::IndividualMechanism(id()))),
        ("POST", "/enrollments", Ok(Route::BulkIndividuals)),
        // Node and C add a slash.
        ("POST", "/enrollments/?api-version=2021-10-01", Ok(Route::BulkIndividuals)),
        ("GET", "/enrollmentGroups/group-1", Ok(Route::GetGroup(group()))),
        ("PUT", "/enrollmentGroups/group-1", Ok(Route::PutGroup(group()))),
        ("DELETE", "/enrollmentGroups/group-1", Ok(Route::DeleteGroup(group()))),
        ("POST", "/enrollmentGroups/query", Ok(Route::QueryGroups)),
        // Node writes this one in lower case.
        (
            "POST",
            "/enrollmentgroups/group-1/attestationmechanism",
            Ok(Route::GroupMechanism(group())),
        ),
        ("POST", "/ENROLLMENTGROUPS", Ok(Route::BulkGroups)),
        ("GET", "/registrations/dev-1", Ok(Route::GetRegistration(id()))),
        ("DELETE", "/registrations/dev-1", Ok(Route::DeleteRegistration(id()))),
        ("POST", "/registrations/group-1/query", Ok(Route::QueryRegistrations(group()))),
        // ids are decoded once.
        ("GET", "/enrollments/a%3Ab", Ok(Route::GetIndividual(registration_id("a:b")))),
        ("GET", "/enrollments/a%253Ab", Err(400_004)),
        ("GET", "/enrollments/a%2Fb", Err(400_004)),
        // a lookup of the id `query`.
        ("GET", "/enrollments/query", Ok(Route::GetIndividual(registration_id("query")))),
        ("DELETE", "/enrollmentGroups/query", Ok(Route::DeleteGroup(group_id("query")))),
        //
        ("GET", "/enrollments", Err(405_000)),
        ("GET", "/enrollments/", Err(405_000)),
        ("PATCH", "/enrollments/dev-1", Err(405_000)),
        ("POST", "/enrollments/dev-1", Err(405_000)),
        ("HEAD", "/enrollmentGroups/group-1", Err(405_000)),
        ("GET", "/enrollments/dev-1/attestationmechanism", Err(405_000)),
        ("GET", "/registrations", Err(405_000)),
        ("PUT", "/registrations/dev-1", Err(405_000)),
        ("GET", "/registrations/group-1/query", Err(405_000)),
        //
        ("POST", "/enrollments/dev-1/query", Err(404_000)),
        ("POST", "/enrollments/dev-1/other/x", Err(404_000)),
        ("GET", "/devices/dev-1", Err(404_000)),
        ("GET", "/", Err(404_000)),
        ("PUT", "/enrollments/-x", Err(400_004)),
    ];
    for (method, path, expected) in cases {
        let found = route(method, path).map_err(|fault| dps(&fault).code);
        assert_eq!(found, expected, "{method} {path}");
    }
}

#[test]
fn a_14_the_media_type_of_a_body_is_json() {
    let json = b"{}";
    for good in [
        None,
        Some("application/json"),
        Some("application/json; charset=utf-8"),
        Some("Application/JSON;charset=UTF-8"),
        Some("application/merge-patch+json"),
    ] {
        assert_eq!(media_type(good, json), Ok(()), "{good:?}");
    }
    for bad in ["text/plain", "", "application/jsonx", "application/x-www-form-urlencoded"] {
        assert_eq!(media_type(Some(bad), json), Err(ApiFault::UnsupportedMediaType), "{bad}");
        assert_eq!(media_type(Some(bad), b""), Ok(()), "{bad}");
    }
}
