//! Small values to put into a store.

use std::sync::Arc;

use attestation::SymmetricKey;
use attestation::network::NetworkAccess;
use attestation::x509::Certificate;
use events::schedule::RetryPolicy;
use events::subscription::Validation;
use events::{Delivery, EndpointUrl, Event, EventType, Filter, Source, Subscription};
use hub::identity::{Authentication, Device};
use hub::instance::Hub;
use hub::twin::Twin;
use model::{
    CertificateName, DeviceId, EnrollmentGroupId, Etag, HostName, IdScope, RegistrationId,
    ServiceName, SubscriptionName, Timestamp,
};
use provisioning::enrollment::{
    AllocationPolicy, EntryId, EntryRef, Group, GroupAttestation, Individual,
    IndividualAttestation, KeyPair, Mechanism, Settings, Slots, Stamp,
};
use provisioning::explain::{Explanation, Outcome};
use provisioning::instance::{CaCertificate, Dps};
use provisioning::quota::Quota;
use provisioning::registration::{Assigned, Registration, RegistrationStatus};

/// An instant, in seconds after an arbitrary one.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_900_000_000 + seconds)
}

/// A service's name.
pub fn service(name: &str) -> ServiceName {
    ServiceName::parse(name).unwrap()
}

/// A host name.
pub fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

/// A registration id.
pub fn rid(id: &str) -> RegistrationId {
    RegistrationId::parse(id).unwrap()
}

/// A group's id.
pub fn gid(id: &str) -> EnrollmentGroupId {
    EnrollmentGroupId::parse(id).unwrap()
}

/// A device's id.
pub fn did(id: &str) -> DeviceId {
    DeviceId::parse(id).unwrap()
}

/// A CA certificate's name.
pub fn cert_name(name: &str) -> CertificateName {
    CertificateName::parse(name).unwrap()
}

/// Number of different certificates that [`certificate`] gives.
pub const CERTIFICATES: usize = 3;

/// An endorsement key on NIST P-256, of a software TPM.
pub(super) const ENDORSEMENT_KEY: &str = "\
    AHoAIwALAAMAsgAgg3GXZ0SEs/gakMyNRqXXJP1S124GUgtk8qHaGzMUaaoABgCAAEMAEAADABAAIG+2sdIMXNBvnVj2\
    R8C6ixQwa6n5PyjyF8slBFnQ21wUACDLGoYcnR01BHJC5LNXlcr+lf4qvvRvw52kj6VmZM1rGA==";

/// One of three self-signed certificates of P-256 keys; their common names are `leaf-one` to
/// `leaf-three`.
pub fn certificate(number: usize) -> Certificate {
    let text = match number % CERTIFICATES {
        0 => ONE,
        1 => TWO,
        _ => THREE,
    };
    serde_json::from_value(serde_json::Value::String(text.to_owned())).unwrap()
}

