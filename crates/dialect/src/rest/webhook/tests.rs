use ::attestation::sas::{self, SasToken};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{DeviceId, HostName};
use provisioning::enrollment::{
    CustomAllocation, Group, GroupAttestation, Individual, IndividualAttestation, KeyPair,
    Settings, Slots,
};
use provisioning::registration::Assigned;
use serde_json::json;

use super::*;
use crate::samples::{certificate, group_id, id, key, stamp, value};

const URL: &str = "https://a.test/choose?code=secret";

fn settings() -> Settings {
    Settings {
        custom_allocation: Some(CustomAllocation {
            webhook_url: URL.to_owned(),
            api_version: "2021-10-01".to_owned(),
        }),
        ..Settings::default()
    }
}

fn question(entry: Entry<'_>, current: Option<Assigned>) -> Question {
    Question {
        entry: entry.reference(),
        version: entry.etag().clone(),
        webhook: entry.settings().custom_allocation.clone().unwrap(),
        current,
        linked_hubs: vec![HostName::parse("hub1.localhost").unwrap()],
        payload: Some(json!({"floor": 3})),
    }
}

#[test]
fn w_01_w_05_w_10_a_group_device_that_was_assigned_before() {
    let keys = KeyPair { primary: key(1), secondary: key(2) };
    let group = Group {
        id: group_id("group-1"),
        attestation: GroupAttestation::SymmetricKey(keys),
        settings: settings(),
        reprovision: None,
        stamp: stamp(),
    };
    let entry = Entry::Group(&group);
    let current = Assigned {
        hub: HostName::parse("hub2.localhost").unwrap(),
        device_id: DeviceId::parse("dev-1").unwrap(),
    };
    let token = sas::create("x", &key(1), stamp().created, None);
    let evidence = Evidence::Sas(SasToken::parse(&token).unwrap());
    let written = request(&id("dev-1"), entry, &question(entry, Some(current)), &evidence);
    let written = value(&written);
    assert_eq!(
        written["deviceRuntimeContext"],
        json!({
            "registrationId": "dev-1",
            "currentIotHubHostName": "hub2.localhost",
            "currentDeviceId": "dev-1",
            "symmetricKey": {},
            "payload": {"floor": 3},
        })
    );
    assert_eq!(written["linkedHubs"], json!(["hub1.localhost"]));
    assert!(written.get("individualEnrollment").is_none());
    let shown = &written["enrollmentGroup"];
    assert_eq!(shown["enrollmentGroupId"], group.id.as_str());
    // W-10: neither keys nor the address's own secret.
    assert_eq!(shown["attestation"], json!({"type": "symmetricKey"}));
    assert_eq!(shown["customAllocationDefinition"]["webhookUrl"], "https://a.test/choose?****");
    assert!(!written.to_string().contains("secret"));
}

#[test]
fn w_08_the_entry_is_written_alike_for_every_api_version() {
    let written = |api_version: &str| {
        let mut settings = settings();
        settings.custom_allocation.as_mut().unwrap().api_version = api_version.to_owned();
        settings.iot_edge = Some(true);
        let keys = KeyPair { primary: key(1), secondary: key(2) };
        let attestation = GroupAttestation::SymmetricKey(keys);
        let named = group_id("group-1");
        let group = Group { id: named, attestation, settings, reprovision: None, stamp: stamp() };
        let entry = Entry::Group(&group);
        let asked = request(&id("dev-1"), entry, &question(entry, None), &Evidence::None);
        let mut shown = value(&asked)["enrollmentGroup"].clone();
        let own = shown["customAllocationDefinition"]["apiVersion"].take();
        (own, shown)
    };
    let (oldest, newest) = (written("2018-09-01-preview"), written("2025-07-01-preview"));
    assert_eq!(
        (oldest.0.as_str(), newest.0.as_str()),
        (Some("2018-09-01-preview"), Some("2025-07-01-preview"))
    );
    // A-13: an older version may be told newer members.
    assert_eq!(oldest.1, newest.1);
    assert_eq!(oldest.1["capabilities"]["iotEdge"], true);
}

#[test]
fn w_02_a_new_device_with_a_certificate() {
    let (leaf, _) = certificate("dev-1");
    let slots = Slots { primary: Some(leaf.clone()), secondary: None };
    let individual = Individual {
        registration_id: id("dev-1"),
        device_id: None,
        attestation: IndividualAttestation::ClientCertificates(slots),
        settings: settings(),
        optional_device_information: None,
        stamp: stamp(),
    };
    let entry = Entry::Individual(&individual);
    let evidence = Evidence::X509(vec![leaf.clone()]);
    let written = value(&request(&id("dev-1"), entry, &question(entry, None), &evidence));
    let context = &written["deviceRuntimeContext"];
    assert!(context.get("currentIotHubHostName").is_none());
    assert!(context.get("currentDeviceId").is_none());
    assert!(context.get("symmetricKey").is_none());
    let primary = &context["x509"]["clientCertificates"]["primary"];
    assert_eq!(primary["info"]["sha256Thumbprint"], leaf.thumbprint().to_string());
    assert_eq!(primary["certificate"], STANDARD.encode(leaf.der()));
    assert_eq!(written["individualEnrollment"]["registrationId"], "dev-1");
}

#[test]
fn w_03_w_04_an_answer_is_read_with_both_names_of_the_payload() {
    let body = br#"{"iotHubHostName": "hub1.localhost", "initialTwin": {"tags": {"a": 1}},
                    "payload": {"b": 2}, "more": 3}"#;
    let Answer { hub, initial_twin, payload } = answer(200, body).unwrap();
    assert_eq!(hub, "hub1.localhost");
    assert_eq!(initial_twin.map(Value::Object), Some(json!({"tags": {"a": 1}})));
    assert_eq!(payload, Some(json!({"b": 2})));
    let old = br#"{"iotHubHostName": "h", "initialTwin": null, "returnData": {"c": 3}}"#;
    let Answer { initial_twin, payload, .. } = answer(200, old).unwrap();
    assert_eq!((initial_twin, payload), (None, Some(json!({"c": 3}))));
}

#[test]
fn w_06_what_is_no_answer() {
    for (status, body) in [
        (200, &b""[..]),
        (200, b"{}"),
        (200, b"[]"),
        (200, b"null"),
        (200, br#"{"iotHubHostName": null}"#),
        (200, br#"{"iotHubHostName": 7}"#),
        (200, br#"{"iotHubHostName": "h", "initialTwin": "none"}"#),
        (200, b"<html>"),
        (200, b"\xff\xfe"),
    ] {
        assert_eq!(answer(status, body).unwrap_err().status, None);
    }
    for status in [199, 301, 302, 307, 400, 401, 404, 429, 500, 503] {
        let body = br#"{"iotHubHostName": "h"}"#;
        assert_eq!(answer(status, body).unwrap_err().status, Some(status));
    }
    let whole = br#"{"iotHubHostName": "h", "payload": {"b": [2]}}"#;
    for length in 0..whole.len() {
        assert!(answer(200, &whole[..length]).is_err(), "{length}");
    }
}
