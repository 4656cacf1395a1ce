//! What is read: the bodies of every client, and what they become.

use ::attestation::SymmetricKey;
use proptest::prelude::*;
use provisioning::draft::{self, CertificateDraft, ReprovisionDraft};
use provisioning::enrollment::{
    AllocationPolicy, Group, GroupAttestation, Individual, IndividualAttestation,
    ProvisioningStatus, ReprovisionPolicy,
};
use serde_json::{Value, json};

use crate::api_version::ApiVersion;
use crate::rest::error::{ApiFault, dps};
use crate::rest::service::{enrollment, group};
use crate::samples::{ENDORSEMENT_KEY, certificate, group_id, id, instance, stamp};

fn version(text: &str) -> ApiVersion {
    ApiVersion::parse(text).unwrap()
}

/// Puts a body at `/enrollments/dev-1` of an empty instance; generated keys are all zeros.
fn put(body: &Value, api_version: &str) -> Individual {
    let draft = enrollment::draft(&id("dev-1"), body.to_string().as_bytes(), &version(api_version));
    let mut keys = || SymmetricKey::from_bytes(vec![0; 64]).unwrap();
    draft::individual(&draft.unwrap(), None, &instance(), &mut keys, stamp()).unwrap()
}

fn put_group(body: &Value) -> Group {
    let text = body.to_string();
    let draft = group::draft(&group_id("group-1"), text.as_bytes(), &version("2021-10-01"));
    let mut keys = || SymmetricKey::from_bytes(vec![0; 64]).unwrap();
    draft::group(&draft.unwrap(), None, &instance(), &mut keys, stamp()).unwrap()
}

/// Z-01: `az iot dps enrollment create --at symmetricKey`.
#[test]
fn z_01_az_creates_with_empty_keys_and_empty_twins() {
    let entry = put(
        &json!({
            "registrationId": "dev-1",
            "deviceId": null,
            "optionalDeviceInformation": {},
            "attestation": {"type": "symmetricKey", "symmetricKey": {}},
            "capabilities": {"iotEdge": false},
            "initialTwin": {"tags": {}, "properties": {"desired": {}}},
            "provisioningStatus": "enabled",
            "reprovisionPolicy": {"updateHubAssignment": true, "migrateDeviceData": true},
        }),
        "2021-10-01",
    );
    assert!(matches!(entry.attestation, IndividualAttestation::SymmetricKey(_)));
    assert_eq!(entry.settings.reprovision_policy, Some(ReprovisionPolicy::DEFAULT));
    assert_eq!(entry.optional_device_information, Some(json!({})));
    assert_eq!(
        entry.settings.initial_twin,
        json!({"tags": {}, "properties": {"desired": {}}}).as_object().cloned()
    );
}

/// Z-02, Z-03: `az … update` sends the object that it read, its etag inside, and a twin that has
/// been through `str()`.
#[test]
fn z_02_z_03_az_updates_with_what_it_read() {
    let twin = json!({
        "additional_properties": {},
        "tags": {"additional_properties": {}, "version": "1", "count": null, "metadata": null},
        "properties": {"desired": {"count": 3}},
    });
    let entry = put(
        &json!({
            "attestation": {
                "type": "symmetricKey",
                "symmetricKey": {
                    "primaryKey": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
                    "secondaryKey": "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=",
                },
            },
            "capabilities": {"iotEdge": true},
            "etag": "\"old\"",
            "initialTwin": twin,
            "provisioningStatus": "disabled",
            "registrationId": "dev-1",
            "allocationPolicy": "static",
            "iotHubs": ["hub1.localhost"],
            "reprovisionPolicy": {"migrateDeviceData": false, "updateHubAssignment": false},
        }),
        "2021-10-01",
    );
    assert_eq!(entry.settings.initial_twin, twin.as_object().cloned());
    assert_eq!(entry.settings.provisioning_status, ProvisioningStatus::Disabled);
    assert_eq!(entry.stamp, stamp());
    assert_eq!(entry.settings.iot_edge, Some(true));
}

