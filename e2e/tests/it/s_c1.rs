//! One device of a group is deprovisioned, brought back, and returned to its group.

use crate::operator::{ByCommandLine, ByNode, ByPython, ByRest, Operator};
use crate::scene::{Scene, generated_keys, is, keys, signed_by};
use e2e::{Credential, HUB1, HubDevice, Sdk, World, world};
use serde_json::json;
use std::time::Duration;

#[test]
fn first_day_python_device_is_assigned_then_disabled() {
    world(|world| {
        let scene = Scene::new(world);
        let intermediate = scene.root.intermediate("sensors-ca");
        let device = intermediate.device("sensor-thl-002");
        scene.put_group("sensors", &signed_by(&intermediate), "enabled");
        scene
            .register(Sdk::PythonMqtt, "sensor-thl-002", &device)
            .assert_assigned(HUB1, "sensor-thl-002");

        let before = scene.hub.get("/devices/sensor-thl-002").expect(200);
        scene.put_individual("disallow-002", &is(&device), "disabled");
        scene.register(Sdk::PythonMqtt, "sensor-thl-002", &device).assert_disabled();
        let after = scene.hub.get("/devices/sensor-thl-002").expect(200);
        assert_eq!(before, after, "disenrolling leaves the hub's identity alone");
    });
}

#[test]
fn first_day_symmetric_key_device_is_assigned_then_disabled() {
    world(|world| {
        let scene = Scene::new(world);
        let entry = scene.put_individual("meter-1", &generated_keys(), "enabled");
        let (primary, secondary) = keys(&entry);
        let sdk = Sdk::PythonMqtt;
        scene.register_by_key(sdk, "meter-1", primary).assert_assigned(HUB1, "meter-1");
        scene.register_by_key(sdk, "meter-1", secondary).assert_assigned(HUB1, "meter-1");

        scene.set_status("/enrollments/meter-1", "disabled");
        scene.register_by_key(sdk, "meter-1", primary).assert_disabled();
        scene.set_status("/enrollments/meter-1", "enabled");
        scene.register_by_key(sdk, "meter-1", primary).assert_assigned(HUB1, "meter-1");

        scene.delete("/enrollments/meter-1");
        scene.register_by_key(sdk, "meter-1", primary).assert_unauthorized();
    });
}

#[test]
fn deprovisioning_one_device_of_a_group_with_python_mqtt() {
    world(|world| exercise(world, Sdk::PythonMqtt, |_| ByRest));
}

#[test]
fn deprovisioning_one_device_of_a_group_with_python_mqtt_over_websocket() {
    world(|world| exercise(world, Sdk::PythonMqttWs, |_| ByRest));
}

#[test]
fn deprovisioning_one_device_of_a_group_with_node_mqtt() {
    world(|world| exercise(world, Sdk::NodeMqtt, |_| ByRest));
}

#[test]
fn deprovisioning_one_device_of_a_group_with_node_mqtt_over_websocket() {
    world(|world| exercise(world, Sdk::NodeMqttWs, |_| ByRest));
}

#[test]
fn deprovisioning_one_device_of_a_group_with_node_http() {
    world(|world| exercise(world, Sdk::NodeHttp, |_| ByRest));
}

#[test]
fn deprovisioning_one_device_of_a_group_by_the_node_service_client() {
    world(|world| exercise(world, Sdk::PythonMqtt, ByNode::new));
}

#[test]
fn deprovisioning_one_device_of_a_group_by_the_python_service_client() {
    world(|world| exercise(world, Sdk::NodeMqtt, ByPython::new));
}

#[test]
fn deprovisioning_one_device_of_a_group_by_the_command_line() {
    world(|world| exercise(world, Sdk::PythonMqtt, |_| ByCommandLine));
}

