//! What is written is what is described, member for member; and what is described is read.

use ::hub::identity::{Authentication, Device, Thumbprint};
use ::hub::instance::{Hub, Right as HubRight};
use ::hub::twin::Twin;
use attestation::access::Policy;
use attestation::network::NetworkAccess;
use events::schedule::{Outcome, RetryPolicy};
use events::subscription::Validation;
use events::{
    Dead, DeadReason, Delivery, EndpointUrl, Event, EventType, Filter, Happened, Queued,
    Subscription, Tried,
};
use model::{
    CertificateName, Etag, HostName, PolicyName, ServiceName, Sha256, SubscriptionName,
    VerificationCode, limits,
};
use provisioning::dependents::{Dependence, Dependent};
use provisioning::enrollment::{
    AllocationPolicy, CustomAllocation, EntryRef, Group, GroupAttestation, Individual,
    IndividualAttestation, KeyPair, Mechanism, ReprovisionPolicy, Settings, Slots,
};
use provisioning::instance::ExpiryException;
use provisioning::registration::RegistrationStatus;
use provisioning::reprovision::{DeviceData, Order};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::schema::Schemas;
use super::{Document, parsed};
use crate::api_version::ApiVersion;
use crate::json::utf8_json;
use crate::rest::error::{self, ApiFault, Missing};
use crate::rest::hub::{Presence, Telling};
use crate::rest::service::bulk::{BulkOf, result};
use crate::rest::service::{Keys, enrollment, group, load, registration};
use crate::rest::{admin, device, event, hub, query};
use crate::samples::{
    NOW, OPERATION, TRACKING, certificate, device_id, far_link, group_entry, group_id, id,
    individual_entry, instance, issuance, issued, job, key, record, stamp, value,
};