const ONE: &str = "MIIBfDCCASOgAwIBAgIUUGa1P4YrLbbBFmv5UFxQnEblj2UwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIbGVhZi1vbmUwIBcNMjYxMTIxMDYwNDI1WhgPMjEyNjEwMjgwNjA0MjVaMBMxETAPBgNVBAMMCGxlYWYtb25lMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEvOBVDbbUhiU5GrEq1FFkoi8GvGBqmvHAoVp5aIE/2aRRJxqERRiiFrtYKrZwHd8NJzmrkEL4IybvVliwVknDbaNTMFEwHQYDVR0OBBYEFIguZyRLAu79+HfBWH0QDpNEJ4+IMB8GA1UdIwQYMBaAFIguZyRLAu79+HfBWH0QDpNEJ4+IMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgL9pBcIYIBazg0Ubps1KqilcVT2OWOglZullUIKqUGqMCICoXuunKyqTlf+P22SLHNkZKD+vI4FNbreXlDZLXfpur";
const TWO: &str = "MIIBfTCCASOgAwIBAgIUYYlIW8GFCRU02c/6h7/758TRpv8wCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIbGVhZi10d28wIBcNMjYxMTIxMDYwNDI2WhgPMjEyNjEwMjgwNjA0MjZaMBMxETAPBgNVBAMMCGxlYWYtdHdvMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEKU3UiMAGv7S3pkXC9tosRBQkuhUH12MjK4VTqieEjewOg5/tOY4KZODB69WS5ibQqDyq3/KL88jcMqmOQ2ieO6NTMFEwHQYDVR0OBBYEFJJJ3XVXLGgbrYjt9lBJWlv8OTzaMB8GA1UdIwQYMBaAFJJJ3XVXLGgbrYjt9lBJWlv8OTzaMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIgRNJJUl2Bv+ovzHKIrCN9hBR8tw5O7yAvFzxK23dmCSkCIQD6r31buF+MiPnFjDD+RfL9ujb2MbcoYh6CA57HOanRUw==";
const THREE: &str = "MIIBgDCCASegAwIBAgIUYZW756Vxm6kWKJrLzNc9v0bBBgAwCgYIKoZIzj0EAwIwFTETMBEGA1UEAwwKbGVhZi10aHJlZTAgFw0yNjExMjEwNjA0MjZaGA8yMTI2MTAyODA2MDQyNlowFTETMBEGA1UEAwwKbGVhZi10aHJlZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGEy/7nqh1BR+DxkN6XrHOrQUyjzp9Sz5OX8xD5O2ONfKVDpVH+4jBAeWpyRH1MZ4fozOV2kc678sp+2BLc6eTWjUzBRMB0GA1UdDgQWBBTq/rsaBIPC5XkAHuRDzHZCMTJOOjAfBgNVHSMEGDAWgBTq/rsaBIPC5XkAHuRDzHZCMTJOOjAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIB5zPH0tInU5edmwA2YA0Udj2U302jf7BfCjXrSnnxmUAiB/PEiPMThLP9L2e6W9iJipdgL2IipZDSDJB6lQOZ/wOg==";

fn key(seed: u8) -> SymmetricKey {
    SymmetricKey::from_bytes(vec![seed; 32]).unwrap()
}

/// An instance.
pub fn dps(name: &str) -> Dps {
    Dps {
        name: service(name),
        id_scope: IdScope::from_random([1, 2, 3, 4]),
        host: host(&format!("{name}.localhost")),
        allocation_policy: AllocationPolicy::Hashed,
        linked_hubs: Vec::new(),
        policies: Vec::new(),
        network: NetworkAccess::default(),
        quota: Quota::default(),
        challenge_secret: None,
        expiry_exceptions: Vec::new(),
        issuance: Default::default(),
        regions: Vec::new(),
        created: at(0),
    }
}

/// A hub with a host.
pub fn hub(name: &str, hub_host: &str) -> Hub {
    Hub {
        name: service(name),
        host: host(hub_host),
        policies: Vec::new(),
        network: NetworkAccess::default(),
        created: at(0),
    }
}

/// The stamp of an entry that was created and not written since.
pub fn stamp(created: i64) -> Stamp {
    Stamp { etag: Etag::new("e"), created: at(created), updated: at(created) }
}

/// An individual enrollment with symmetric keys.
pub fn individual(id: &str, created: i64) -> Individual {
    Individual {
        registration_id: rid(id),
        device_id: None,
        attestation: IndividualAttestation::SymmetricKey(KeyPair {
            primary: key(1),
            secondary: key(2),
        }),
        settings: Settings::default(),
        optional_device_information: None,
        stamp: stamp(created),
    }
}

/// An individual enrollment with certificates of [`certificate`].
pub fn individual_x509(
    id: &str,
    created: i64,
    primary: Option<usize>,
    secondary: Option<usize>,
) -> Individual {
    let slots = Slots { primary: primary.map(certificate), secondary: secondary.map(certificate) };
    let attestation = IndividualAttestation::ClientCertificates(slots);
    Individual { attestation, ..individual(id, created) }
}

