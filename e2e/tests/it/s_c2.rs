//! Two groups above one device: the nearer one decides, and deleting it is not disabling it.

use crate::scene::{Scene, signed_by, signed_by_uploaded};
use e2e::{HUB1, Sdk, World, world};
use serde_json::Value;

#[test]
fn nearer_group_decides_with_the_root_as_signing_certificate() {
    world(|world| nearer_group_decides(world, Sdk::PythonMqtt, |scene| signed_by(&scene.root)));
}

#[test]
fn nearer_group_decides_with_the_root_as_uploaded_authority() {
    world(|world| nearer_group_decides(world, Sdk::NodeHttp, |_| signed_by_uploaded("root")));
}

fn nearer_group_decides(world: &World, sdk: Sdk, root: fn(&Scene<'_>) -> Value) {
    let scene = Scene::new(world);
    let intermediate = scene.root.intermediate("a");
    let device = intermediate.device("pump-1");
    let register = || scene.register(sdk, "pump-1", &device);
    let assert_owned_by = |group: &str, other: &str| {
        register().assert_assigned(HUB1, "pump-1");
        assert_eq!(scene.records_of(group), ["pump-1"]);
        assert!(scene.records_of(other).is_empty());
    };

    scene.put_group("group-r", &root(&scene), "enabled");
    scene.put_group("group-a", &signed_by(&intermediate), "enabled");
    assert_owned_by("group-a", "group-r");

    scene.set_status("/enrollmentGroups/group-a", "disabled");
    register().assert_disabled();

    scene.delete("/enrollmentGroups/group-a");
    assert_owned_by("group-r", "group-a");

    scene.set_status("/enrollmentGroups/group-r", "disabled");
    register().assert_disabled();

    scene.put_group("group-a", &signed_by(&intermediate), "enabled");
    assert_owned_by("group-a", "group-r");

    scene.delete("/enrollmentGroups/group-a");
    scene.delete("/enrollmentGroups/group-r");
    register().assert_unauthorized();
}

#[test]
fn chain_that_reaches_no_trusted_root_is_unauthorized() {
    world(|world| {
        let scene = Scene::new(world);
        let stranger = scene.pki.root("stranger").intermediate("stranger-ca");
        let device = stranger.device("pump-1");
        scene.put_group("strangers", &signed_by(&stranger), "enabled");
        for sdk in [Sdk::PythonMqtt, Sdk::NodeMqtt, Sdk::NodeHttp] {
            scene.register(sdk, "pump-1", &device).assert_unauthorized();
        }
        assert_eq!(scene.dps.get("/registrations/pump-1").status, 404);
    });
}
