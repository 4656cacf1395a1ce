//! A TPM goes through its own enrollment, and through nothing else.

use crate::scene::Scene;
use e2e::{Credential, HUB1, HubDevice, Outcome, Sdk, Tpm, tpm_world};
use serde_json::{Value, json};

fn is(tpm: &Tpm) -> Value {
    json!({"type": "tpm", "tpm": {"endorsementKey": tpm.endorsement_key()}})
}

fn register(scene: &Scene<'_>, tpm: &Tpm) -> Outcome {
    scene.register_by_tpm("safe-1", tpm)
}

#[test]
fn s_c7_a_tpm_is_unknown_then_assigned_then_disabled_then_deleted_with_node_http() {
    tpm_world(|world| {
        let scene = Scene::new(world);
        let tpm = Tpm::start(world, "rsa", "rsa");
        register(&scene, &tpm).assert_unchallenged();

        scene.put_individual("safe-1", &is(&tpm), "enabled");
        register(&scene, &tpm).assert_assigned(HUB1, "safe-1");

        // Its hub key came wrapped, and is in the TPM by now.
        let credential = Credential::Tpm(&tpm);
        let sdk = Sdk::NodeMqtt;
        let mut device = HubDevice::start(world, &scene.server, sdk, HUB1, "safe-1", credential);
        device.ready();
        device.send(&json!({"doors": 1}));
        drop(device);

        scene.set_status("/enrollments/safe-1", "disabled");
        register(&scene, &tpm).assert_disabled();
        scene.set_status("/enrollments/safe-1", "enabled");
        register(&scene, &tpm).assert_assigned(HUB1, "safe-1");

        // Another TPM of the same name is a stranger.
        let other = Tpm::start(world, "other", "rsa");
        register(&scene, &other).assert_unchallenged();

        scene.delete("/enrollments/safe-1");
        register(&scene, &tpm).assert_unchallenged();
    });
}

#[test]
fn s_09_a_tpm_with_an_elliptic_endorsement_key_is_assigned_with_node_http() {
    tpm_world(|world| {
        let scene = Scene::new(world);
        let tpm = Tpm::start(world, "ecc", "ecc");
        scene.put_individual("safe-1", &is(&tpm), "enabled");
        register(&scene, &tpm).assert_assigned(HUB1, "safe-1");
    });
}
