use ::hub::identity::{Authentication, Device};
use ::hub::twin::Twin;
use events::{EntryChange, Existence};
use model::ServiceName;
use provisioning::enrollment::Mechanism;
use provisioning::registration::RegistrationStatus;

use super::*;
use crate::samples::{NOW, TRACKING, device_id, group_entry, individual_entry, key, record, value};

fn hub1() -> ServiceName {
    ServiceName::parse("hub1").unwrap()
}

fn event(happened: &Happened<'_>) -> Event {
    Event {
        id: TRACKING.to_owned(),
        event_type: happened.event_type(),
        source: happened.source(),
        subject: happened.subject(),
        time: NOW,
        data: data(happened),
    }
}

fn device() -> Device {
    let keys = Authentication::Sas { primary: key(1), secondary: key(2) };
    Device::new(device_id("dev-1"), keys, NOW)
}

/// The members and words of `event-schema-iot-hub.md`, "Cloud event schema".
#[test]
fn an_identity_is_told_of_as_event_grid_does() {
    let (hub, device, twin) = (hub1(), device(), Twin::new(NOW));
    let happened =
        Happened::Device { existence: Existence::Began, hub: &hub, device: &device, twin: &twin };
    let told = value(&structured(&event(&happened)));
    assert_eq!(told["specversion"], "1.0");
    assert_eq!(told["type"], "Microsoft.Devices.DeviceCreated");
    assert_eq!(told["subject"], "devices/dev-1");
    assert_eq!(told["id"], TRACKING);
    assert_eq!(told["time"], NOW.to_string());
    let source = told["source"].as_str().unwrap();
    assert!(source.ends_with("/PROVIDERS/MICROSOFT.DEVICES/IOTHUBS/HUB1"), "{source}");
    assert_eq!(told["data"]["hubName"], "hub1");
    assert_eq!(told["data"]["deviceId"], "dev-1");
    let twin = &told["data"]["twin"];
    for member in [
        "deviceId",
        "etag",
        "deviceEtag",
        "status",
        "statusUpdateTime",
        "connectionState",
        "lastActivityTime",
        "cloudToDeviceMessageCount",
        "authenticationType",
        "x509Thumbprint",
        "version",
        "properties",
    ] {
        assert!(twin.get(member).is_some(), "{member} in {twin}");
    }
    assert_eq!(twin["connectionState"], "Disconnected");
    let text = told.to_string();
    assert!(!text.contains(&key(1).to_base64()) && !text.contains(&key(2).to_base64()));
}

#[test]
fn a_connection_has_a_sequence_number_of_64_digits_that_grows_as_text() {
    let (hub, id) = (hub1(), device_id("dev-1"));
    let number = |sequence, existence| {
        let happened = Happened::Connection { existence, hub: &hub, device_id: &id, sequence };
        let told = value(&structured(&event(&happened)));
        told["data"]["deviceConnectionStateEventInfo"]["sequenceNumber"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (first, second) = (number(9, Existence::Began), number(10, Existence::Ended));
    assert_eq!((first.len(), second.len()), (64, 64));
    assert!(first < second);
}

#[test]
fn s_63_a_registration_is_told_of_with_what_came_of_it() {
    let dps = ServiceName::parse("dps").unwrap();
    for (status, kind) in [
        (RegistrationStatus::Assigned, "Muster.Provisioning.RegistrationAssigned"),
        (RegistrationStatus::Disabled, "Muster.Provisioning.RegistrationRefused"),
        (RegistrationStatus::Failed, "Muster.Provisioning.RegistrationRefused"),
    ] {
        let record = record(status, individual_entry(), Mechanism::X509);
        let told = value(&structured(&event(&Happened::Registered { dps: &dps, record: &record })));
        assert_eq!(told["type"], kind);
        assert_eq!(told["subject"], "registrations/dev-1");
        assert_eq!(told["data"]["provisioningServiceName"], "dps");
        assert_eq!(told["data"]["enrollment"]["type"], "individual");
        assert_eq!(told["data"]["registrationState"]["status"], json!(status));
    }
    let gone =
        value(&structured(&event(&Happened::EntryDeleted { dps: &dps, id: &group_entry() })));
    assert_eq!(gone["type"], "Muster.Provisioning.EnrollmentDeleted");
    assert_eq!(gone["subject"], "enrollmentGroups/group-1");
    assert_eq!(EntryChange::of(Some(true), false), EntryChange::Disabled);
}

#[test]
fn answers_are_taken_as_event_grid_takes_them() {
    for status in 200..=204 {
        assert_eq!(outcome(status, None), Outcome::Taken);
    }
    for status in [400, 401, 403, 410, 413, 415] {
        assert!(matches!(outcome(status, None), Outcome::Refused(_)), "{status}");
    }
    for status in [205, 301, 307, 404, 408, 429, 500, 503] {
        let asked_pause = Some(Duration::from_secs(7));
        let because = format!("it answered with status {status}");
        assert_eq!(outcome(status, Some(" 7")), Outcome::Failed { because, asked_pause });
    }
    let failed = outcome(503, Some("Wed, 21 Oct 2026 07:28:00 GMT"));
    assert!(matches!(failed, Outcome::Failed { asked_pause: None, .. }));
}

#[test]
fn consent_is_for_this_origin_or_for_all() {
    for (status, allowed, is_granted) in [
        (200, Some("*"), true),
        (204, Some("MUSTER.localhost"), true),
        (200, Some("other.example"), false),
        (200, None, false),
        (405, Some("*"), false),
    ] {
        assert_eq!(consent(status, allowed).is_ok(), is_granted, "{status} {allowed:?}");
    }
}
