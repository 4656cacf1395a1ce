mod bodies;
mod bulk;
mod shapes;

use model::limits::{QUERY_PAGE_DEFAULT, QUERY_PAGE_MAX};

use super::query::{self, ItemType, PageRequest};
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
        // A-02: Node and C add a slash.
        ("POST", "/enrollments/?api-version=2021-10-01", Ok(Route::BulkIndividuals)),
        ("GET", "/enrollmentGroups/group-1", Ok(Route::GetGroup(group()))),
        ("PUT", "/enrollmentGroups/group-1", Ok(Route::PutGroup(group()))),
        ("DELETE", "/enrollmentGroups/group-1", Ok(Route::DeleteGroup(group()))),
        ("POST", "/enrollmentGroups/query", Ok(Route::QueryGroups)),
        // A-01: Node writes this one in lower case.
        (
            "POST",
            "/enrollmentgroups/group-1/attestationmechanism",
            Ok(Route::GroupMechanism(group())),
        ),
        ("POST", "/ENROLLMENTGROUPS", Ok(Route::BulkGroups)),
        ("GET", "/registrations/dev-1", Ok(Route::GetRegistration(id()))),
        ("DELETE", "/registrations/dev-1", Ok(Route::DeleteRegistration(id()))),
        ("POST", "/registrations/group-1/query", Ok(Route::QueryRegistrations(group()))),
        // A-03: ids are decoded once.
        ("GET", "/enrollments/a%3Ab", Ok(Route::GetIndividual(registration_id("a:b")))),
        ("GET", "/enrollments/a%253Ab", Err(400_004)),
        ("GET", "/enrollments/a%2Fb", Err(400_004)),
        // A-04: a lookup of the id `query`.
        ("GET", "/enrollments/query", Ok(Route::GetIndividual(registration_id("query")))),
        ("DELETE", "/enrollmentGroups/query", Ok(Route::DeleteGroup(group_id("query")))),
        // A-05.
        ("GET", "/enrollments", Err(405_000)),
        ("GET", "/enrollments/", Err(405_000)),
        ("PATCH", "/enrollments/dev-1", Err(405_000)),
        ("POST", "/enrollments/dev-1", Err(405_000)),
        ("HEAD", "/enrollmentGroups/group-1", Err(405_000)),
        ("GET", "/enrollments/dev-1/attestationmechanism", Err(405_000)),
        ("GET", "/registrations", Err(405_000)),
        ("PUT", "/registrations/dev-1", Err(405_000)),
        ("GET", "/registrations/group-1/query", Err(405_000)),
        // A-07.
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

#[test]
fn q_02_pages_have_a_default_and_a_bound() {
    let check = |count: Option<&str>, limit: usize| {
        let expected = PageRequest { limit, after: None };
        assert_eq!(query::page(count, None), Ok(expected), "{count:?}");
    };
    check(None, QUERY_PAGE_DEFAULT);
    check(Some(""), QUERY_PAGE_DEFAULT);
    check(Some("0"), QUERY_PAGE_DEFAULT);
    check(Some("1"), 1);
    check(Some(" 20 "), 20);
    check(Some("1000"), QUERY_PAGE_MAX);
    check(Some("1001"), QUERY_PAGE_MAX);
    check(Some("99999999999999999999999"), QUERY_PAGE_MAX);
    for bad in ["-1", "x", "1.5", "+1"] {
        assert!(matches!(query::page(Some(bad), None), Err(ApiFault::Header { .. })), "{bad}");
    }
}

#[test]
fn q_03_the_token_of_a_page_leads_to_the_next() {
    let last = "dev:1/ä";
    let headers = query::headers(ItemType::Enrollment, 10, Some(last));
    let (name, token) = headers.last().unwrap();
    assert_eq!(*name, "x-ms-continuation");
    assert!(token.bytes().all(|b| b.is_ascii_graphic()), "{token}");
    let next = query::page(Some("10"), Some(token)).unwrap();
    assert_eq!(next, PageRequest { limit: 10, after: Some(last.to_owned()) });
}

/// `dps-service-api` §8: Node loops for ever on an empty header.
#[test]
fn the_last_page_has_no_token() {
    for (item, name) in [
        (ItemType::Enrollment, "enrollment"),
        (ItemType::EnrollmentGroup, "enrollmentGroup"),
        (ItemType::DeviceRegistration, "deviceRegistration"),
    ] {
        assert_eq!(
            query::headers(item, 100, None),
            [("x-ms-item-type", name.to_owned()), ("x-ms-max-item-count", "100".to_owned()),]
        );
    }
    assert_eq!(query::page(None, Some("")).unwrap().after, None);
}

#[test]
fn query_bodies_of_every_client_are_read() {
    let cases = [
        (&b""[..], ""),
        (b"  ", ""),
        (b"{}", ""),
        (br#"{"query":null}"#, ""),
        (br#"{"query":"SELECT * FROM enrollments"}"#, "SELECT * FROM enrollments"),
        (
            br#"{"query": "{'additional_properties': {}, 'query': 'SELECT *'}"}"#,
            "{'additional_properties': {}, 'query': 'SELECT *'}",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(query::text(body).as_deref(), Ok(expected));
    }
    assert!(query::text(b"[").is_err());
    assert!(query::text(br#"{"query":7}"#).is_err());
}
