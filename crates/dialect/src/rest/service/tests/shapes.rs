//! What is written: `dps-service-api` §9 and A-40 to A-44.

use ::attestation::SymmetricKey;
use provisioning::draft;
use provisioning::enrollment::{
    AllocationPolicy, CustomAllocation, Group, GroupAttestation, Individual, IndividualAttestation,
    KeyPair, Mechanism, ReprovisionPolicy, Settings, Slots,
};
use provisioning::registration::RegistrationStatus;
use serde_json::{Value, json};

use crate::api_version::ApiVersion;
use crate::json::utf8_json;
use crate::rest::service::attestation::AttestationJson;
use crate::rest::service::{Keys, enrollment, group, registration};
use crate::samples::{
    ENDORSEMENT_KEY, certificate, group_entry, group_id, id, individual_entry, instance, key,
    record, stamp, text, value,
};

fn individual(attestation: IndividualAttestation) -> Individual {
    Individual {
        registration_id: id("dev-1"),
        device_id: None,
        attestation,
        settings: Settings {
            reprovision_policy: Some(ReprovisionPolicy::DEFAULT),
            ..Settings::default()
        },
        optional_device_information: None,
        stamp: stamp(),
    }
}

fn pair() -> KeyPair {
    KeyPair { primary: key(1), secondary: key(2) }
}

const PRIMARY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const SECONDARY: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

fn written(entry: &Individual, keys: Keys) -> Value {
    value(&utf8_json(&enrollment::json(entry, None, keys)))
}

#[test]
fn a_40_a_41_keys_are_in_the_answer_to_put_alone() {
    let entry = individual(IndividualAttestation::SymmetricKey(pair()));
    let whole = format!(
        r#"{{"registrationId":"dev-1","attestation":{{"type":"symmetricKey","symmetricKey":{{"primaryKey":"{PRIMARY}","secondaryKey":"{SECONDARY}"}}}},"capabilities":{{"iotEdge":false}},"etag":"\"13003fea-0000\"","provisioningStatus":"enabled","reprovisionPolicy":{{"updateHubAssignment":true,"migrateDeviceData":true}},"createdDateTimeUtc":"2022-07-05T21:27:16.8123235Z","lastUpdatedDateTimeUtc":"2030-01-01T00:00:00.0000000Z"}}"#
    );
    let put = enrollment::json(&entry, None, Keys::Written);
    assert_eq!(text(&utf8_json(&put)), whole);
    let got = written(&entry, Keys::Withheld);
    assert_eq!(got["attestation"], json!({"type": "symmetricKey"}));
    let group = Group {
        id: group_id("group-1"),
        attestation: GroupAttestation::SymmetricKey(pair()),
        settings: Settings::default(),
        reprovision: None,
        stamp: stamp(),
    };
    let got = value(&utf8_json(&group::json(&group, Keys::Withheld)));
    assert_eq!(got["attestation"], json!({"type": "symmetricKey"}));
    assert_eq!(got["enrollmentGroupId"], "group-1");
    let put = value(&utf8_json(&group::json(&group, Keys::Written)));
    assert_eq!(put["attestation"]["symmetricKey"]["primaryKey"], PRIMARY);
}

#[test]
fn a_42_the_mechanism_is_written_whole() {
    let keys = IndividualAttestation::SymmetricKey(pair());
    let json = AttestationJson::of_individual(&keys, Keys::Written);
    assert_eq!(
        value(&utf8_json(&json)),
        json!({
            "type": "symmetricKey",
            "symmetricKey": {"primaryKey": PRIMARY, "secondaryKey": SECONDARY},
        })
    );
}

#[test]
fn a_43_a_tpm_is_written_with_its_public_key() {
    for (storage_root_key, expected) in [
        (None, json!({"endorsementKey": "AToA"})),
        (Some("ARoA".to_owned()), json!({"endorsementKey": "AToA", "storageRootKey": "ARoA"})),
    ] {
        let endorsement_key = "AToA".to_owned();
        let entry = individual(IndividualAttestation::Tpm { endorsement_key, storage_root_key });
        for keys in [Keys::Withheld, Keys::Written] {
            assert_eq!(
                written(&entry, keys)["attestation"],
                json!({"type": "tpm", "tpm": expected})
            );
        }
    }
}