/// Node `azure-iot-provisioning-service` 1.11, and its e2e suite.
#[test]
fn node_creates_with_a_certificate_in_base64_of_pem() {
    let (leaf, pem) = certificate("dev-1");
    let encoded = {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(&pem)
    };
    let entry = put(
        &json!({
            "registrationId": "dev-1",
            "deviceId": "first-device",
            "attestation": {
                "type": "x509",
                "x509": {"clientCertificates": {"primary": {"certificate": encoded}}},
            },
            "allocationPolicy": "static",
        }),
        "2021-10-01",
    );
    assert_eq!(draft::claims_of(&entry), [leaf.content_hash()]);
    assert_eq!(entry.device_id.unwrap().as_str(), "first-device");
}

/// C# `Microsoft.Azure.Devices.Provisioning.Service` 1.x sends back what the service had added.
#[test]
fn csharp_sends_back_what_it_read() {
    let entry = put(
        &json!({
            "registrationId": "DEV-1",
            "deviceId": "d",
            "registrationState": {"registrationId": "dev-1", "status": "unassigned", "x": {}},
            "attestation": {
                "type": "tpm",
                "tpm": {"endorsementKey": ENDORSEMENT_KEY, "storageRootKey": null},
            },
            "iotHubHostName": "hub1.localhost",
            "provisioningStatus": "Enabled",
            "createdDateTimeUtc": "2018-01-01T00:00:00Z",
            "lastUpdatedDateTimeUtc": "nonsense",
            "etag": 7,
            "capabilities": {"iotEdge": true},
            "allocationPolicy": "geoLatency",
            "iotHubs": ["hub1.localhost"],
            "customAllocationDefinition": {
                "webhookUrl": "https://a.test",
                "apiVersion": "2019-03-31",
            },
        }),
        "2019-03-31",
    );
    assert_eq!(entry.registration_id.as_str(), "dev-1");
    assert_eq!(entry.settings.allocation_policy, Some(AllocationPolicy::GeoLatency));
    assert_eq!(entry.settings.reprovision_policy, Some(ReprovisionPolicy::DEFAULT));
}

/// V-16: the Java e2e suite sends empty keys.
#[test]
fn java_creates_with_empty_keys() {
    let entry = put(
        &json!({
            "registrationId": "dev-1",
            "attestation": {
                "type": "symmetricKey",
                "symmetricKey": {"primaryKey": "", "secondaryKey": ""},
            },
            "provisioningStatus": "enabled",
            "initialTwin": {"tags": {"a": 1}, "properties": {"desired": {"b": [1, 2]}}},
            "reprovisionPolicy": {"updateHubAssignment": true, "migrateDeviceData": false},
            "allocationPolicy": "hashed",
            "iotHubs": ["hub1.localhost", "hub2.localhost"],
            "capabilities": {"iotEdge": false},
        }),
        "2019-03-31",
    );
    let IndividualAttestation::SymmetricKey(pair) = entry.attestation else { panic!() };
    assert!(!pair.primary.to_base64().is_empty());
    assert_eq!(entry.settings.iot_hubs.len(), 2);
}

/// R-20: the C client speaks 2018-04-01 and knows no reprovision policies.
#[test]
fn r_20_an_old_client_stores_no_reprovision_policy() {
    let body = json!({
        "registrationId": "dev-1",
        "attestation": {"type": "symmetricKey"},
        "provisioningStatus": "enabled",
    });
    for (api_version, expected) in [
        ("2017-11-15", None),
        ("2018-04-01", None),
        ("2018-09-01-preview", Some(ReprovisionPolicy::DEFAULT)),
        ("2021-10-01", Some(ReprovisionPolicy::DEFAULT)),
    ] {
        assert_eq!(put(&body, api_version).settings.reprovision_policy, expected, "{api_version}");
    }
}

