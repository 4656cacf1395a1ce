//! Values for tests.

use std::sync::Arc;

use attestation::SymmetricKey;
use attestation::network::NetworkAccess;
use attestation::x509::Certificate;
use attestation::x509::issuing::KeyType;
use model::{
    CertificateName, DeviceId, EnrollmentGroupId, Etag, HostName, IdScope, PolicyName, RegionName,
    RegistrationId, Revision, ServiceName, Timestamp,
};
use provisioning::decide::{HubCredential, Placement, TwinPlan};
use provisioning::enrollment::{AllocationPolicy, EntryId, EntryRef, Mechanism, Stamp};
use provisioning::explain::{Explanation, Outcome};
use provisioning::instance::{CaCertificate, Dps, LinkedHub, Region, RemoteHub};
use provisioning::issuance::{CredentialPolicy, Issuance, Issued, Made, make_issuing, make_root};
use provisioning::quota::Quota;
use provisioning::registration::{
    Assigned, Failure, FailureKind, Registration, RegistrationStatus, Substatus,
};
use provisioning::remote::{Job, Phase};
use provisioning::view::{Evidence, InstanceView, RegistrationRequest, Versioned};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

pub(crate) const NOW: Timestamp = Timestamp::from_unix_seconds(1_893_456_000);
pub(crate) const TRACKING: &str = "3226c2f7-3d30-425c-b83b-0c34335f8220";
pub(crate) const OPERATION: &str = "5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550";

/// The endorsement key of Microsoft's samples and of the SDKs' own tests.
pub(crate) const ENDORSEMENT_KEY: &str = "\
    AToAAQALAAMAsgAgg3GXZ0SEs/gakMyNRqXXJP1S124GUgtk8qHaGzMUaaoABgCAAEMAEAgAAAAAAAEAxsj2gUScTk1U\
    juioeTlfGYZrrimExB+bScH75adUMRIi2UOMxG1kw4y+9RW/IVoMl4e620VxZad0ARX2gUqVjYO7KPVt3dyKhZS3dkcv\
    fBisBhP1XH9B33VqHG9SHnbnQXdBUaCgKAfxome8UmBKfe+naTsE5fkvjb/do3/dD6l4sGBwFCnKRdln4XpM03zLpoHF\
    ao8zOwt8l/uP3qUIxmCYv9A7m69Ms+5/pCkTu/rK4mRDsfhZ0QLfbzVI6zQFOKF/rwsfBtFeWlWtcuJMKlXdD8TXWElT\
    zgh7JS4qhFzreL0c1mI0GCj+Aws0usZh7dLIVPnlgZcBhgy1SSDQMQ==";

pub(crate) fn id(text: &str) -> RegistrationId {
    RegistrationId::parse(text).unwrap()
}

pub(crate) fn group_id(text: &str) -> EnrollmentGroupId {
    EnrollmentGroupId::parse(text).unwrap()
}

pub(crate) fn device_id(text: &str) -> DeviceId {
    DeviceId::parse(text).unwrap()
}

pub(crate) fn key(seed: u8) -> SymmetricKey {
    SymmetricKey::from_bytes(vec![seed; 32]).unwrap()
}

pub(crate) fn stamp() -> Stamp {
    Stamp {
        etag: Etag::new("13003fea-0000"),
        created: Timestamp::parse("2022-07-05T21:27:16.8123235Z").unwrap(),
        updated: NOW,
    }
}

/// A certificate of a name, with its PEM text.
pub(crate) fn certificate(name: &str) -> (Certificate, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2036, 1, 1);
    let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let parsed = Certificate::from_der(signed.der()).unwrap();
    let pem = parsed.to_pem();
    (parsed, pem)
}

pub(crate) fn individual_entry() -> EntryId {
    EntryId::Individual(id("dev-1"))
}

pub(crate) fn group_entry() -> EntryId {
    EntryId::Group(group_id("group-1"))
}

/// A record with an earlier assignment, whatever its status is now.
pub(crate) fn record(
    status: RegistrationStatus,
    entry: EntryId,
    mechanism: Mechanism,
) -> Registration {
    let entry = EntryRef { id: entry, created: stamp().created };
    let failed = status == RegistrationStatus::Failed;
    let assigned = status == RegistrationStatus::Assigned;
    Registration {
        registration_id: id("dev-1"),
        owner: entry.clone(),
        decided_by: entry,
        status,
        substatus: assigned.then_some(Substatus::InitialAssignment),
        assignment: Some(Assigned {
            hub: HostName::parse("hub1.localhost").unwrap(),
            device_id: device_id("dev-1"),
        }),
        failure: failed.then(|| Failure {
            kind: FailureKind::CustomAllocation,
            message: "Custom allocation failed with status code: 400".to_owned(),
        }),
        payload: None,
        pending: None,
        reprovision: None,
        assigned_at: None,
        operation_id: OPERATION.to_owned(),
        earlier_operation_ids: Vec::new(),
        mechanism,
        tpm: None,
        issued: None,
        created: stamp().created,
        updated: NOW,
        etag: Etag::new("e-1"),
        explanation: Arc::new(Explanation {
            registration_id: id("dev-1"),
            at: NOW,
            mechanism: Some(mechanism),
            chain: Vec::new(),
            steps: Vec::new(),
            outcome: Outcome::Rejected { because: String::new() },
        }),
    }
}

