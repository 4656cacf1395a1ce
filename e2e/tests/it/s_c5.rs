//! A device is blocked by an entry named after it, without its certificate at hand.

use crate::scene::{Scene, generated_keys, is, keys, signed_by};
use e2e::{HUB1, Sdk, World, derived_key, world};

#[test]
fn entry_named_after_a_certificate_blocks_a_python_device() {
    world(|world| blocks_before_and_after_the_first_registration(world, Sdk::PythonMqtt));
}

#[test]
fn entry_named_after_a_certificate_blocks_a_node_device() {
    world(|world| blocks_before_and_after_the_first_registration(world, Sdk::NodeHttp));
}

fn blocks_before_and_after_the_first_registration(world: &World, sdk: Sdk) {
    let scene = Scene::new(world);
    let intermediate = scene.root.intermediate("cameras-ca");
    let device = intermediate.device("camera-7");
    let neighbor = intermediate.device("camera-8");
    scene.put_group("cameras", &signed_by(&intermediate), "enabled");

    scene.put_individual("camera-7", &generated_keys(), "disabled");
    scene.register(sdk, "camera-7", &device).assert_disabled();
    scene.register(sdk, "camera-8", &neighbor).assert_assigned(HUB1, "camera-8");

    scene.delete("/enrollments/camera-7");
    scene.register(sdk, "camera-7", &device).assert_assigned(HUB1, "camera-7");

    // Letters' case is no way around it.
    scene.put_individual("CAMERA-7", &generated_keys(), "disabled");
    scene.register(sdk, "camera-7", &device).assert_disabled();
}

#[test]
fn entry_with_a_certificate_blocks_a_symmetric_key_device_of_its_name() {
    world(|world| {
        let scene = Scene::new(world);
        let group = scene.put_group("meters", &generated_keys(), "enabled");
        let key = derived_key(keys(&group).0, "meter-1");
        let register = || scene.register_by_key(Sdk::PythonMqtt, "meter-1", &key);
        register().assert_assigned(HUB1, "meter-1");

        scene.put_individual("meter-1", &is(&scene.pki.self_signed("meter-1")), "disabled");
        register().assert_disabled();
        scene.delete("/enrollments/meter-1");
        register().assert_assigned(HUB1, "meter-1");
    });
}

#[test]
fn who_proves_nothing_learns_nothing_of_the_block() {
    world(|world| {
        let scene = Scene::new(world);
        scene.put_group("cameras", &signed_by(&scene.root), "enabled");
        let blocked = scene.put_individual("camera-7", &generated_keys(), "disabled");
        let impostor = scene.pki.self_signed("camera-7");
        scene.register(Sdk::NodeMqtt, "camera-7", &impostor).assert_unauthorized();
        let wrong = derived_key(keys(&blocked).0, "camera-7");
        scene.register_by_key(Sdk::NodeMqtt, "camera-7", &wrong).assert_unauthorized();
        assert_eq!(scene.dps.get("/registrations/camera-7").status, 404);
    });
}
