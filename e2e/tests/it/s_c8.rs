//! A group of symmetric keys behaves as one of certificates does.

use crate::scene::{Scene, generated_keys, keys};
use e2e::{Credential, HUB1, HubDevice, Sdk, World, derived_key, world};

#[test]
fn disabled_individual_blocks_one_derived_key_with_python_mqtt() {
    world(|world| disabled_individual_blocks_one_derived_key(world, Sdk::PythonMqtt));
}

#[test]
fn disabled_individual_blocks_one_derived_key_with_python_mqtt_over_websocket() {
    world(|world| disabled_individual_blocks_one_derived_key(world, Sdk::PythonMqttWs));
}

#[test]
fn disabled_individual_blocks_one_derived_key_with_node_mqtt() {
    world(|world| disabled_individual_blocks_one_derived_key(world, Sdk::NodeMqtt));
}

#[test]
fn disabled_individual_blocks_one_derived_key_with_node_http() {
    world(|world| disabled_individual_blocks_one_derived_key(world, Sdk::NodeHttp));
}

fn disabled_individual_blocks_one_derived_key(world: &World, sdk: Sdk) {
    let scene = Scene::new(world);
    let group = scene.put_group("meters", &generated_keys(), "enabled");
    let (primary, secondary) = keys(&group);
    let key = derived_key(primary, "meter-2");
    let register = || scene.register_by_key(sdk, "meter-2", &key);
    register().assert_assigned(HUB1, "meter-2");

    scene.put_individual("meter-2", &generated_keys(), "disabled");
    scene.delete_identity("meter-2");
    register().assert_disabled();
    let neighbor = derived_key(secondary, "meter-1");
    scene.register_by_key(sdk, "meter-1", &neighbor).assert_assigned(HUB1, "meter-1");

    scene.delete("/enrollments/meter-2");
    register().assert_assigned(HUB1, "meter-2");
    assert_eq!(scene.records_of("meters"), ["meter-1", "meter-2"]);

    scene.set_status("/enrollmentGroups/meters", "disabled");
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
