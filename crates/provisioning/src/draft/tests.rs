//! The rules V-01 to V-30 and, by their numbers.

mod credentials;
mod makers;
mod settings;

use std::cell::Cell;

use ::attestation::SymmetricKey;
use ::attestation::network::NetworkAccess;
use ::attestation::x509::Certificate;
use model::{
    CertificateName, EnrollmentGroupId, Etag, HostName, IdError, IdScope, RegistrationId, Revision,
    Secret, ServiceName, Timestamp,
};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair as CertificateKey};
use serde_json::json;

use super::*;
use crate::instance::{CaCertificate, Dps, LinkedHub};
use crate::quota::Quota;
use crate::view::Versioned;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);

fn id(text: &str) -> RegistrationId {
    RegistrationId::parse(text).unwrap()
}

fn group_id(text: &str) -> EnrollmentGroupId {
    EnrollmentGroupId::parse(text).unwrap()
}

fn stamp() -> Stamp {
    Stamp { etag: Etag::new("e"), created: NOW, updated: NOW }
}

/// A certificate of a name, with its PEM text.
fn certificate(name: &str) -> (Certificate, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let signed = params.self_signed(&CertificateKey::generate().unwrap()).unwrap();
    let parsed = Certificate::from_der(signed.der()).unwrap();
    let pem = parsed.to_pem();
    (parsed, pem)
}

fn row<T>(value: T) -> Versioned<T> {
    Versioned { value, revision: Revision(1) }
}

/// An instance with two linked hubs, `hub1.localhost` and `hub2.localhost`.
fn instance() -> InstanceView {
    let linked = |name: &str| LinkedHub {
        host: HostName::parse(name).unwrap(),
        allocation_weight: 1,
        apply_allocation_policy: true,
        remote: None,
        latencies: Default::default(),
    };
    InstanceView {
        dps: Dps {
            name: ServiceName::parse("dps").unwrap(),
            id_scope: IdScope::parse("0ne00ABCDEF").unwrap(),
            host: HostName::parse("dps.localhost").unwrap(),
            allocation_policy: AllocationPolicy::Hashed,
            linked_hubs: vec![linked("hub1.localhost"), linked("hub2.localhost")],
            policies: Vec::new(),
            network: NetworkAccess::default(),
            quota: Quota::default(),
            challenge_secret: None,
            expiry_exceptions: Vec::new(),
            issuance: Default::default(),
            regions: Vec::new(),
            created: NOW,
        },
        groups: Vec::new(),
        ca_certificates: Vec::new(),
        generation: Revision(1),
    }
}

fn ca(name: &str, certificate: Certificate, verified: bool) -> Versioned<CaCertificate> {
    row(CaCertificate {
        name: CertificateName::parse(name).unwrap(),
        certificate,
        verified,
        code: None,
        etag: Etag::new("e"),
        created: NOW,
        updated: NOW,
    })
}

fn attestation(mechanism: Mechanism) -> AttestationDraft {
    AttestationDraft { mechanism, tpm: None, x509: None, symmetric_key: None }
}

/// `{"type": "symmetricKey"}`.
fn symmetric() -> AttestationDraft {
    attestation(Mechanism::SymmetricKey)
}

fn keys(primary: Option<&str>, secondary: Option<&str>) -> AttestationDraft {
    let secret = |text: &str| Secret::new(text.to_owned());
    AttestationDraft {
        symmetric_key: Some(KeysDraft {
            primary: primary.map(secret),
            secondary: secondary.map(secret),
        }),
        ..symmetric()
    }
}

fn x509(x509: X509Draft) -> AttestationDraft {
    AttestationDraft { x509: Some(x509), ..attestation(Mechanism::X509) }
}

fn uploaded(pem: &str) -> CertificateDraft {
    CertificateDraft::Uploaded(pem.as_bytes().to_vec())
}

fn kept(of: &Certificate) -> CertificateDraft {
    CertificateDraft::Kept { thumbprint: of.thumbprint().to_string() }
}

fn clients(
    primary: Option<CertificateDraft>,
    secondary: Option<CertificateDraft>,
) -> AttestationDraft {
    x509(X509Draft {
        client_certificates: Some(Slots { primary, secondary }),
        ..X509Draft::default()
    })
}

fn signing(
    primary: Option<CertificateDraft>,
    secondary: Option<CertificateDraft>,
) -> AttestationDraft {
    x509(X509Draft {
        signing_certificates: Some(Slots { primary, secondary }),
        ..X509Draft::default()
    })
}

fn references(primary: Option<&str>, secondary: Option<&str>) -> AttestationDraft {
    let names =
        Slots { primary: primary.map(str::to_owned), secondary: secondary.map(str::to_owned) };
    x509(X509Draft { ca_references: Some(names), ..X509Draft::default() })
}

fn individual_draft(attestation: AttestationDraft) -> IndividualDraft {
    IndividualDraft {
        registration_id: id("dev-1"),
        named: Some("dev-1".to_owned()),
        device_id: None,
        attestation,
        settings: SettingsDraft::default(),
        optional_device_information: None,
    }
}

