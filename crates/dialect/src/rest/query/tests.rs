use model::limits::{QUERY_PAGE_DEFAULT, QUERY_PAGE_MAX};
use proptest::prelude::*;
use serde_json::json;

use super::{Address, Collection, ItemType, Page, Paging, array, asked, text, told};
use crate::rest::error::ApiFault;

const HERE: Address<'static> = Address { path: "dps/enrollments/query", text: "SELECT *" };

fn token(rows: usize, last: &str, top: Option<u64>, of: Address<'_>) -> Option<String> {
    let paging = Paging::read(Some("10"), None, of).unwrap();
    let page = Page { rows, next: Some(last), top };
    let headers = paging.headers(ItemType::Enrollment, page, of);
    headers.into_iter().find(|(name, _)| *name == "x-ms-continuation").map(|(_, value)| value)
}

#[test]
fn q_01_a_text_is_for_the_collection_that_is_asked() {
    let whole = [
        ("", Collection::Enrollments),
        (" * ", Collection::DeviceRegistrations),
        ("SELECT *", Collection::EnrollmentGroups),
        ("select * from ENROLLMENTS", Collection::Enrollments),
        ("SELECT * FROM enrollmentgroups", Collection::EnrollmentGroups),
        ("SELECT * FROM deviceRegistrations", Collection::DeviceRegistrations),
        ("SELECT * FROM enrollmentGroups", Collection::DeviceRegistrations),
        ("SELECT * FROM devices c", Collection::Devices),
        ("SELECT count() FROM devices", Collection::Devices),
        ("SELECT registrationId FROM enrollments WHERE x = `y`", Collection::Enrollments),
    ];
    for (text, collection) in whole {
        assert!(asked(text, collection).is_ok(), "{text}");
    }
    let refused = [
        ("*", Collection::Devices),
        ("select * from devices", Collection::Enrollments),
        ("SELECT * FROM enrollmentGroups", Collection::Enrollments),
        ("SELECT * FROM enrollments", Collection::DeviceRegistrations),
        ("SELECT count() FROM enrollments", Collection::Enrollments),
        ("SELECT a FROM enrollments GROUP BY a", Collection::Enrollments),
        ("", Collection::Devices),
        ("SELECT *", Collection::Devices),
        ("SELECT * FROM devices.modules", Collection::Devices),
        ("SELECT * FROM devices.jobs", Collection::Devices),
    ];
    for (text, collection) in refused {
        assert!(matches!(asked(text, collection), Err(ApiFault::Invalid(_))), "{text}");
    }
}

