//! Paths, api-versions and headers of the service API (`dps-service-api` §1.2 to §1.5).

use serde_json::json;

use crate::tests::operator::{DPS, HUB};
use crate::tests::{KEY, World};

fn entry(id: &str) -> String {
    json!({"registrationId": id, "attestation": {"type": "symmetricKey"}}).to_string()
}

fn group(id: &str) -> String {
    json!({"enrollmentGroupId": id, "attestation": {"type": "symmetricKey"}}).to_string()
}

#[tokio::test]
async fn a_01_a_02_paths_are_of_any_case_and_may_end_in_a_slash() {
    let world = World::new().await;
    world.operate(DPS, "PUT /enrollmentGroups/g", &[], &group("g")).await.expect(200);
    for request in [
        "GET /enrollmentgroups/g",
        "GET /ENROLLMENTGROUPS/G",
        "POST /enrollmentgroups/g/AttestationMechanism",
        "POST /EnrollmentGroups/QUERY",
        "POST /Registrations/g/Query",
        "GET /enrollmentGroups/g/",
    ] {
        world.operate(DPS, request, &[], "").await.expect(200);
    }
    let bulk = json!({"mode": "create", "enrollments": [
        {"registrationId": "a", "attestation": {"type": "symmetricKey"}}]});
    let done = world.operate(DPS, "POST /Enrollments/", &[], &bulk.to_string()).await.expect(200);
    assert_eq!(done, json!({"isSuccessful": true, "errors": []}));
}

#[tokio::test]
async fn a_03_ids_are_decoded_once_and_compared_without_case() {
    let world = World::new().await;
    let body = entry("Dev:1.a_B-2");
    let put = world.operate(DPS, "PUT /enrollments/Dev%3A1.a%5FB-2", &[], &body).await;
    assert_eq!(put.expect(200)["registrationId"], "Dev:1.a_B-2");
    for path in ["/enrollments/dev:1.A_b-2", "/enrollments/DEV%3a1%2eA_b-2"] {
        let found = world.operate(DPS, &format!("GET {path}"), &[], "").await.expect(200);
        assert_eq!(found["registrationId"], "Dev:1.a_B-2");
    }
    world.operate(DPS, "GET /enrollments/dev%253A1.a_b-2", &[], "").await.expect(400);
}

#[tokio::test]
async fn a_04_an_entry_may_be_called_query() {
    let world = World::new().await;
    world.operate(DPS, "GET /enrollments/query", &[], "").await.expect(404);
    world.operate(DPS, "PUT /enrollments/query", &[], &entry("query")).await.expect(200);
    let found = world.operate(DPS, "GET /enrollments/query", &[], "").await.expect(200);
    assert_eq!(found["registrationId"], "query");
    let listed = world.operate(DPS, "POST /enrollments/query", &[], "").await;
    assert_eq!(listed.ids("registrationId"), "query");
}

#[tokio::test]
async fn a_05_a_method_that_an_address_does_not_have_is_405() {
    let world = World::new().await;
    for request in [
        "GET /enrollments",
        "GET /enrollmentGroups/",
        "GET /registrations",
        "PATCH /enrollments/a",
        "POST /enrollments/a",
        "PUT /registrations/a",
        "PATCH /devices",
    ] {
        let host = if request.ends_with("devices") { HUB } else { DPS };
        world.operate(host, request, &[], "").await.expect(405);
    }
}

#[tokio::test]
async fn a_06_an_individuals_own_record_is_reached_by_its_registration_id() {
    let world = World::new().await;
    world.enroll("dev").await;
    world.operate(DPS, "GET /registrations/dev", &[], "").await.expect(404);
    world.register("dev", KEY).await;
    let record = world.operate(DPS, "GET /registrations/DEV", &[], "").await.expect(200);
    assert_eq!(record["status"], "assigned");
    // There is no list of all records: this is the group that happens to be called so.
    let none = world.operate(DPS, "POST /registrations/dev/query", &[], "").await;
    assert_eq!(none.expect(200), json!([]));
}

#[tokio::test]
async fn a_07_an_enrollment_has_no_query_of_its_own() {
    let world = World::new().await;
    world.enroll("dev").await;
    for path in ["/enrollments/dev/query", "/enrollmentGroups/dev/query"] {
        world.operate(DPS, &format!("POST {path}"), &[], "").await.expect(404);
    }
}

#[tokio::test]
async fn a_10_a_11_every_version_is_answered_and_none_or_nonsense_is_400() {
    let world = World::new().await;
    world.enroll("dev").await;
    for version in [
        "2017-08-31-preview",
        "2017-11-15",
        "2018-04-01",
        "2018-09-01-preview",
        "2019-03-31",
        "2021-06-01",
        "2021-10-01",
        "2021-11-01-preview",
        "2025-07-01-preview",
        "2026-11-15-preview",
    ] {
        let request = format!("GET /enrollments/dev?api-version={version}");
        let found = world.operate(DPS, &request, &[], "").await.expect(200);
        // what an older version does not know is there all the same, and is skipped.
        assert_eq!(found["reprovisionPolicy"]["migrateDeviceData"], true, "{version}");
    }
    for query in ["?", "?api-version=", "?api-version=1", "?api-version=2021-13-01"] {
        let refused = world.operate(DPS, &format!("GET /enrollments/dev{query}"), &[], "").await;
        assert_eq!(refused.expect(400)["errorCode"], 400_001);
    }
}

#[tokio::test]
async fn a_12_a_credential_policy_is_stored_and_told() {
    let world = World::new().await;
    let body = json!({"registrationId": "dev", "attestation": {"type": "symmetricKey"},
        "credentialPolicyName": "policy-1"});
    let put = "PUT /enrollments/dev?api-version=2025-07-01-preview";
    world.operate(DPS, put, &[], &body.to_string()).await.expect(200);
    let found = world.operate(DPS, "GET /enrollments/dev", &[], "").await.expect(200);
    assert_eq!(found["credentialPolicyName"], "policy-1");
}

#[tokio::test]
async fn an_unknown_address_of_a_hub_is_a_hubs_404() {
    let world = World::new().await;
    for path in ["/", "/jobs", "/devices/a/b/c", "/enrollments/a"] {
        let refused = world.operate(HUB, &format!("GET {path}"), &[], "").await;
        assert_eq!(refused.header("iothub-errorcode"), Some("GenericNotFound"), "{path}");
        refused.expect(404);
    }
}

/// `dps-service-api` §1.5 and §1.7.
#[tokio::test]
async fn an_error_names_the_call_by_header_and_body() {
    let world = World::new().await;
    let refused = world.operate(DPS, "GET /enrollments/none", &[], "").await;
    assert_eq!(refused.header("x-ms-error-code"), Some("404201"));
    assert_eq!(refused.header("content-type"), Some("application/json; charset=utf-8"));
    let id = refused.header("x-ms-request-id").unwrap().to_owned();
    let body = refused.expect(404);
    assert_eq!((&body["errorCode"], &body["trackingId"]), (&json!(404_201), &json!(id)));
    assert!(body["message"].is_string());
    assert!(body["timestampUtc"].as_str().unwrap().ends_with('Z'));
}