fn group_draft(attestation: AttestationDraft) -> GroupDraft {
    GroupDraft {
        id: group_id("group-1"),
        named: Some("group-1".to_owned()),
        attestation,
        settings: SettingsDraft::default(),
    }
}

/// Puts an individual; fresh keys are numbered from 1.
fn put(
    draft: &IndividualDraft,
    existing: Option<&Individual>,
    instance: &InstanceView,
) -> Result<Individual, DraftError> {
    individual(draft, existing, instance, &mut numbered(&Cell::new(0)), stamp())
}

fn put_group(
    draft: &GroupDraft,
    existing: Option<&Group>,
    instance: &InstanceView,
) -> Result<Group, DraftError> {
    group(draft, existing, instance, &mut numbered(&Cell::new(0)), stamp())
}

fn numbered(count: &Cell<u8>) -> impl FnMut() -> SymmetricKey + '_ {
    || {
        count.set(count.get() + 1);
        SymmetricKey::from_bytes(vec![count.get(); 64]).unwrap()
    }
}

/// The error that putting an individual of this attestation gives.
fn refused(attestation: AttestationDraft) -> DraftError {
    put(&individual_draft(attestation), None, &instance()).unwrap_err()
}

/// The error that putting a group of this attestation gives.
fn group_refused(attestation: AttestationDraft) -> DraftError {
    put_group(&group_draft(attestation), None, &instance()).unwrap_err()
}

#[test]
fn v_01_v_02_ids_of_the_address_are_kept_as_spelled() {
    let draft = IndividualDraft { registration_id: id("Dev-1"), ..individual_draft(symmetric()) };
    let entry = put(&draft, None, &instance()).unwrap();
    assert_eq!(entry.registration_id.as_str(), "Dev-1");
    let draft = GroupDraft { id: group_id("GROUP-1"), ..group_draft(symmetric()) };
    assert_eq!(put_group(&draft, None, &instance()).unwrap().id.as_str(), "GROUP-1");
}

#[test]
fn v_03_a_device_id_follows_the_rules_of_the_hub() {
    let with = |device_id: &str| IndividualDraft {
        device_id: Some(device_id.to_owned()),
        ..individual_draft(symmetric())
    };
    let entry = put(&with("My Device"), None, &instance());
    let because = IdError::Character { character: ' ', at: 2 };
    assert_eq!(entry.unwrap_err(), DraftError::DeviceId { given: "My Device".to_owned(), because });
    let entry = put(&with("A+b%c#d"), None, &instance()).unwrap();
    assert_eq!(entry.device_id.unwrap().as_str(), "A+b%c#d");
    assert!(put(&with(""), None, &instance()).unwrap().device_id.is_none());
}

#[test]
fn v_05_another_id_in_the_document_is_refused() {
    let named = |named: Option<&str>| IndividualDraft {
        named: named.map(str::to_owned),
        ..individual_draft(symmetric())
    };
    for same in [None, Some("dev-1"), Some("DEV-1")] {
        assert!(put(&named(same), None, &instance()).is_ok(), "{same:?}");
    }
    for other in ["dev-2", "", "dev 1"] {
        let error = put(&named(Some(other)), None, &instance()).unwrap_err();
        let addressed = "dev-1".to_owned();
        assert_eq!(error, DraftError::OtherId { addressed, named: other.to_owned() });
    }
    let draft = GroupDraft { named: Some("x".to_owned()), ..group_draft(symmetric()) };
    let error = put_group(&draft, None, &instance()).unwrap_err();
    assert!(matches!(error, DraftError::OtherId { .. }));
}

#[test]
fn a_draft_is_stored_with_the_stamp_it_is_given() {
    let entry = put(&individual_draft(symmetric()), None, &instance()).unwrap();
    assert_eq!(entry.stamp, stamp());
}

#[test]
fn free_json_is_kept_to_the_letter() {
    let twin = json!({
        "tags": {"count": 1, "metadata": {"a": null}, "version": "x", "$v": [1, {"b": 2.5}]},
        "properties": {"desired": {"count": null, "version": {"metadata": []}}},
        "additional_properties": {},
    });
    let information = json!({"version": 3, "nested": [true, "€"]});
    let draft = IndividualDraft {
        settings: SettingsDraft {
            initial_twin: twin.as_object().cloned(),
            ..SettingsDraft::default()
        },
        optional_device_information: Some(information.clone()),
        ..individual_draft(symmetric())
    };
    let entry = put(&draft, None, &instance()).unwrap();
    assert_eq!(entry.settings.initial_twin, twin.as_object().cloned());
    assert_eq!(entry.optional_device_information, Some(information));
}

#[test]
fn every_refusal_says_what_is_wrong_without_a_key() {
    let draft = individual_draft(keys(Some("c2VjcmV0"), None));
    assert!(!format!("{draft:?}").contains("c2VjcmV0"));
    let error = put(&draft, None, &instance()).unwrap_err();
    assert!(!error.to_string().contains("c2VjcmV0"));
    assert!(error.to_string().contains("primaryKey"));
}