#[test]
fn q_01_query_bodies_of_every_client_are_read() {
    let cases = [
        (&b""[..], ""),
        (b"  ", ""),
        (b"{}", ""),
        (br#"{"query":null}"#, ""),
        (br#"{"query":"SELECT * FROM enrollments"}"#, "SELECT * FROM enrollments"),
        (br#"{"query": "{'additional_properties': {}, 'query': 'SELECT *'}"}"#, "SELECT *"),
        (
            br#"{"query": "{'additional_properties': {}, 'query': \"SELECT * WHERE a = 'b'\"}"}"#,
            "SELECT * WHERE a = 'b'",
        ),
        (br#"{"query":"{'query': 'x"}"#, "{'query': 'x"),
    ];
    for (body, expected) in cases {
        assert_eq!(text(body).as_deref(), Ok(expected));
    }
    assert!(text(b"[").is_err());
    assert!(text(br#"{"query":7}"#).is_err());
}

#[test]
fn q_02_pages_have_a_default_and_a_bound() {
    let check = |count: Option<&str>, limit: usize| {
        let found = Paging::read(count, None, HERE).unwrap();
        assert_eq!((found.limit, found.after), (limit, None), "{count:?}");
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
        let found = Paging::read(Some(bad), None, HERE);
        assert!(matches!(found, Err(ApiFault::Header { .. })), "{bad}");
    }
}

#[test]
fn q_03_the_token_of_a_page_leads_to_the_next() {
    let last = "dev:1/ä";
    let token = token(10, last, None, HERE).unwrap();
    assert!(token.bytes().all(|b| b.is_ascii_graphic()), "{token}");
    let next = Paging::read(Some("20"), Some(&token), HERE).unwrap();
    assert_eq!((next.limit, next.after.as_deref(), next.given), (20, Some(last), 10));
    let spelled = Address { path: "DPS/Enrollments/query/", text: " SELECT * " };
    assert!(Paging::read(None, Some(&token), spelled).is_ok());
}

#[test]
fn q_03_a_token_that_was_changed_or_is_of_another_query_is_refused() {
    let token = token(1, "dev-1", None, HERE).unwrap();
    let refused = |token: &str, of: Address<'_>| {
        matches!(Paging::read(None, Some(token), of), Err(ApiFault::Header { .. }))
    };
    for end in 1..token.len() {
        assert!(refused(&token[..end], HERE), "{end}");
        let mut changed = token.clone().into_bytes();
        changed[end] = if changed[end] == b'A' { b'B' } else { b'A' };
        assert!(refused(std::str::from_utf8(&changed).unwrap(), HERE), "{end}");
    }
    assert!(refused(&token, Address { text: "SELECT * WHERE a = 1", ..HERE }));
    assert!(refused(&token, Address { path: "dps/enrollmentGroups/query", ..HERE }));
    for odd in ["x", "dev-1", "AAAA", "!!!", "ä"] {
        assert!(refused(odd, HERE), "{odd}");
    }
}

/// `dps-service-api` §8: Node loops for ever on an empty header.
#[test]
fn q_04_every_page_has_its_item_type_and_the_last_no_token() {
    let paging = Paging::read(None, Some(""), HERE).unwrap();
    for (collection, text, name) in [
        (Collection::Enrollments, "SELECT *", "Enrollment"),
        (Collection::EnrollmentGroups, "SELECT *", "EnrollmentGroup"),
        (Collection::DeviceRegistrations, "SELECT *", "DeviceRegistration"),
        (Collection::Devices, "SELECT * FROM devices", "Twin"),
        (Collection::Devices, "SELECT deviceId FROM devices", "Raw"),
        (Collection::Devices, "SELECT count() FROM devices", "Raw"),
    ] {
        let item = collection.item_type(&asked(text, collection).unwrap());
        assert_eq!(
            paging.headers(item, Page::default(), HERE),
            [("x-ms-item-type", name.to_owned()), ("x-ms-max-item-count", "100".to_owned())]
        );
    }
    assert_eq!(array(&[]), b"[]");
}

#[test]
fn top_bounds_the_rows_of_all_pages() {
    let first = Paging::read(Some("10"), None, HERE).unwrap();
    assert_eq!((first.rows(None), first.rows(Some(25)), first.rows(Some(3))), (10, 10, 3));
    assert_eq!(token(10, "x", Some(10), HERE), None);
    let second = token(10, "x", Some(13), HERE).unwrap();
    let second = Paging::read(Some("10"), Some(&second), HERE).unwrap();
    assert_eq!(second.rows(Some(13)), 3);
}

#[test]
fn a_row_is_told_whole_in_columns_or_not_at_all() {
    let row = json!({"registrationId": "a", "etag": "x"});
    let told = |text: &str| {
        let query = asked(text, Collection::Enrollments).unwrap();
        told(&query, &row).map(|json| String::from_utf8(json).unwrap())
    };
    let whole = r#"{"etag":"x","registrationId":"a"}"#;
    assert_eq!(told("SELECT *").as_deref(), Some(whole));
    assert_eq!(told("SELECT * WHERE etag = 'x'").as_deref(), Some(whole));
    assert_eq!(told("SELECT * WHERE etag = 'y'"), None);
    assert_eq!(told("SELECT etag").as_deref(), Some(r#"{"etag":"x"}"#));
    assert_eq!(array(&[b"1".to_vec(), b"{}".to_vec()]), b"[1,{}]");
}

proptest! {
    #[test]
    fn q_03_any_key_comes_back_and_any_other_text_is_refused(
        key in "\\PC{0,130}", given in 0..=u64::MAX, junk in "[ -~]{1,80}"
    ) {
        let token = super::paging::sealed(given, &key, HERE);
        let read = Paging::read(None, Some(&token), HERE).unwrap();
        prop_assert_eq!((read.after, read.given), (Some(key), given));
        prop_assert!(junk.trim().is_empty() || Paging::read(None, Some(&junk), HERE).is_err());
    }
}