fn written(json: &impl Serialize) -> Value {
    value(&utf8_json(json))
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn settings() -> Settings {
    let host = HostName::parse("hub1.localhost").unwrap();
    Settings {
        reprovision_policy: Some(ReprovisionPolicy::DEFAULT),
        allocation_policy: Some(AllocationPolicy::Custom),
        iot_hubs: vec![host.clone()],
        iot_hub_host_name: Some(host),
        custom_allocation: Some(CustomAllocation {
            webhook_url: "https://localhost/".to_owned(),
            api_version: "2021-10-01".to_owned(),
        }),
        initial_twin: Some(object(json!({"tags": {"a": 1}}))),
        credential_policy_name: Some("policy".to_owned()),
        ..Settings::default()
    }
}

fn pair() -> KeyPair {
    KeyPair { primary: key(1), secondary: key(2) }
}

fn both<T: Clone>(value: T) -> Slots<T> {
    Slots { primary: Some(value.clone()), secondary: Some(value) }
}

#[test]
fn enrollments_are_written_as_described() {
    let mut schemas = Schemas::of(&parsed(Document::Dps));
    let (leaf, _) = certificate("dev-1");
    let root = CertificateName::parse("root").unwrap();
    let individual = |attestation| Individual {
        registration_id: id("dev-1"),
        device_id: Some(device_id("other")),
        attestation,
        settings: settings(),
        optional_device_information: Some(json!([1])),
        stamp: stamp(),
    };
    let record = record(RegistrationStatus::Assigned, individual_entry(), Mechanism::X509);
    for attestation in [
        IndividualAttestation::SymmetricKey(pair()),
        IndividualAttestation::ClientCertificates(both(leaf.clone())),
        IndividualAttestation::CaReferences(both(root.clone())),
        IndividualAttestation::Tpm {
            endorsement_key: "AToA".to_owned(),
            storage_root_key: Some("ARoA".to_owned()),
        },
    ] {
        let entry = individual(attestation);
        let json = enrollment::json(&entry, Some(&record), Keys::Written);
        schemas.check("IndividualEnrollment", &written(&json));
        let json = enrollment::json(&entry, None, Keys::Withheld);
        schemas.check("IndividualEnrollment", &written(&json));
    }
    for attestation in [
        GroupAttestation::SymmetricKey(pair()),
        GroupAttestation::SigningCertificates(both(leaf.clone())),
        GroupAttestation::CaReferences(both(root.clone())),
        GroupAttestation::MakerCertificates(both(leaf)),
        GroupAttestation::MakerReferences(both(root)),
    ] {
        let entry = Group {
            id: group_id("g"),
            attestation,
            settings: settings(),
            reprovision: None,
            stamp: stamp(),
        };
        schemas.check("EnrollmentGroup", &written(&group::json(&entry, Keys::Written)));
        let bare = Group { settings: Settings::default(), ..entry };
        schemas.check("EnrollmentGroup", &written(&group::json(&bare, Keys::Withheld)));
    }
    let fault = error::dps(&ApiFault::NotFound(Missing::Enrollment));
    for of in [BulkOf::Individuals, BulkOf::Groups] {
        schemas.check("BulkResult", &written(&result(of, [("a", &fault)])));
    }
    let refused = load::LineResult::Refused(fault.clone());
    let lines = [load::LineResult::Created, refused];
    let lines = lines.iter().map(|became| load::line_json(1, "a", became)).collect();
    schemas.check("Load", &written(&load::LoadJson { lines }));
    schemas.check("Error", &value(&fault.json(TRACKING, NOW)));
    schemas.assert_all_seen(&[
        "Load",
        "IndividualEnrollment",
        "EnrollmentGroup",
        "AttestationMechanism",
        "Certificates",
        "Certificate",
        "CertificateInfo",
        "ReprovisionPolicy",
        "CustomAllocationDefinition",
        "BulkResult",
        "Error",
    ]);
}

fn order() -> Order {
    Order { device_data: DeviceData::Migrate, ordered: NOW }
}

#[test]
fn records_are_written_as_described() {
    let mut schemas = Schemas::of(&parsed(Document::Dps));
    schemas.check("RegistrationOperationStatus", &value(&device::accepted(OPERATION).body));
    for status in [
        RegistrationStatus::Unassigned,
        RegistrationStatus::Assigning,
        RegistrationStatus::Assigned,
        RegistrationStatus::Failed,
        RegistrationStatus::Disabled,
    ] {
        for entry in [individual_entry(), group_entry()] {
            for mechanism in [Mechanism::X509, Mechanism::SymmetricKey] {
                let mut record = record(status, entry.clone(), mechanism);
                record.payload = Some(json!({"a": 1}));
                record.issued = Some(issued());
                let (shown, presented) = (device::Shown::AsStored, id("DEV-1"));
                let polled = device::polled(&record, OPERATION, &presented, shown);
                schemas.check("RegistrationOperationStatus", &value(&polled.body));
                let found = device::looked_up(&record, &presented, shown);
                schemas.check("DeviceRegistrationResult", &value(&found.body));
                for order in [None, Some(order())] {
                    let state = registration::json(&record, order);
                    schemas.check("DeviceRegistrationState", &written(&state));
                }
            }
        }
    }
    schemas.assert_all_seen(&[
        "RegistrationOperationStatus",
        "DeviceRegistrationResult",
        "DeviceRegistrationState",
        "Order",
        "OfGroup",
    ]);
}

#[test]
fn identities_and_twins_are_written_as_described() {
    let mut schemas = Schemas::of(&parsed(Document::Hub));
    let sha256 = Thumbprint::Sha256(Sha256([0xAB; 32]));
    for authentication in [
        Authentication::Sas { primary: key(1), secondary: key(2) },
        Authentication::SelfSigned { primary: Some(sha256), secondary: Some(sha256) },
        Authentication::CertificateAuthority,
        Authentication::None,
    ] {
        let bare = Device::new(device_id("d1"), authentication, NOW);
        let full = Device {
            status_reason: Some("stolen".to_owned()),
            device_scope: Some("ms-azure-iot-edge://d1-1".to_owned()),
            parent_scopes: vec!["ms-azure-iot-edge://d2-1".to_owned()],
            ..bare.clone()
        };
        let mut twin = Twin::new(NOW);
        twin.tags = object(json!({"a": 1}));
        for device in [bare, full] {
            for telling in [Telling::Created, Telling::Known] {
                let json = hub::json(&device, Presence::default(), telling);
                schemas.check("Device", &written(&json));
            }
            schemas.check("Twin", &written(&hub::twin(&device, &twin, Presence::default())));
        }
    }
    let fault = error::hub(&ApiFault::NotFound(Missing::Hub));
    schemas.check("Error", &value(&fault.hub_json(TRACKING, NOW)));
    schemas.check("BulkResult", &written(&hub::BulkResult::of([("d1", "create", &fault)])));
    let json = hub::DeviceStatisticsJson {
        total_device_count: 3,
        enabled_device_count: 2,
        disabled_device_count: 1,
    };
    schemas.check("DeviceStatistics", &written(&json));
    let json = hub::ServiceStatisticsJson { connected_device_count: 1 };
    schemas.check("ServiceStatistics", &written(&json));
    schemas.assert_all_seen(&[
        "Device",
        "Twin",
        "TwinSection",
        "Thumbprints",
        "Capabilities",
        "Error",
        "BulkResult",
        "DeviceStatistics",
        "ServiceStatistics",
    ]);
}

#[test]
fn the_administration_writes_as_described() {
    let mut schemas = Schemas::of(&parsed(Document::Admin));
    let list = |item: &Value| json!({"value": [item]});
    let instance = instance();
    let dps = written(&admin::dps_json(&instance.dps));
    schemas.check("ProvisioningServices", &list(&dps));
    for found in provisioning::quota::uses(&instance, 3, 4) {
        schemas.check("Limits", &list(&written(&admin::use_json(&found))));
    }
    let link = instance.dps.linked_hubs.first().unwrap();
    schemas.check("LinkedHubs", &list(&written(&admin::link_json(link))));
    schemas.check("LinkedHubs", &list(&written(&admin::link_json(&far_link()))));
    let job = job();
    schemas.check("Jobs", &list(&written(&admin::job_json(&job, Some("it is away")))));
    let mut ca = instance.ca_certificates.first().unwrap().value.clone();
    ca.code = Some(VerificationCode::from_random([7; 24]));
    schemas.check("Certificate", &written(&admin::certificate_code_json(&ca)));
    schemas.check("Certificates", &list(&written(&admin::certificate_json(&ca))));
    for (by, enabled) in [(Dependence::Reference, true), (Dependence::Chain, false)] {
        let group = group_id("g");
        let dependent = Dependent { group, enabled, by, other_slot_holds: enabled };
        schemas.check("Dependents", &list(&written(&admin::dependent_json(&dependent))));
    }
    for entry in [individual_entry(), group_entry()] {
        let exception = ExpiryException {
            entry: EntryRef { id: entry, created: NOW },
            until: NOW,
            reason: "late".to_owned(),
        };
        let json = written(&admin::exception_json(&exception));
        schemas.check("ExpiryExceptions", &list(&json));
    }
    let issuance = issuance();
    let dps_name = &instance.dps.name;
    schemas.check("Credential", &written(&admin::credential_json(dps_name, &issuance)));
    let policies = issuance.policies.iter().map(admin::credential_policy_json);
    schemas.check("CredentialPolicies", &written(&admin::ListJson { value: policies.collect() }));
    let policy = Policy {
        name: PolicyName::parse("service").unwrap(),
        rights: vec![HubRight::ServiceConnect],
        primary: key(1),
        secondary: key(2),
    };
    schemas.check("Keys", &list(&written(&admin::key_json(&policy))));
    let hub = Hub {
        name: ServiceName::parse("hub1").unwrap(),
        host: HostName::parse("hub1.localhost").unwrap(),
        policies: vec![policy],
        network: NetworkAccess::default(),
        created: NOW,
    };
    schemas.check("Hubs", &list(&written(&admin::hub_json(&hub))));
    let record = record(RegistrationStatus::Assigned, individual_entry(), Mechanism::X509);
    let attempt = admin::ExplanationJson {
        tracking_id: TRACKING,
        dps: "dps",
        protocol: "https",
        explanation: &record.explanation,
    };
    schemas.check("Explanations", &list(&written(&attempt)));
    for order in [None, Some(order())] {
        let group = admin::group_registrations_json("g", 7, order);
        schemas.check("GroupRegistrations", &written(&group));
        schemas.check("Reprovision", &written(&admin::reprovision_json("dev-1", order)));
    }
    let orphaned = admin::orphaned_json("Line-1", 7);
    schemas
        .check("OrphanedRegistrations", &written(&admin::OrphanedJson::of(vec![orphaned], None)));
    let next = Some("line-1".to_owned());
    schemas.check("OrphanedRegistrations", &written(&admin::OrphanedJson::of(vec![], next)));
    schemas.check("Purged", &written(&admin::PurgedJson { deleted: 5_000, more: true }));
    let subscription = Subscription {
        name: SubscriptionName::parse("ops").unwrap(),
        endpoint: EndpointUrl::parse("https://ops.test/hook?code=s3cret").unwrap(),
        validation: Validation::CloudEvents,
        filter: Filter {
            event_types: EventType::ALL.to_vec(),
            services: vec![ServiceName::parse("hub1").unwrap()],
            ..Filter::default()
        },
        retry: RetryPolicy::default(),
        created: NOW,
        etag: Etag::new("e"),
    };
    let json = written(&admin::subscription_json(&subscription, 2, 1));
    assert!(!json.to_string().contains("s3cret"), "{json}");
    schemas.check("Subscriptions", &list(&json));
    let happened = Happened::Test { subscription: &subscription.name };
    let event = Event {
        id: TRACKING.to_owned(),
        event_type: happened.event_type(),
        source: happened.source(),
        subject: happened.subject(),
        time: NOW,
        data: event::data(&happened),
    };
    let delivery = Delivery {
        last: Some(Tried { at: NOW, outcome: "it answered with status 503".to_owned() }),
        dead: Some(Dead { reason: DeadReason::TimeToLiveExceeded, at: NOW }),
        ..Delivery::new(subscription.name.clone(), event, NOW)
    };
    let page: Vec<_> = (0..u64::try_from(limits::DEAD_LETTERS_PAGE).unwrap())
        .map(|number| Queued { number, delivery: delivery.clone() })
        .collect();
    schemas.check("DeadLetters", &written(&admin::dead_letters_json(&page)));
    schemas.check("Count", &written(&admin::CountJson { count: 1 }));
    schemas.check("EventTest", &written(&admin::test_json(Outcome::Taken)));
    let refused = Outcome::Refused("it answered with status 400".to_owned());
    schemas.check("EventTest", &written(&admin::test_json(refused)));
    let fault = error::dps(&ApiFault::Unauthorized);
    schemas.check("Error", &value(&fault.json(TRACKING, NOW)));
    schemas.assert_all_seen(&[
        "ProvisioningService",
        "ProvisioningServices",
        "LinkedHub",
        "LinkedHubs",
        "Job",
        "Jobs",
        "Certificate",
        "Certificates",
        "Dependent",
        "Dependents",
        "ExpiryException",
        "ExpiryExceptions",
        "Credential",
        "CredentialPolicy",
        "CredentialPolicies",
        "RootCa",
        "IssuingCa",
        "Key",
        "Keys",
        "Hub",
        "Hubs",
        "Explanation",
        "Explanations",
        "GroupRegistrations",
        "Reprovision",
        "Order",
        "OrphanedGroup",
        "OrphanedRegistrations",
        "Purged",
        "Subscription",
        "Subscriptions",
        "CloudEvent",
        "DeadLetter",
        "DeadLetters",
        "Count",
        "EventTest",
        "Error",
    ]);
}

type Read = fn(&[u8]) -> Result<(), ApiFault>;

/// Every member that is described for a request is read by its name: one of another type is
/// refused. `whole` is what the other members are, and `inside` where the schema's object is.
#[track_caller]
fn check_reads(document: Document, name: &str, inside: &[&str], whole: &Value, read: Read) {
    let schemas = Schemas::of(&parsed(document));
    let properties = schemas.schema(name)["properties"].as_object().unwrap();
    assert_eq!(read(&utf8_json(whole)).map_err(|fault| fault.to_string()), Ok(()), "{name}");
    for (member, schema) in properties {
        if schema.get("type").is_none()
            && schema.get("oneOf").is_none()
            && schema.get("$ref").is_none()
        {
            continue;
        }
        let mut body = whole.clone();
        let at = inside.iter().fold(&mut body, |at, member| &mut at[*member]);
        // No member is a number of this kind.
        at[member.as_str()] = json!(-0.5);
        let refused = matches!(read(&utf8_json(&body)), Err(ApiFault::Malformed { .. }));
        assert!(refused, "{name}.{member} is described, and not read: {body}");
    }
}

#[test]
fn requests_are_read_as_described() {
    let entry = json!({"attestation": {
        "type": "x509",
        "x509": {"clientCertificates": {"primary": {"certificate": "x", "info": {}}}},
        "tpm": {},
        "symmetricKey": {},
    }});
    let individual: Read = |body| {
        let version = ApiVersion::parse("2021-10-01").unwrap();
        enrollment::draft(&id("dev-1"), body, &version).map(drop)
    };
    let dps = |name, inside: &[&str]| check_reads(Document::Dps, name, inside, &entry, individual);
    dps("IndividualEnrollmentPut", &[]);
    dps("AttestationMechanismPut", &["attestation"]);
    let slots = ["attestation", "x509", "clientCertificates", "primary"];
    dps("CertificatesPut", &slots[..3]);
    dps("CertificatePut", &slots);
    let of_group: Read = |body| {
        let version = ApiVersion::parse("2021-10-01").unwrap();
        group::draft(&group_id("g"), body, &version).map(drop)
    };
    check_reads(Document::Dps, "EnrollmentGroupPut", &[], &entry, of_group);
    let query: Read = |body| query::text(body).map(drop);
    check_reads(Document::Dps, "Query", &[], &json!({}), query);
    let register: Read = |body| {
        let version = ApiVersion::parse("2025-07-01-preview").unwrap();
        device::register_body(&id("dev-1"), &version, body).map(drop)
    };
    check_reads(Document::Dps, "DeviceRegistration", &[], &json!({}), register);

    let identity: Read = |body| hub::draft(&device_id("d1"), body).map(drop);
    check_reads(Document::Hub, "DevicePut", &[], &json!({}), identity);
    check_reads(Document::Hub, "Query", &[], &json!({}), query);
    let twin: Read = |body| hub::twin_update(body).map(drop);
    let properties = json!({"properties": {}});
    check_reads(Document::Hub, "TwinPut", &[], &properties, twin);
    check_reads(Document::Hub, "TwinPropertiesPut", &["properties"], &properties, twin);

    let properties = json!({"properties": {"certificate": "x"}});
    let dps: Read = |body| admin::dps_body(body).map(drop);
    check_reads(Document::Admin, "ProvisioningServicePut", &[], &properties, dps);
    let quota = json!({"properties": {"quota": {}}});
    check_reads(Document::Admin, "QuotaPut", &["properties", "quota"], &quota, dps);
    let hub: Read = |body| admin::hub_body(body).map(drop);
    check_reads(Document::Admin, "HubPut", &[], &properties, hub);
    let order: Read = |body| admin::order_body(body).map(drop);
    let reset = json!({"properties": {"deviceData": "reset"}});
    check_reads(Document::Admin, "ReprovisionPut", &[], &reset, order);
    let link: Read = |body| admin::link_body(body).map(drop);
    check_reads(Document::Admin, "LinkedHubPut", &[], &json!({}), link);
    let certificate: Read = |body| admin::certificate_body(body).map(drop);
    check_reads(Document::Admin, "CertificatePut", &[], &properties, certificate);
    let credential: Read = |body| admin::credential_body(body).map(drop);
    let none = json!({"properties": {}});
    check_reads(Document::Admin, "CredentialPolicyPut", &[], &none, credential);
    let issuer: Read = |body| admin::issuer_body(body).map(drop);
    check_reads(Document::Admin, "Issuer", &[], &json!({}), issuer);
    let proof: Read = |body| admin::proof_body(body).map(drop);
    check_reads(Document::Admin, "Proof", &[], &json!({"certificate": "x"}), proof);
    let policy: Read = |body| admin::policy_body::<HubRight>(body).map(drop);
    check_reads(Document::Admin, "PolicyPut", &[], &json!({}), policy);
    let subscribed: Read = |body| admin::subscription_body(body).map(drop);
    let whole = json!({"properties": {
        "destination": {"properties": {}}, "filter": {}, "retryPolicy": {}}});
    let subscription =
        |name, inside: &[&str]| check_reads(Document::Admin, name, inside, &whole, subscribed);
    subscription("SubscriptionPut", &[]);
    subscription("SubscriptionPropertiesPut", &["properties"]);
    subscription("DestinationPut", &["properties", "destination"]);
    subscription("EndpointPut", &["properties", "destination", "properties"]);
    subscription("EventFilterPut", &["properties", "filter"]);
    subscription("RetryPolicyPut", &["properties", "retryPolicy"]);
    let renewal: Read = |body| admin::renew_body(body).map(drop);
    check_reads(Document::Admin, "Renewal", &[], &json!({"renewKey": "swap"}), renewal);
}
