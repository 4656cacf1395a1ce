//! B-01 to B-05.

use model::{Etag, IfMatch};
use serde_json::{Value, json};

use crate::api_version::ApiVersion;
use crate::json::utf8_json;
use crate::rest::error::{ApiFault, dps};
use crate::rest::service::bulk::{Bulk, BulkOf, groups, individuals, result};
use crate::samples::{id, text};

fn version() -> ApiVersion {
    ApiVersion::parse("2021-10-01").unwrap()
}

fn item(id: &str) -> Value {
    json!({"registrationId": id, "attestation": {"type": "symmetricKey"}, "etag": "\"e1\""})
}

fn bulk(mode: &str, items: &[Value]) -> Vec<u8> {
    json!({"mode": mode, "enrollments": items}).to_string().into_bytes()
}

#[test]
fn b_01_one_to_ten_items_are_taken() {
    for (count, taken) in [(0, false), (1, true), (10, true), (11, false)] {
        let items: Vec<_> = (0..count).map(|number| item(&format!("dev-{number}"))).collect();
        let found = individuals(&bulk("create", &items), &version()).map(|_| ());
        let expected = match taken {
            true => Ok(()),
            false => Err(ApiFault::BulkSize { given: count }),
        };
        assert_eq!(found, expected);
    }
    let none = json!({"mode": "create"}).to_string();
    assert!(individuals(none.as_bytes(), &version()).is_err());
    let other = json!({"mode": "create", "enrollmentGroups": [item("a")]}).to_string();
    assert!(individuals(other.as_bytes(), &version()).is_err());
}

#[test]
fn b_02_modes_demand_what_their_names_say() {
    let check = |mode: &str, expected: IfMatch| {
        let Bulk::Put(items) = individuals(&bulk(mode, &[item("dev-1")]), &version()).unwrap()
        else {
            panic!("{mode}")
        };
        let [only] = items.as_slice() else { panic!("{mode}") };
        assert_eq!(only.id, "dev-1");
        assert_eq!(only.if_match, expected);
        assert_eq!(only.asked.as_ref().unwrap().registration_id, id("dev-1"));
    };
    check("create", IfMatch::Absent);
    check("update", IfMatch::Any);
    check("updateIfMatchETag", IfMatch::Etag(Etag::new("e1")));
    check("updateIfMatchEtag", IfMatch::Etag(Etag::new("e1")));
    check("Create", IfMatch::Absent);
    for bad in ["", "replace"] {
        let fault = individuals(&bulk(bad, &[item("dev-1")]), &version()).map(|_| ()).unwrap_err();
        assert!(matches!(fault, ApiFault::UnknownWord { member: "mode", .. }));
    }
}

#[test]
fn b_02_a_deletion_needs_the_id_alone() {
    let items = [json!({"registrationId": "dev-1", "attestation": 7}), json!({})];
    let Bulk::Delete(items) = individuals(&bulk("delete", &items), &version()).unwrap() else {
        panic!()
    };
    let [good, bad] = items.as_slice() else { panic!() };
    assert_eq!((good.if_match.clone(), good.asked.clone()), (IfMatch::Absent, Ok(id("dev-1"))));
    assert!(matches!(bad.asked, Err(ApiFault::Id { .. })));
}

#[test]
fn b_03_a_bad_item_fails_by_itself() {
    let no_etag = json!({"registrationId": "dev-3", "attestation": {"type": "symmetricKey"}});
    let items =
        [item("dev-1"), json!({"registrationId": "dev-2"}), no_etag, item("-"), json!("text")];
    let Bulk::Put(items) = individuals(&bulk("updateIfMatchETag", &items), &version()).unwrap()
    else {
        panic!()
    };
    let outcomes: Vec<_> = items
        .iter()
        .map(|item| (item.id.as_str(), item.asked.as_ref().err().map(|f| dps(f).message)))
        .collect();
    let missing = |member: &str| Some(format!("{member} is missing: add it."));
    assert_eq!(outcomes[0], ("dev-1", None));
    assert_eq!(outcomes[1], ("dev-2", missing("etag")));
    assert_eq!(outcomes[2], ("dev-3", missing("etag")));
    assert_eq!(outcomes[3].0, "-");
    assert!(outcomes[3].1.is_some());
    assert!(outcomes[4].1.is_some());
}

#[test]
fn b_04_failures_are_listed_by_id() {
    let error = dps(&ApiFault::AlreadyExists);
    assert_eq!(
        text(&utf8_json(&result(BulkOf::Individuals, []))),
        r#"{"isSuccessful":true,"errors":[]}"#
    );
    assert_eq!(
        text(&utf8_json(&result(BulkOf::Individuals, [("dev-1", &error)]))),
        format!(
            r#"{{"isSuccessful":false,"errors":[{{"registrationId":"dev-1","errorCode":409201,"errorStatus":"{}"}}]}}"#,
            error.message
        )
    );
    let groups = text(&utf8_json(&result(BulkOf::Groups, [("group-1", &error)])));
    assert!(groups.contains(r#"{"enrollmentGroupId":"group-1","errorCode":409201"#));
}

#[test]
fn b_05_groups_have_bulks_as_well() {
    let body = json!({
        "mode": "create",
        "enrollmentGroups": [
            {"enrollmentGroupId": "group-1", "attestation": {"type": "symmetricKey"}},
        ],
    });
    let Bulk::Put(items) = groups(body.to_string().as_bytes(), &version()).unwrap() else {
        panic!()
    };
    assert!(items[0].asked.is_ok());
}
