//! Devices that register again: where they go, and what they find there, as unmodified SDKs see it
//! (R-13, R-20 to R-28).

use std::fs;
use std::time::Duration;

use crate::scene::{Scene, generated_keys, keys, signed_by};
use e2e::{Credential, HUB1, HUB2, HubDevice, Sdk, World, derived_key, world};
use serde_json::{Value, json};

const MIGRATE: (&str, bool, bool) = ("migrate", true, true);
const RESET: (&str, bool, bool) = ("reset", true, false);
const NEVER: (&str, bool, bool) = ("never", false, false);

/// How long a session may take to end that the hub has ended.
const SIGNED_OUT: Duration = Duration::from_secs(30);

/// Writes a group of symmetric keys whose devices go to this hub; gives a member's key.
fn group(scene: &Scene<'_>, hub: &str, policy: (&str, bool, bool), member: &str) -> String {
    let path = format!("/enrollmentGroups/{}", policy.0);
    let body = json!({
        "enrollmentGroupId": policy.0,
        "attestation": generated_keys(),
        "allocationPolicy": "static",
        "iotHubs": [hub],
        "reprovisionPolicy": {"updateHubAssignment": policy.1, "migrateDeviceData": policy.2},
        "initialTwin": {"tags": {"site": "initial"}, "properties": {"desired": {"interval": 30}}},
    });
    let written = match scene.dps.get(&path).status {
        200 => {
            let mut body = body;
            body["attestation"] = json!({"type": "symmetricKey", "symmetricKey": {}});
            scene.dps.put_if_match(&path, "*", &body)
        }
        _ => scene.dps.put(&path, &body),
    };
    let written = written.expect(200);
    derived_key(keys(&written).0, member)
}

/// A device is on the first hub, with a twin that it and the operator have changed; its group says
/// the second hub by now. It registers again, and its twin is given as it finds it.
fn moved(
    scene: &Scene<'_>,
    sdk: Sdk,
    policy: (&str, bool, bool),
    before: impl FnOnce(),
) -> (Value, Value) {
    let id = format!("pump-{}", policy.0);
    let key = group(scene, HUB1, policy, &id);
    let first = scene.register_by_key(sdk, &id, &key);
    first.assert_assigned(HUB1, &id);
    assert_eq!(first.answer["substatus"], "initialAssignment", "{first:?}");
    let mqtt = if sdk == Sdk::NodeHttp { Sdk::NodeMqtt } else { sdk };
    let connect = |hub| {
        let credential = Credential::Key(&key);
        let device = HubDevice::start(scene.world, &scene.server, mqtt, hub, &id, credential);
        device.ready();
        device
    };
    let mut device = connect(HUB1);
    device.report(&json!({"battery": 7}));
    let patch = json!({"tags": {"site": "b"}, "properties": {"desired": {"interval": 5}}});
    scene.hub.call("PATCH", &format!("/twins/{id}"), &[], Some(&patch)).expect(200);
    group(scene, HUB2, policy, &id);
    before();
    let again = scene.register_by_key(sdk, &id, &key);
    let hub = again.answer["assigned_hub"].as_str().unwrap().to_owned();
    if hub == HUB1 {
        device.send(&json!({"still": "here"}));
    } else {
        // R-26: its identity there is gone, and whoever rested on it.
        device.assert_disconnected_within(SIGNED_OUT);
        assert_eq!(scene.hub.get(&format!("/devices/{id}")).status, 404);
        device = connect(HUB2);
    }
    let seen = device.twin();
    let name = if hub == HUB1 { "hub1" } else { "hub2" };
    let whole = scene.server.hub(name).get(&format!("/twins/{id}")).expect(200);
    (again.answer, json!({"seen": seen, "tags": whole["tags"]}))
}

fn reprovisioned(world: &World, sdk: Sdk) {
    let scene = Scene::new(world);
    let (answer, twin) = moved(&scene, sdk, MIGRATE, || ());
    assert_eq!(answer["assigned_hub"], HUB2);
    assert_eq!(answer["substatus"], "deviceDataMigrated");
    assert_eq!(twin["tags"], json!({"site": "b"}));
    assert_eq!(twin["seen"]["reported"]["battery"], 7, "{twin}");
    assert_eq!(twin["seen"]["desired"]["interval"], 5, "{twin}");

    let (answer, twin) = moved(&scene, sdk, RESET, || ());
    assert_eq!(answer["assigned_hub"], HUB2);
    assert_eq!(answer["substatus"], "deviceDataReset");
    assert_eq!(twin["tags"], json!({"site": "initial"}));
    assert!(twin["seen"]["reported"].get("battery").is_none(), "{twin}");
    assert_eq!(twin["seen"]["desired"]["interval"], 30, "{twin}");

    let (answer, twin) = moved(&scene, sdk, NEVER, || ());
    assert_eq!(answer["assigned_hub"], HUB1);
    // R-24: these SDKs speak 2019-03-31, and are told no other word.
    assert_eq!(answer["substatus"], "initialAssignment");
    assert_eq!(twin["seen"]["reported"]["battery"], 7, "{twin}");
}