#[test]
fn groups_of_every_kind_are_read() {
    let (_, pem) = certificate("ca");
    let entry = put_group(&json!({
        "enrollmentGroupId": "group-1",
        "attestation": {
            "type": "x509",
            "x509": {
                "clientCertificates": null,
                "signingCertificates": {"primary": {"certificate": pem}, "secondary": null},
                "caReferences": null,
            },
        },
    }));
    assert!(matches!(entry.attestation, GroupAttestation::SigningCertificates(_)));
    let entry = put_group(&json!({
        "enrollmentGroupId": "group-1",
        "attestation": {"type": "X509", "x509": {"caReferences": {"primary": "root"}}},
    }));
    assert!(matches!(entry.attestation, GroupAttestation::CaReferences(_)));
    let entry = put_group(&json!({
        "enrollmentGroupId": "group-1",
        "attestation": {"type": "x509",
            "x509": {"caReferences": {"primary": "root"}, "certifies": "endorsementKey"}},
    }));
    assert!(matches!(entry.attestation, GroupAttestation::MakerReferences(_)));
    let entry = put_group(&json!({
        "enrollmentGroupId": "group-1",
        "attestation": {"type": "symmetricKey", "symmetricKey": null},
        "credentialPolicyName": "policy",
    }));
    assert!(matches!(entry.attestation, GroupAttestation::SymmetricKey(_)));
    assert_eq!(entry.settings.credential_policy_name.as_deref(), Some("policy"));
}

/// A-45, A-46: what a slot can be sent as.
#[test]
fn slots_are_told_apart() {
    let check = |slot: Value, expected: Option<CertificateDraft>| {
        let body = json!({
            "attestation": {"type": "x509", "x509": {"clientCertificates": {"primary": slot}}},
        });
        let text = body.to_string();
        let draft =
            enrollment::draft(&id("dev-1"), text.as_bytes(), &version("2021-10-01")).unwrap();
        assert_eq!(draft.attestation.x509.unwrap().client_certificates.unwrap().primary, expected);
    };
    let kept = |thumbprint: &str| CertificateDraft::Kept { thumbprint: thumbprint.to_owned() };
    check(json!(null), None);
    check(json!({}), None);
    check(json!({"certificate": null, "info": null}), None);
    check(json!({"certificate": "x"}), Some(CertificateDraft::Uploaded(b"x".to_vec())));
    check(
        json!({"certificate": "x", "info": {"sha256Thumbprint": "AB"}}),
        Some(CertificateDraft::Uploaded(b"x".to_vec())),
    );
    check(json!({"info": {"sha256Thumbprint": "AB", "version": 3}}), Some(kept("AB")));
    check(json!({"certificate": "", "info": {"subjectName": "CN=x"}}), Some(kept("")));
}

#[test]
fn v_26_unknown_members_are_skipped() {
    let entry = put(
        &json!({
            "registrationId": "dev-1",
            "attestation": {"type": "symmetricKey", "new": {"deep": [[]]}},
            "capabilities": {"iotEdge": true, "other": 1},
            "namespaceName": "x",
        }),
        "2026-11-01",
    );
    assert_eq!(entry.settings.iot_edge, Some(true));
}

#[test]
fn v_29_unknown_words_are_refused_and_case_is_not_looked_at() {
    let check = |member: &str, given: &str| {
        let mut body = json!({"attestation": {"type": "symmetricKey"}});
        match member {
            "attestation.type" => body["attestation"]["type"] = json!(given),
            member => body[member] = json!(given),
        }
        let text = body.to_string();
        enrollment::draft(&id("dev-1"), text.as_bytes(), &version("2021-10-01")).map(|_| ())
    };
    for (member, good, bad) in [
        ("provisioningStatus", "DISABLED", "off"),
        ("allocationPolicy", "geolatency", "nearest"),
        ("attestation.type", "SymmetricKey", "none"),
        ("attestation.type", "TPM", ""),
    ] {
        assert_eq!(check(member, good), Ok(()), "{member}");
        let fault = check(member, bad).unwrap_err();
        assert!(matches!(&fault, ApiFault::UnknownWord { member: at, .. } if *at == member));
        assert_eq!(dps(&fault).code, 400_004);
    }
    let long = "x".repeat(100_000);
    let fault = check("allocationPolicy", &long).unwrap_err();
    assert!(dps(&fault).message.len() < 200);
}