#[test]
fn a_44_a_certificate_is_written_as_its_eight_facts() {
    let (leaf, _) = certificate("dev-1");
    let entry = individual(IndividualAttestation::ClientCertificates(Slots {
        primary: Some(leaf.clone()),
        secondary: None,
    }));
    for keys in [Keys::Withheld, Keys::Written] {
        let slots = &written(&entry, keys)["attestation"]["x509"]["clientCertificates"];
        assert!(slots.get("secondary").is_none());
        assert!(slots["primary"].get("certificate").is_none());
        assert_eq!(
            slots["primary"]["info"],
            json!({
                "subjectName": "CN=dev-1",
                "sha1Thumbprint": leaf.sha1_thumbprint().to_string(),
                "sha256Thumbprint": leaf.thumbprint().to_string(),
                "issuerName": "CN=dev-1",
                "notBeforeUtc": "2026-01-01T00:00:00.0000000Z",
                "notAfterUtc": "2036-01-01T00:00:00.0000000Z",
                "serialNumber": leaf.serial_hex(),
                "version": 3,
            })
        );
        let serial = slots["primary"]["info"]["serialNumber"].as_str().unwrap();
        assert!(!serial.is_empty() && serial == serial.to_uppercase());
    }
}

#[test]
fn ca_references_are_written_as_names() {
    let name = |text| model::CertificateName::parse(text).unwrap();
    let group = Group {
        id: group_id("group-1"),
        attestation: GroupAttestation::CaReferences(Slots {
            primary: Some(name("root")),
            secondary: None,
        }),
        settings: Settings::default(),
        reprovision: None,
        stamp: stamp(),
    };
    assert_eq!(
        value(&utf8_json(&group::json(&group, Keys::Withheld)))["attestation"],
        json!({"type": "x509", "x509": {"caReferences": {"primary": "root"}}})
    );
}

/// Beside our member it is a document that every standard client reads.
#[test]
fn makers_of_tpms_are_written_as_certificates() {
    let (ca, _) = certificate("maker");
    let name = |text| model::CertificateName::parse(text).unwrap();
    let written = |attestation| {
        let (settings, stamp) = (Settings::default(), stamp());
        let group =
            Group { id: group_id("group-1"), attestation, settings, reprovision: None, stamp };
        value(&utf8_json(&group::json(&group, Keys::Withheld)))["attestation"].clone()
    };
    let named = Slots { primary: Some(name("maker")), secondary: None };
    assert_eq!(
        written(GroupAttestation::MakerReferences(named)),
        json!({"type": "x509",
            "x509": {"caReferences": {"primary": "maker"}, "certifies": "endorsementKey"}})
    );
    let own = Slots { primary: Some(ca), secondary: None };
    let own = written(GroupAttestation::MakerCertificates(own));
    assert_eq!(
        (&own["type"], &own["x509"]["certifies"]),
        (&json!("x509"), &json!("endorsementKey"))
    );
    let info = &own["x509"]["signingCertificates"]["primary"]["info"];
    assert_eq!(info["subjectName"], "CN=maker");
}

#[test]
fn every_setting_is_written() {
    let host = |name| model::HostName::parse(name).unwrap();
    let twin = json!({"tags": {"count": 1}, "properties": {"desired": {"version": "2"}}});
    let entry = Individual {
        device_id: Some(model::DeviceId::parse("D 1".replace(' ', "+").as_str()).unwrap()),
        settings: Settings {
            provisioning_status: provisioning::enrollment::ProvisioningStatus::Disabled,
            reprovision_policy: None,
            allocation_policy: Some(AllocationPolicy::GeoLatency),
            iot_hubs: vec![host("hub1.localhost")],
            iot_hub_host_name: Some(host("hub2.localhost")),
            custom_allocation: Some(CustomAllocation {
                webhook_url: "https://a.test/f?code=x".to_owned(),
                api_version: "2019-03-31".to_owned(),
            }),
            initial_twin: twin.as_object().cloned(),
            iot_edge: Some(true),
            credential_policy_name: Some("policy".to_owned()),
        },
        optional_device_information: Some(json!({"a": [1]})),
        ..individual(IndividualAttestation::SymmetricKey(pair()))
    };
    assert_eq!(
        written(&entry, Keys::Withheld),
        json!({
            "registrationId": "dev-1",
            "deviceId": "D+1",
            "optionalDeviceInformation": {"a": [1]},
            "attestation": {"type": "symmetricKey"},
            "capabilities": {"iotEdge": true},
            "iotHubHostName": "hub2.localhost",
            "initialTwin": twin,
            "etag": "\"13003fea-0000\"",
            "provisioningStatus": "disabled",
            "createdDateTimeUtc": "2022-07-05T21:27:16.8123235Z",
            "lastUpdatedDateTimeUtc": "2030-01-01T00:00:00.0000000Z",
            "allocationPolicy": "geoLatency",
            "iotHubs": ["hub1.localhost"],
            "customAllocationDefinition": {
                "webhookUrl": "https://a.test/f?code=x",
                "apiVersion": "2019-03-31",
            },
            "credentialPolicyName": "policy",
        })
    );
}