#[test]
fn r_21_r_22_r_23_python_sees_migrate_reset_and_never_between_two_hubs() {
    world(|world| reprovisioned(world, Sdk::PythonMqtt));
}

#[test]
fn r_21_r_22_r_23_node_sees_migrate_reset_and_never_between_two_hubs() {
    world(|world| reprovisioned(world, Sdk::NodeHttp));
}

#[test]
fn an_order_to_a_group_moves_its_devices_once_and_is_told_everywhere() {
    world(|world| {
        let scene = Scene::new(world);
        let muster = |words: &str| scene.server.muster(words);
        let record = || scene.dps.get("/registrations/pump-never").expect(200);
        let (answer, twin) = moved(&scene, Sdk::PythonMqttWs, NEVER, || {
            let words = "iot dps enrollment-group reprovision --group-id never \
                         --device-data migrate";
            let order = muster(words);
            assert_eq!(order["properties"]["reprovision"]["deviceData"], "migrate");
            assert_eq!(muster(words), order, "said again, it is the same order");
            assert_eq!(record()["reprovision"], order["properties"]["reprovision"]);
        });
        assert_eq!(answer["assigned_hub"], HUB2, "{answer}");
        assert_eq!(answer["substatus"], "deviceDataMigrated");
        assert_eq!(twin["seen"]["reported"]["battery"], 7, "{twin}");
        assert!(record().get("reprovision").is_none());
        let told = muster("explain pump-never").to_string();
        assert!(told.contains(r#"{"ordered":{"order":{"deviceData":"migrate""#), "{told}");
        // It was followed: the group's policy holds again.
        let key = group(&scene, HUB1, NEVER, "pump-never");
        let stays = scene.register_by_key(Sdk::NodeMqtt, "pump-never", &key);
        stays.assert_assigned(HUB2, "pump-never");
        let count = "iot dps enrollment-group registration count --group-id never";
        assert_eq!(muster(count)["properties"]["registrations"], 1);

        // One device, and taken back before it came.
        let one = "iot dps enrollment-group registration reprovision --rid pump-never";
        let order = muster(&format!("{one} --device-data reset"));
        assert_eq!(record()["reprovision"], order["properties"]["reprovision"]);
        muster(&format!("{one} --withdraw"));
        assert!(record().get("reprovision").is_none());
        muster(&format!("{one} --device-data reset"));
        let reset = scene.register_by_key(Sdk::NodeMqttWs, "pump-never", &key);
        reset.assert_assigned(HUB1, "pump-never");
        assert_eq!(reset.answer["substatus"], "deviceDataReset");
    });
}

/// The device API 2021-06-01, as the C SDK and az speak it.
#[test]
fn r_24_a_device_of_a_newer_api_version_is_told_that_it_returned() {
    world(|world| {
        let scene = Scene::new(world);
        scene.put_individual("pump", &generated_keys(), "enabled");
        let register = || {
            let answer =
                scene.server.muster("iot device registration create --registration-id pump");
            answer["registrationState"]["substatus"].clone()
        };
        assert_eq!(register(), "initialAssignment");
        assert_eq!(register(), "reprovisionedToInitialAssignment");
        scene.delete_identity("pump");
        assert_eq!(register(), "initialAssignment");
    });
}

#[test]
fn r_13_r_28_a_member_with_a_rolled_certificate_keeps_its_record_and_its_twin() {
    world(|world| {
        let scene = Scene::new(world);
        let ca = scene.root.intermediate("locks-ca");
        scene.put_group("locks", &signed_by(&ca), "enabled");
        let mut old = ca.device("lock-1");
        // The next one of this name is written to the same files.
        for path in [&mut old.chain, &mut old.key] {
            let aside = path.with_extension("old");
            fs::rename(&*path, &aside).unwrap();
            *path = aside;
        }
        let new = ca.device("lock-1");
        scene.register(Sdk::PythonMqtt, "lock-1", &old).assert_assigned(HUB1, "lock-1");
        let identity = || scene.hub.get("/devices/lock-1").expect(200);
        let thumbprint = |identity: &Value| {
            identity["authentication"]["x509Thumbprint"]["primaryThumbprint"].clone()
        };
        let before = identity();
        let record = scene.dps.get("/registrations/lock-1").expect(200);
        let start = |certificate| {
            let credential = Credential::Certificate(certificate);
            let (server, sdk) = (&scene.server, Sdk::NodeMqtt);
            HubDevice::start(scene.world, server, sdk, HUB1, "lock-1", credential)
        };
        let mut device = start(&old);
        device.ready();
        scene.register(Sdk::NodeHttp, "lock-1", &new).assert_assigned(HUB1, "lock-1");
        // R-28: the hub goes by the certificate that was shown last, and by no other.
        device.assert_disconnected_within(SIGNED_OUT);
        start(&old).refused();
        start(&new).ready();
        let after = identity();
        assert_ne!(thumbprint(&after), thumbprint(&before));
        assert_eq!(after["generationId"], before["generationId"]);
        let rolled = scene.dps.get("/registrations/lock-1").expect(200);
        assert_eq!(rolled["createdDateTimeUtc"], record["createdDateTimeUtc"]);
        assert_eq!(scene.records_of("locks"), ["lock-1"]);
    });
}