#[test]
fn what_is_missing_is_named() {
    let check = |body: Value, expected: &str| {
        let text = body.to_string();
        let draft = enrollment::draft(&id("dev-1"), text.as_bytes(), &version("2021-10-01"));
        let fault = draft.unwrap_err();
        assert_eq!(dps(&fault).message, format!("{expected} is missing: add it."));
    };
    check(json!({}), "attestation");
    check(json!({"attestation": {}}), "attestation.type");
    let policy = |policy: Value| json!({"attestation": {"type": "symmetricKey"}, "reprovisionPolicy": policy});
    check(policy(json!({})), "reprovisionPolicy.updateHubAssignment");
    check(policy(json!({"updateHubAssignment": true})), "reprovisionPolicy.migrateDeviceData");
}

#[test]
fn what_is_of_another_type_is_refused() {
    for body in [
        json!([]),
        json!("text"),
        json!({"attestation": "x509"}),
        json!({"attestation": {"type": "symmetricKey"}, "initialTwin": "{}"}),
        json!({"attestation": {"type": "symmetricKey"}, "iotHubs": "hub1.localhost"}),
        json!({"attestation": {"type": "symmetricKey"}, "capabilities": {"iotEdge": "true"}}),
        json!({"attestation": {"type": "x509", "x509": {"caReferences": ["root"]}}}),
    ] {
        let text = body.to_string();
        let found = enrollment::draft(&id("dev-1"), text.as_bytes(), &version("2021-10-01"));
        let fault = found.map(|_| ()).unwrap_err();
        assert!(matches!(fault, ApiFault::Malformed { .. }), "{body}");
        assert_eq!(dps(&fault).status, 400);
    }
}

#[test]
fn an_absent_reprovision_policy_is_left_to_the_rules() {
    let text = br#"{"attestation":{"type":"symmetricKey"}}"#;
    let of = |api_version| {
        let draft = enrollment::draft(&id("dev-1"), text, &version(api_version)).unwrap();
        draft.settings.reprovision_policy
    };
    assert_eq!(of("2018-04-01"), ReprovisionDraft::Unknown);
    assert_eq!(of("2019-03-31"), ReprovisionDraft::LeftToDefault);
}

#[test]
fn every_truncation_of_a_body_is_refused() {
    let body = json!({
        "registrationId": "dev-1",
        "attestation": {"type": "x509", "x509": {"clientCertificates": {"primary": {"info": {
            "sha256Thumbprint": "AB"}}}}},
        "initialTwin": {"tags": {"a": [1, "€"]}},
    })
    .to_string();
    for at in 0..body.len() {
        let part = &body.as_bytes()[..at];
        assert!(enrollment::draft(&id("dev-1"), part, &version("2021-10-01")).is_err(), "{at}");
    }
}

/// Any JSON of a few levels, numbers as they survive a text.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1.0e9..1.0e9_f64).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("(count|metadata|version|[a-z$.]{1,4})", inner, 0..4)
                .prop_map(Value::from_iter),
        ]
    })
}

proptest! {
    #[test]
    fn free_json_round_trips(tags in any_json(), information in any_json()) {
        let body = json!({
            "registrationId": "dev-1",
            "attestation": {"type": "symmetricKey"},
            "initialTwin": {"tags": tags},
            "optionalDeviceInformation": information,
        });
        let entry = put(&body, "2021-10-01");
        let written = crate::json::utf8_json(&enrollment::json(
            &entry,
            None,
            crate::rest::service::Keys::Withheld,
        ));
        let written: Value = serde_json::from_slice(&written).unwrap();
        prop_assert_eq!(&written["initialTwin"], &body["initialTwin"]);
        prop_assert_eq!(&written["optionalDeviceInformation"], &body["optionalDeviceInformation"]);
    }

    #[test]
    fn no_body_panics(body in any::<Vec<u8>>(), text in r#"[\[\]{}",:a-z0-9]{0,60}"#) {
        let _ = enrollment::draft(&id("dev-1"), &body, &version("2021-10-01"));
        let _ = group::draft(&group_id("group-1"), text.as_bytes(), &version("2021-10-01"));
    }
}
