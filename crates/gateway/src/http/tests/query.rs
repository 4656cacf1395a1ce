//! Queries of enrollments and records (`dps-service-api` §1.12).

use serde_json::json;

use crate::tests::operator::{Answer, DPS};
use crate::tests::{KEY, World};

async fn world(ids: &[&str]) -> World {
    let world = World::new().await;
    for id in ids {
        world.enroll(id).await;
    }
    world
}

async fn query(world: &World, path: &str, text: &str, headers: &[(&str, &str)]) -> Answer {
    let body = json!({"query": text}).to_string();
    world.operate(DPS, &format!("POST {path}"), headers, &body).await
}

async fn put_group(world: &World, id: &str, status: &str) {
    let body = json!({"enrollmentGroupId": id, "provisioningStatus": status, "attestation": {
        "type": "symmetricKey", "symmetricKey": {"primaryKey": KEY, "secondaryKey": KEY}}});
    let path = format!("PUT /enrollmentGroups/{id}");
    world.operate(DPS, &path, &[], &body.to_string()).await.expect(200);
}

#[tokio::test]
async fn q_01_a_filter_and_columns_are_answered() {
    let world = world(&["a", "b", "c"]).await;
    let disabled = json!({"registrationId": "b", "deviceId": "B7", "provisioningStatus": "disabled",
        "attestation": {"type": "symmetricKey"}});
    let any = [("If-Match", "*")];
    world.operate(DPS, "PUT /enrollments/b", &any, &disabled.to_string()).await.expect(200);
    for (text, ids) in [
        ("SELECT * FROM enrollments", "a b c"),
        ("select * from enrollments where provisioningStatus = 'disabled'", "b"),
        ("SELECT * WHERE provisioningStatus <> `disabled`", "a c"),
        ("SELECT * WHERE attestation.type = \"symmetricKey\" AND NOT deviceId = 'B7'", ""),
        ("SELECT * WHERE attestation.type = 'symmetricKey' AND NOT is_defined(deviceId)", "a c"),
        ("SELECT * WHERE registrationId = 'c'", "c"),
        ("SELECT * WHERE registrationId IN ['c', 'a', 'none', 'not an id', 'a']", "a c"),
        (
            "SELECT * WHERE registrationId > 'a' AND (deviceId = 'x' OR capabilities.iotEdge = false)",
            "b c",
        ),
        ("{'additional_properties': {}, 'query': 'SELECT *'}", "a b c"),
        ("", "a b c"),
        ("*", "a b c"),
    ] {
        let answer = query(&world, "/enrollments/query", text, &[]).await;
        assert_eq!(answer.status, 200, "{text}: {}", answer.body);
        assert_eq!(answer.ids("registrationId"), ids, "{text}");
        assert_eq!(answer.header("x-ms-item-type"), Some("Enrollment"));
    }
    let columns = query(&world, "/enrollments/query", "SELECT deviceId AS d", &[]).await;
    assert_eq!(columns.body, json!([{}, {"d": "B7"}, {}]));
    for text in ["SELECT * FROM devices", "**", "SELECT * WHERE", "SELECT count()", "DROP TABLE x"]
    {
        let refused = query(&world, "/enrollments/query", text, &[]).await.expect(400);
        assert_eq!(refused["errorCode"], 400_004, "{text}");
    }
}

#[tokio::test]
async fn q_01_groups_and_records_are_filtered_too() {
    let world = World::new().await;
    put_group(&world, "g1", "enabled").await;
    put_group(&world, "g2", "disabled").await;
    let text = "SELECT * FROM enrollmentGroups WHERE provisioningStatus = 'disabled'";
    let groups = query(&world, "/enrollmentGroups/query", text, &[]).await;
    assert_eq!(groups.ids("enrollmentGroupId"), "g2");
    assert_eq!(groups.header("x-ms-item-type"), Some("EnrollmentGroup"));
    register_in_group(&world, &["x1", "x2", "x3"]).await;
    for (text, ids) in [
        ("SELECT * FROM deviceRegistrations WHERE deviceId = 'x2'", "x2"),
        ("SELECT * WHERE registrationId = 'x3' AND status = 'assigned'", "x3"),
        ("SELECT * WHERE registrationId = 'x3' AND status = 'failed'", ""),
        ("SELECT * WHERE status != 'assigned'", ""),
    ] {
        let records = query(&world, "/registrations/g1/query", text, &[]).await;
        assert_eq!(records.ids("registrationId"), ids, "{text}");
        assert_eq!(records.header("x-ms-item-type"), Some("DeviceRegistration"));
    }
    // The record is not of that group, though it is there.
    let text = "SELECT * WHERE registrationId = 'x3'";
    assert_eq!(query(&world, "/registrations/g2/query", text, &[]).await.body, json!([]));
}

/// Registers devices with keys derived from the key of the tests' groups.
async fn register_in_group(world: &World, ids: &[&str]) {
    let group = attestation::SymmetricKey::from_base64(KEY).unwrap();
    for id in ids {
        let key = group.derive(id).to_base64();
        let response = world.register(id, &key).await;
        assert!(response.starts_with("HTTP/1.1 202"), "{response}");
    }
}