/// A group with symmetric keys.
pub fn group(id: &str, created: i64) -> Group {
    Group {
        id: gid(id),
        attestation: GroupAttestation::SymmetricKey(KeyPair { primary: key(3), secondary: key(4) }),
        settings: Settings::default(),
        reprovision: None,
        stamp: stamp(created),
    }
}

/// A CA certificate.
pub fn ca_certificate(name: &str, created: i64) -> CaCertificate {
    CaCertificate {
        name: cert_name(name),
        certificate: certificate(0),
        verified: true,
        code: None,
        etag: Etag::new("e"),
        created: at(created),
        updated: at(created),
    }
}

/// Names a group.
pub fn group_ref(id: &str, created: i64) -> EntryRef {
    EntryRef { id: EntryId::Group(gid(id)), created: at(created) }
}

/// Names an individual enrollment.
pub fn individual_ref(id: &str, created: i64) -> EntryRef {
    EntryRef { id: EntryId::Individual(rid(id)), created: at(created) }
}

/// A record that is on a hub.
pub fn assigned(id: &str, owner: EntryRef) -> Registration {
    let assignment = Assigned { hub: host("hub.localhost"), device_id: did(id) };
    Registration {
        status: RegistrationStatus::Assigned,
        assignment: Some(assignment),
        ..refused(id, owner, 0)
    }
}

/// A record that was never assigned.
pub fn refused(id: &str, owner: EntryRef, updated: i64) -> Registration {
    Registration {
        registration_id: rid(id),
        owner: owner.clone(),
        decided_by: owner.clone(),
        status: RegistrationStatus::Disabled,
        substatus: None,
        assignment: None,
        failure: None,
        payload: None,
        pending: None,
        reprovision: None,
        assigned_at: None,
        operation_id: "operation".to_owned(),
        earlier_operation_ids: Vec::new(),
        mechanism: Mechanism::SymmetricKey,
        tpm: None,
        issued: None,
        created: at(0),
        updated: at(updated),
        etag: Etag::new("e"),
        explanation: Arc::new(Explanation {
            registration_id: rid(id),
            at: at(updated),
            mechanism: Some(Mechanism::SymmetricKey),
            chain: Vec::new(),
            steps: Vec::new(),
            outcome: Outcome::Disabled { entry: owner },
        }),
    }
}

/// A device identity with symmetric keys.
pub fn device(id: &str) -> Device {
    let authentication = Authentication::Sas { primary: key(5), secondary: key(6) };
    Device::new(did(id), authentication, at(0))
}

/// An empty twin.
pub fn twin() -> Twin {
    Twin::new(at(0))
}

/// An event subscription's name.
pub fn subscription_name(name: &str) -> SubscriptionName {
    SubscriptionName::parse(name).unwrap()
}

/// An event subscription.
pub fn subscription(name: &str, created: i64) -> Subscription {
    Subscription {
        name: subscription_name(name),
        endpoint: EndpointUrl::parse("https://ops.test/hook?code=s").unwrap(),
        validation: Validation::None,
        filter: Filter { event_types: vec![EventType::DeviceCreated], ..Filter::default() },
        retry: RetryPolicy::default(),
        created: at(created),
        etag: Etag::new("e"),
    }
}

/// An event on its way, which the number tells from others.
pub fn delivery(subscription: &str, number: i64) -> Delivery {
    let event = Event {
        id: format!("event-{number}"),
        event_type: EventType::DeviceCreated,
        source: Source::Hub(service("hub-a")),
        subject: "devices/d".to_owned(),
        time: at(number),
        data: serde_json::json!({"deviceId": "d", "float": 0.1}),
    };
    Delivery::new(subscription_name(subscription), event, at(number))
}