#[test]
fn nothing_absent_is_written_as_null() {
    let entries = [
        individual(IndividualAttestation::SymmetricKey(pair())),
        individual(IndividualAttestation::ClientCertificates(Slots {
            primary: None,
            secondary: Some(certificate("a").0),
        })),
    ];
    for entry in entries {
        for keys in [Keys::Withheld, Keys::Written] {
            let body = text(&utf8_json(&enrollment::json(&entry, None, keys)));
            assert!(!body.contains("null"), "{body}");
        }
    }
}

#[test]
fn q_07_a_record_is_written_beside_its_entry() {
    let entry = individual(IndividualAttestation::SymmetricKey(pair()));
    let state = record(RegistrationStatus::Assigned, individual_entry(), Mechanism::X509);
    let body = value(&utf8_json(&enrollment::json(&entry, Some(&state), Keys::Withheld)));
    assert_eq!(body["registrationState"]["status"], "assigned");
    assert_eq!(body["registrationState"]["assignedHub"], "hub1.localhost");
}

#[test]
fn d_10_operators_see_the_last_hub_of_a_refused_device() {
    let check = |status, expected: &str| {
        let mut record = record(status, group_entry(), Mechanism::X509);
        record.payload = Some(json!("any"));
        assert_eq!(text(&utf8_json(&registration::json(&record, None))), expected);
    };
    check(
        RegistrationStatus::Disabled,
        r#"{"registrationId":"dev-1","createdDateTimeUtc":"2022-07-05T21:27:16.8123235Z","assignedHub":"hub1.localhost","deviceId":"dev-1","status":"disabled","lastUpdatedDateTimeUtc":"2030-01-01T00:00:00.0000000Z","etag":"\"e-1\"","payload":"any"}"#,
    );
    check(
        RegistrationStatus::Failed,
        r#"{"registrationId":"dev-1","createdDateTimeUtc":"2022-07-05T21:27:16.8123235Z","assignedHub":"hub1.localhost","deviceId":"dev-1","status":"failed","errorCode":400207,"errorMessage":"Custom allocation failed with status code: 400","lastUpdatedDateTimeUtc":"2030-01-01T00:00:00.0000000Z","etag":"\"e-1\"","payload":"any"}"#,
    );
    check(
        RegistrationStatus::Assigned,
        r#"{"registrationId":"dev-1","createdDateTimeUtc":"2022-07-05T21:27:16.8123235Z","assignedHub":"hub1.localhost","deviceId":"dev-1","status":"assigned","substatus":"initialAssignment","lastUpdatedDateTimeUtc":"2030-01-01T00:00:00.0000000Z","etag":"\"e-1\"","payload":"any"}"#,
    );
}

/// Whatever is read can be sent back unchanged, and changes nothing (A-45, A-47, Z-02).
#[test]
fn what_get_gives_can_be_put_back() {
    let (leaf, _) = certificate("dev-1");
    let tpm = IndividualAttestation::Tpm {
        endorsement_key: ENDORSEMENT_KEY.to_owned(),
        storage_root_key: Some("ARoA".to_owned()),
    };
    let version = ApiVersion::parse("2021-10-01").unwrap();
    let mut never = || -> SymmetricKey { panic!("no key is to be generated") };
    for attestation in [
        IndividualAttestation::SymmetricKey(pair()),
        IndividualAttestation::ClientCertificates(Slots {
            primary: Some(leaf.clone()),
            secondary: Some(leaf),
        }),
        tpm,
    ] {
        let entry = individual(attestation);
        let state = record(RegistrationStatus::Assigned, individual_entry(), Mechanism::X509);
        for keys in [Keys::Withheld, Keys::Written] {
            let body = utf8_json(&enrollment::json(&entry, Some(&state), keys));
            let draft = enrollment::draft(&id("dev-1"), &body, &version).unwrap();
            let again =
                draft::individual(&draft, Some(&entry), &instance(), &mut never, stamp()).unwrap();
            assert_eq!(written(&again, Keys::Written), written(&entry, Keys::Written));
        }
    }
}
