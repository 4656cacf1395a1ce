use attestation::SymmetricKey;
use model::{RegistrationId, ServiceName};
use serde_json::json;

use super::*;
use crate::twin::Half;

fn then() -> Timestamp {
    Timestamp::from_unix_ticks(17_000_000_000_000_000)
}

fn now() -> Timestamp {
    Timestamp::from_unix_ticks(17_900_000_000_000_000)
}

fn keys(seed: u8) -> Authentication {
    let key = |seed| SymmetricKey::from_bytes(vec![seed; 32]).unwrap();
    Authentication::Sas { primary: key(seed), secondary: key(seed + 100) }
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn wanted(twin: TwinSource) -> Wanted {
    Wanted {
        device_id: DeviceId::parse("Dev").unwrap(),
        authentication: keys(2),
        issued: None,
        iot_edge: None,
        origin: Origin {
            dps: ServiceName::parse("dps").unwrap(),
            registration_id: RegistrationId::parse("dev").unwrap(),
            thumbprints: Vec::new(),
            public_keys: Vec::new(),
        },
        initial_tags: object(json!({"site": "initial"})),
        initial_desired: object(json!({"rate": 1})),
        twin,
    }
}

/// An identity that has been used for a while, disabled by its hub's operator.
fn used() -> Provisioned {
    let mut device = Device::new(DeviceId::parse("Dev").unwrap(), keys(1), then());
    device.status = DeviceStatus::Disabled;
    device.status_reason = Some("stolen".to_owned());
    device.status_updated = then();
    device.iot_edge = true;
    device.device_scope = Some("ms-azure-iot-edge://Dev-1".to_owned());
    let mut twin = Twin::initial(object(json!({"site": "b"})), &object(json!({"rate": 5})), then());
    for battery in 1..=7 {
        twin.reported.patch(&object(json!({"battery": battery})), Half::Reported, then());
        twin.version += 1;
    }
    twin.desired.patch(&object(json!({"rate": 6})), Half::Desired, then());
    twin.version += 1;
    Provisioned { device, twin }
}

#[test]
fn r_21_all_of_the_twin_moves_with_its_versions_and_times() {
    let old = used();
    let moved = provision(wanted(TwinSource::LeftBehind), None, Some(&old), now());
    assert_eq!(moved.twin, old.twin);
}

#[test]
fn r_21_a_disabled_status_moves_with_its_reason_and_time() {
    for twin in [TwinSource::LeftBehind, TwinSource::Initial] {
        let moved = provision(wanted(twin), None, Some(&used()), now()).device;
        assert_eq!(moved.status, DeviceStatus::Disabled);
        assert_eq!(moved.status_reason.as_deref(), Some("stolen"));
        assert_eq!(moved.status_updated, then());
    }
}

#[test]
fn r_21_a_capability_moves_unless_the_entry_says_another() {
    let edge = |said, twin| {
        let wanted = Wanted { iot_edge: said, ..wanted(twin) };
        provision(wanted, None, Some(&used()), now()).device
    };
    let moved = edge(None, TwinSource::LeftBehind);
    assert!(moved.iot_edge);
    let scope = moved.device_scope.unwrap();
    assert_eq!(scope, format!("ms-azure-iot-edge://Dev-{}", moved.generation_id));
    assert!(!edge(Some(false), TwinSource::LeftBehind).iot_edge);
    assert!(!edge(None, TwinSource::Initial).iot_edge);
}

#[test]
fn r_21_a_twin_that_is_replaced_by_a_migrated_one_does_not_count_back() {
    let old = used();
    let mut stale = used();
    for _ in 0..20 {
        stale.twin.reported.patch(&object(json!({"battery": 0})), Half::Reported, then());
        stale.twin.version += 1;
    }
    stale.twin.etag_counter += 3;
    let before = stale.twin.clone();
    let moved = provision(wanted(TwinSource::LeftBehind), Some(stale), Some(&old), now()).twin;
    assert_eq!(moved.reported.values["battery"], 7);
    assert_eq!(moved.desired.values["rate"], 6);
    assert!(moved.version > before.version);
    assert!(moved.reported.version > before.reported.version);
    assert!(moved.etag_counter > before.etag_counter);
}

#[test]
fn r_22_a_reset_twin_is_the_initial_one_and_goes_on_counting() {
    let old = used();
    let before = old.twin.clone();
    let reset = provision(wanted(TwinSource::Initial), Some(old), None, now()).twin;
    assert_eq!(reset.tags, object(json!({"site": "initial"})));
    assert_eq!(reset.desired.values, object(json!({"rate": 1})));
    assert!(reset.reported.values.is_empty());
    assert!(reset.version > before.version && reset.desired.version > before.desired.version);
    let moved = provision(wanted(TwinSource::Initial), None, Some(&used()), now()).twin;
    assert_eq!(moved.desired.values, object(json!({"rate": 1})));
    assert!(moved.reported.values.is_empty());
}

#[test]
fn r_28_an_identity_that_is_there_gets_the_credential_that_was_shown() {
    let fresh = provision(wanted(TwinSource::Own), Some(used()), None, now()).device;
    let Authentication::Sas { primary, .. } = &fresh.authentication else { panic!("not keys") };
    assert!(primary.same_as(&SymmetricKey::from_bytes(vec![2; 32]).unwrap()));
    assert_eq!(fresh.version, used().device.version + 1);
    assert_eq!(fresh.generation_id, used().device.generation_id);
}