/// The exercise in full, with any device SDK and any operator's tool.
pub(crate) fn exercise<'w, O: Operator>(
    world: &'w World,
    sdk: Sdk,
    operator: impl FnOnce(&Scene<'w>) -> O,
) {
    let scene = Scene::new(world);
    let mut operator = operator(&scene);
    let intermediate = scene.root.intermediate("sensors-ca");
    let device = intermediate.device("sensor-thl-002");
    let neighbor = intermediate.device("sensor-thl-001");
    let register = || scene.register(sdk, "sensor-thl-002", &device);

    operator.create_group(&scene, "sensors", &intermediate);
    register().assert_assigned(HUB1, "sensor-thl-002");

    operator.create_disabled(&scene, "disallow-002", &device);
    operator.delete_identity(&scene, "sensor-thl-002");
    register().assert_disabled();
    assert_eq!(scene.hub.get("/devices/sensor-thl-002").status, 404);
    let record = scene.dps.get("/registrations/sensor-thl-002").expect(200);
    assert_eq!(record["status"], "disabled");
    scene.register(sdk, "sensor-thl-001", &neighbor).assert_assigned(HUB1, "sensor-thl-001");

    operator.set_status(&scene, "disallow-002", "enabled");
    register().assert_assigned(HUB1, "sensor-thl-002");
    assert_eq!(scene.hub.get("/devices/sensor-thl-002").status, 200);

    operator.set_status(&scene, "disallow-002", "disabled");
    register().assert_disabled();

    operator.delete_entry(&scene, "disallow-002");
    register().assert_assigned(HUB1, "sensor-thl-002");
    assert_eq!(scene.records_of("sensors"), ["sensor-thl-001", "sensor-thl-002"]);
}

#[test]
fn disabled_entry_blocks_beside_an_enabled_one_named_after_the_certificate() {
    world(|world| {
        let scene = Scene::new(world);
        let intermediate = scene.root.intermediate("sensors-ca");
        let device = intermediate.device("sensor-thl-002");
        let register = |sdk| scene.register(sdk, "sensor-thl-002", &device);
        scene.put_group("sensors", &signed_by(&intermediate), "enabled");
        register(Sdk::PythonMqtt).assert_assigned(HUB1, "sensor-thl-002");

        scene.put_individual("sensor-thl-002", &generated_keys(), "enabled");
        scene.put_individual("disallow-002", &is(&device), "disabled");
        register(Sdk::PythonMqtt).assert_disabled();
        register(Sdk::NodeHttp).assert_disabled();

        // Without the block the entry named after the certificate decides alone, and wants a key.
        scene.delete("/enrollments/disallow-002");
        register(Sdk::PythonMqtt).assert_unauthorized();
        scene.delete("/enrollments/sensor-thl-002");
        register(Sdk::PythonMqtt).assert_assigned(HUB1, "sensor-thl-002");
    });
}

#[test]
fn deleting_the_identity_ends_the_live_python_session() {
    world(|world| deleting_the_identity_ends_the_live_session(world, Sdk::PythonMqtt));
}

#[test]
fn deleting_the_identity_ends_the_live_node_websocket_session() {
    world(|world| deleting_the_identity_ends_the_live_session(world, Sdk::NodeMqttWs));
}

fn deleting_the_identity_ends_the_live_session(world: &World, sdk: Sdk) {
    let scene = Scene::new(world);
    let intermediate = scene.root.intermediate("sensors-ca");
    let device = intermediate.device("sensor-thl-002");
    scene.put_group("sensors", &signed_by(&intermediate), "enabled");
    scene.register(sdk, "sensor-thl-002", &device).assert_assigned(HUB1, "sensor-thl-002");

    let credential = Credential::Certificate(&device);
    let start = || HubDevice::start(world, &scene.server, sdk, HUB1, "sensor-thl-002", credential);
    let mut connected = start();
    connected.ready();
    assert_eq!(connected.twin()["desired"]["interval"], 30, "the group's initial twin");
    connected.send(&json!({"temperature": 21.5}));

    scene.put_individual("disallow-002", &is(&device), "disabled");
    connected.send(&json!({"temperature": 21.6}));
    scene.delete_identity("sensor-thl-002");
    connected.assert_disconnected_within(Duration::from_secs(10));
    start().refused();
}

#[test]
fn a_disable_that_was_answered_survives_a_crash() {
    world(|world| {
        let mut scene = Scene::new(world);
        let intermediate = scene.root.intermediate("sensors-ca");
        let device = intermediate.device("sensor-thl-002");
        scene.put_group("sensors", &signed_by(&intermediate), "enabled");
        scene
            .register(Sdk::NodeHttp, "sensor-thl-002", &device)
            .assert_assigned(HUB1, "sensor-thl-002");

        scene.set_status("/enrollmentGroups/sensors", "disabled");
        scene.server.kill();
        scene.server.start_again();
        scene.register(Sdk::NodeHttp, "sensor-thl-002", &device).assert_disabled();
        assert!(scene.server.stop().success(), "it ends well when asked to");
    });
}
