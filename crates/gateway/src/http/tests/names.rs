//! Hostile names in every field: typed errors, and nothing written.

use serde_json::{Value, json};

use crate::tests::World;
use crate::tests::operator::{Answer, DPS, HUB};

/// What no id may hold or be.
fn hostile() -> Vec<String> {
    let mut names: Vec<String> = [
        "",
        " ",
        "a\u{0}b",
        "\u{0}",
        "a/b",
        "../a",
        "..\\a",
        "a b",
        "a\r\nx: y",
        "é",
        "a\u{202e}b",
        "💥",
        "a?b",
        "a#b\u{7f}",
        "-",
        ".",
        "a.",
    ]
    .map(str::to_owned)
    .into();
    names.push("a".repeat(129));
    names
}

fn assert_typed(answer: &Answer, what: &str) {
    assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.body);
    let code = answer.body["errorCode"].is_u64() || answer.header("iothub-errorcode").is_some();
    assert!(code, "{what}: {}", answer.body);
}

fn escaped(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn v_01_v_02_v_05_hostile_ids_of_entries_are_refused_in_path_and_body() {
    let world = World::new().await;
    let kinds = [("enrollments", "registrationId"), ("enrollmentGroups", "enrollmentGroupId")];
    for (kind, member) in kinds {
        for name in hostile() {
            let body = |id: &str| json!({member: id, "attestation": {"type": "symmetricKey"}});
            let put = async |path: &str, body: Value| {
                world.operate(DPS, &format!("PUT /{kind}/{path}"), &[], &body.to_string()).await
            };
            assert_typed(&put(&escaped(&name), body(&name)).await, &name);
            assert_typed(&put("good", body(&name)).await, &name);
        }
        let longest = "a".repeat(128);
        let body = json!({member: longest, "attestation": {"type": "symmetricKey"}}).to_string();
        world.operate(DPS, &format!("PUT /{kind}/{longest}"), &[], &body).await.expect(200);
        let listed = world.operate(DPS, &format!("POST /{kind}/query"), &[], "").await;
        assert_eq!(listed.ids(member), longest);
    }
}

#[tokio::test]
async fn v_03_hostile_device_ids_are_refused_at_both_services() {
    let world = World::new().await;
    for name in hostile().iter().filter(|name| !matches!(name.as_str(), "-" | "." | "a." | "a?b")) {
        let body = json!({"registrationId": "e", "deviceId": name,
            "attestation": {"type": "symmetricKey"}});
        let put = world.operate(DPS, "PUT /enrollments/e", &[], &body.to_string()).await;
        // An empty one is as none.
        if !name.is_empty() {
            assert_typed(&put, name);
        }
        let path = format!("PUT /devices/{}", escaped(name));
        let body = json!({"deviceId": name}).to_string();
        assert_typed(&world.operate(HUB, &path, &[], &body).await, name);
        assert_typed(&world.operate(HUB, "PUT /devices/good", &[], &body).await, name);
        let items = json!([{"id": name}]).to_string();
        let bulk = world.operate(HUB, "POST /devices", &[], &items).await;
        assert_eq!(bulk.expect(400)["errors"][0]["errorCode"], "ArgumentInvalid", "{name}");
    }
    let statistics = world.operate(HUB, "GET /statistics/devices", &[], "").await;
    assert_eq!(statistics.expect(200)["totalDeviceCount"], 0);
    let longest = "a".repeat(128);
    let path = format!("PUT /devices/{longest}");
    world.operate(HUB, &path, &[], "{}").await.expect(200);
}

#[tokio::test]
async fn v_23_v_24_hostile_hosts_and_addresses_are_refused() {
    let world = World::new().await;
    for settings in [
        json!({"iotHubHostName": "a\u{0}b"}),
        json!({"iotHubHostName": "../hub1"}),
        json!({"iotHubs": ["hub1.localhost/x"], "allocationPolicy": "static"}),
        json!({"iotHubs": ["é"], "allocationPolicy": "hashed"}),
        json!({"allocationPolicy": "custom", "customAllocationDefinition":
            {"webhookUrl": "http://x/", "apiVersion": "2021-10-01"}}),
        json!({"allocationPolicy": "custom", "customAllocationDefinition":
            {"webhookUrl": "https://\u{0}/", "apiVersion": "2021-10-01"}}),
        json!({"allocationPolicy": "custom", "customAllocationDefinition":
            {"webhookUrl": "file:///etc/passwd", "apiVersion": "2021-10-01"}}),
    ] {
        let mut body = json!({"registrationId": "e", "attestation": {"type": "symmetricKey"}});
        body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let put = world.operate(DPS, "PUT /enrollments/e", &[], &body.to_string()).await;
        assert_typed(&put, &settings.to_string());
    }
    world.operate(DPS, "GET /enrollments/e", &[], "").await.expect(404);
}

#[tokio::test]
async fn b_01_an_oversized_bulk_is_refused_whole() {
    let world = World::new().await;
    let item = |i: usize| {
        json!({"registrationId": format!("d{i}"),
        "attestation": {"type": "symmetricKey"}})
    };
    for count in [0, 11, 100] {
        let items: Vec<Value> = (0..count).map(item).collect();
        let body = json!({"mode": "create", "enrollments": items}).to_string();
        let refused = world.operate(DPS, "POST /enrollments", &[], &body).await.expect(400);
        assert_eq!(refused["errorCode"], 400_000);
    }
    let big = json!({"mode": "create", "enrollments": [{"registrationId": "d",
        "attestation": {"type": "symmetricKey"}, "optionalDeviceInformation": "x".repeat(99_000)}]});
    let refused = world.operate(DPS, "POST /enrollments", &[], &big.to_string()).await;
    assert_eq!(refused.expect(400)["errorCode"], 400_000, "V-27");
    let big = json!([{"id": "d", "tags": {"x": "y".repeat(1024 * 1024)}}]).to_string();
    let refused = world.operate(HUB, "POST /devices", &[], &big).await;
    assert_eq!(refused.header("iothub-errorcode"), Some("MessageTooLarge"));
    refused.expect(413);
    let listed = world.operate(DPS, "POST /enrollments/query", &[], "").await;
    assert_eq!(listed.expect(200), json!([]));
}
