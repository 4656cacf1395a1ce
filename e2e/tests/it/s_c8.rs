//! A group of symmetric keys behaves as one of certificates does.

use crate::operator::{ByNode, ByPython, ByRest, GroupOperator};
use crate::scene::{Scene, generated_keys, keys};
use e2e::{Credential, HUB1, HubDevice, Sdk, World, derived_key, world};

#[test]
fn disabled_individual_blocks_one_derived_key_with_python_mqtt() {
    world(|world| exercise(world, Sdk::PythonMqtt, |_| ByRest));
}

#[test]
fn disabled_individual_blocks_one_derived_key_with_python_mqtt_over_websocket() {
    world(|world| exercise(world, Sdk::PythonMqttWs, |_| ByRest));
}

#[test]
fn disabled_individual_blocks_one_derived_key_with_node_mqtt() {
    world(|world| exercise(world, Sdk::NodeMqtt, |_| ByRest));
}

#[test]
fn disabled_individual_blocks_one_derived_key_with_node_http() {
    world(|world| exercise(world, Sdk::NodeHttp, |_| ByRest));
}

#[test]
fn disabled_individual_blocks_one_derived_key_by_the_node_service_client() {
    world(|world| exercise(world, Sdk::PythonMqtt, ByNode::new));
}

#[test]
fn disabled_individual_blocks_one_derived_key_by_the_python_service_client() {
    world(|world| exercise(world, Sdk::NodeMqttWs, ByPython::new));
}

fn exercise<'w, O: GroupOperator>(
    world: &'w World,
    sdk: Sdk,
    operator: impl FnOnce(&Scene<'w>) -> O,
) {
    let scene = Scene::new(world);
    let mut operator = operator(&scene);
    let group = operator.create_key_group(&scene, "meters");
    let (primary, secondary) = keys(&group);
    let key = derived_key(primary, "meter-2");
    let register = || scene.register_by_key(sdk, "meter-2", &key);
    register().assert_assigned(HUB1, "meter-2");

    operator.create_disabled_key(&scene, "meter-2");
    operator.delete_identity(&scene, "meter-2");
    register().assert_disabled();
    let neighbor = derived_key(secondary, "meter-1");
    scene.register_by_key(sdk, "meter-1", &neighbor).assert_assigned(HUB1, "meter-1");

    operator.delete_entry(&scene, "meter-2");
    register().assert_assigned(HUB1, "meter-2");
    assert_eq!(scene.records_of("meters"), ["meter-1", "meter-2"]);

    operator.disable_group(&scene, "meters");
    register().assert_disabled();
}

#[test]
fn group_key_itself_is_no_device_key() {
    world(|world| {
        let scene = Scene::new(world);
        let group = scene.put_group("meters", &generated_keys(), "enabled");
        for sdk in [Sdk::PythonMqtt, Sdk::NodeHttp] {
            scene.register_by_key(sdk, "meter-1", keys(&group).0).assert_unauthorized();
        }
        assert_eq!(scene.dps.get("/registrations/meter-1").status, 404);
    });
}

#[test]
fn device_connects_to_its_hub_with_its_derived_key() {
    world(|world| {
        let scene = Scene::new(world);
        let group = scene.put_group("meters", &generated_keys(), "enabled");
        let key = derived_key(keys(&group).0, "meter-1");
        scene.register_by_key(Sdk::PythonMqtt, "meter-1", &key).assert_assigned(HUB1, "meter-1");
        for sdk in Sdk::HUB {
            let credential = Credential::Key(&key);
            let mut device =
                HubDevice::start(world, &scene.server, sdk, HUB1, "meter-1", credential);
            device.ready();
            assert_eq!(device.twin()["desired"]["interval"], 30, "the group's initial twin");
            device.send(&serde_json::json!({"kwh": 3}));
        }
    });
}