/// A JSON text as a value.
pub(crate) fn value(text: &[u8]) -> serde_json::Value {
    serde_json::from_slice(text).unwrap()
}

/// A JSON body as text.
pub(crate) fn text(body: &[u8]) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}

fn north() -> RegionName {
    RegionName::parse("north").unwrap()
}

/// An instance with two linked hubs and the CA certificate `root`.
pub(crate) fn instance() -> InstanceView {
    let linked = |name: &str| LinkedHub {
        host: HostName::parse(name).unwrap(),
        allocation_weight: 1,
        apply_allocation_policy: true,
        remote: None,
        latencies: Default::default(),
    };
    let root = CaCertificate {
        name: CertificateName::parse("root").unwrap(),
        certificate: certificate("root").0,
        verified: true,
        code: None,
        etag: Etag::new("e"),
        created: NOW,
        updated: NOW,
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
            regions: vec![Region { name: north(), networks: vec!["10.1.0.0/16".parse().unwrap()] }],
            created: NOW,
        },
        groups: Vec::new(),
        ca_certificates: vec![Versioned { value: root, revision: Revision(1) }],
        generation: Revision(1),
    }
}

/// What a record holds of a certificate that was issued, its leaf standing in for the device's.
pub(crate) fn issued() -> Issued {
    let policy = issuance().policies.into_iter().next().unwrap();
    let issuer = policy.issuer.unwrap();
    Issued {
        request: attestation::sha256(b"request"),
        policy: policy.name,
        issuer: issuer.id,
        chain: [issuer.certificate].into_iter().chain(issuer.above).collect(),
    }
}

/// A root with a policy below it, and one whose CA was revoked.
pub(crate) fn issuance() -> Issuance {
    let made = Made { serial: [7; 16], id: "ca".to_owned(), now: NOW };
    let root = make_root(&ServiceName::parse("dps").unwrap(), &made).unwrap();
    let policy = |name: &str, revoked: Option<Timestamp>| {
        let name = PolicyName::parse(name).unwrap();
        let issuer = make_issuing(&root, &name, KeyType::P384, &made).unwrap();
        CredentialPolicy {
            name,
            validity_days: 30,
            key_types: KeyType::ALL.to_vec(),
            issuer: revoked.is_none().then_some(issuer),
            earlier: Vec::new(),
            revoked,
            etag: Etag::new("e"),
            created: NOW,
            updated: NOW,
        }
    };
    let policies = vec![policy("fleet", None), policy("gone", Some(NOW))];
    Issuance { root: Some(root.clone()), policies }
}

/// A link to a hub that lives elsewhere.
pub(crate) fn far_link() -> LinkedHub {
    LinkedHub {
        host: HostName::parse("far.example.com").unwrap(),
        allocation_weight: 1,
        apply_allocation_policy: true,
        remote: Some(RemoteHub {
            authority: "far.example.com:8443".to_owned(),
            policy: PolicyName::parse("registryReadWrite").unwrap(),
            key: key(3),
        }),
        latencies: [(north(), 12)].into(),
    }
}

/// A job that moves a device from `hub1.localhost` to that hub.
pub(crate) fn job() -> Job {
    let at =
        |hub: &str| Assigned { hub: HostName::parse(hub).unwrap(), device_id: device_id("dev-1") };
    Job {
        dps: ServiceName::parse("dps").unwrap(),
        operation_id: OPERATION.to_owned(),
        request: RegistrationRequest {
            registration_id: id("dev-1"),
            api_version: "2021-06-01".to_owned(),
            csr: None,
            payload: None,
            from: None,
        },
        evidence: Evidence::None,
        consulted: None,
        place: Placement {
            entry: EntryRef { id: individual_entry(), created: stamp().created },
            to: at("far.example.com"),
            substatus: Substatus::DeviceDataMigrated,
            credential: HubCredential::Sas { primary: key(1), secondary: key(2) },
            twin: TwinPlan::Migrate,
            initial_tags: serde_json::Map::new(),
            initial_desired: serde_json::Map::new(),
            iot_edge: None,
            payload: None,
            from: Some(at("hub1.localhost")),
        },
        made: None,
        to: far_link().remote,
        from: None,
        phase: Phase::Begun,
        begun: NOW,
    }
}