#[tokio::test]
async fn q_02_q_03_pages_are_of_the_size_asked_for_and_lead_on() {
    let world = world(&["a", "B", "c", "d", "e"]).await;
    for (text, whole) in [
        ("SELECT *", vec!["a B", "c d", "e"]),
        ("SELECT * WHERE registrationId != 'c'", vec!["a B", "d e"]),
        ("SELECT * WHERE registrationId IN ['a', 'B', 'd', 'e', 'x']", vec!["a B", "d e"]),
        ("SELECT TOP 3 *", vec!["a B", "c"]),
    ] {
        let mut pages = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut headers = vec![("x-ms-max-item-count", "2")];
            headers.extend(token.as_deref().map(|token| ("x-ms-continuation", token)));
            let page = query(&world, "/enrollments/query", text, &headers).await;
            pages.push(page.ids("registrationId"));
            assert_eq!(page.header("x-ms-max-item-count"), Some("2"));
            token = page.header("x-ms-continuation").map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        assert_eq!(pages, whole, "{text}");
    }
}

#[tokio::test]
async fn q_03_a_token_of_another_query_or_a_changed_one_is_refused() {
    let world = world(&["a", "b", "c"]).await;
    let one = ("x-ms-max-item-count", "1");
    let first = query(&world, "/enrollments/query", "SELECT *", &[one]).await;
    let token = first.header("x-ms-continuation").unwrap().to_owned();
    let again = [one, ("x-ms-continuation", token.as_str())];
    assert_eq!(
        query(&world, "/enrollments/query", "SELECT *", &again).await.ids("registrationId"),
        "b"
    );
    let cut = &token[..token.len() - 1];
    for (path, text, token) in [
        ("/enrollments/query", "SELECT *", cut),
        ("/enrollments/query", "SELECT *", "b"),
        ("/enrollments/query", "SELECT * WHERE etag = 'x'", token.as_str()),
        ("/enrollmentGroups/query", "SELECT *", token.as_str()),
    ] {
        let headers = [("x-ms-continuation", token)];
        let refused = query(&world, path, text, &headers).await.expect(400);
        assert_eq!(refused["errorCode"], 400_000, "{path} {text}");
    }
}

#[tokio::test]
async fn q_04_q_05_an_empty_answer_is_an_array_with_its_type() {
    let world = World::new().await;
    put_group(&world, "g", "enabled").await;
    for (path, item) in [
        ("/enrollments/query", "Enrollment"),
        ("/registrations/g/query", "DeviceRegistration"),
        ("/registrations/no-such-group/query", "DeviceRegistration"),
    ] {
        let answer = world.operate(DPS, &format!("POST {path}"), &[], "").await;
        assert_eq!((answer.status, &answer.body), (200, &json!([])), "{path}");
        assert_eq!(answer.header("x-ms-item-type"), Some(item));
        assert_eq!(answer.header("x-ms-continuation"), None);
        assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    }
}

#[tokio::test]
async fn q_05_records_of_a_deleted_group_are_still_listed() {
    let world = World::new().await;
    put_group(&world, "g", "enabled").await;
    register_in_group(&world, &["x"]).await;
    world.operate(DPS, "DELETE /enrollmentGroups/g", &[], "").await.expect(204);
    let records = world.operate(DPS, "POST /registrations/G/query", &[], "").await;
    assert_eq!(records.ids("registrationId"), "x");
}

#[tokio::test]
async fn q_06_rows_are_in_the_order_of_their_ids() {
    let world = world(&["c", "A", "b", "a1", "B2"]).await;
    let answer = query(&world, "/enrollments/query", "SELECT *", &[]).await;
    assert_eq!(answer.ids("registrationId"), "A a1 b B2 c");
}

#[tokio::test]
async fn q_07_an_enrollment_comes_with_its_record() {
    let world = world(&["dev", "idle"]).await;
    world.register("dev", KEY).await;
    let answer = query(&world, "/enrollments/query", "SELECT *", &[]).await;
    assert_eq!(answer.body[0]["registrationState"]["status"], "assigned");
    assert_eq!(answer.body[1].get("registrationState"), None);
    let text = "SELECT * WHERE registrationState.status = 'assigned'";
    let assigned = query(&world, "/enrollments/query", text, &[]).await;
    assert_eq!(assigned.ids("registrationId"), "dev");
}

#[tokio::test]
async fn a_41_no_query_tells_a_key() {
    let world = world(&["dev"]).await;
    for text in
        ["SELECT *", "SELECT attestation", "SELECT * WHERE attestation.type = 'symmetricKey'"]
    {
        let answer = query(&world, "/enrollments/query", text, &[]).await;
        assert!(!answer.body.to_string().contains("Key\":"), "{}", answer.body);
    }
    let text = format!("SELECT * WHERE attestation.symmetricKey.primaryKey = '{KEY}'");
    assert_eq!(query(&world, "/enrollments/query", &text, &[]).await.body, json!([]));
}
