//! A TPM goes through its own enrollment, or through a group of its maker's.

use crate::scene::Scene;
use e2e::{Credential, HUB1, HubDevice, Outcome, Sdk, Tpm, TpmMaker, tpm_world};
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

/// Node's TPM client, which shows its TPM's certificates as well (`docs/decisions/0007`).
#[test]
fn s_13_a_tpm_is_let_in_by_a_group_of_its_maker_with_node_http() {
    tpm_world(|world| {
        let scene = Scene::new(world);
        let maker = TpmMaker::new(world, "maker");
        let tpm = maker.tpm(world, "tpm");
        let id = tpm.registration_id();
        let register = |id: &str, tpm: &Tpm| scene.register_by_tpm(id, tpm);
        register(&id, &tpm).assert_unchallenged();

        scene.server.muster(&format!(
            "iot dps enrollment-group create --dps-name dps --group-id tpms \
             --certificate-path {} --certifies endorsementKey \
             --allocation-policy static --iot-hubs {HUB1}",
            maker.root().display()
        ));
        register(&id, &tpm).assert_assigned(HUB1, &id);
        assert_eq!(scene.records_of("tpms"), [id.as_str()]);
        let credential = Credential::Tpm(&tpm);
        let sdk = Sdk::NodeMqtt;
        let device = HubDevice::start(world, &scene.server, sdk, HUB1, &id, credential);
        device.ready();
        drop(device);

        // No TPM takes another name than that of its key, and another maker's is a stranger.
        register("safe-1", &tpm).assert_unchallenged();
        let other = TpmMaker::new(world, "other-maker").tpm(world, "other");
        register(&other.registration_id(), &other).assert_unchallenged();
        let second = maker.tpm(world, "second");
        register(&id, &second).assert_unchallenged();
        let second_id = second.registration_id();
        register(&second_id, &second).assert_assigned(HUB1, &second_id);

        scene.set_status("/enrollmentGroups/tpms", "disabled");
        register(&id, &tpm).assert_disabled();
        scene.set_status("/enrollmentGroups/tpms", "enabled");
        register(&id, &tpm).assert_assigned(HUB1, &id);

        // S-13: the one device of the group is refused by an entry of its own.
        scene.put_individual(&id, &is(&tpm), "disabled");
        register(&id, &tpm).assert_disabled();
        register(&second_id, &second).assert_assigned(HUB1, &second_id);
        scene.delete(&format!("/enrollments/{id}"));
        register(&second_id, &second.without_certificates()).assert_unchallenged();

        scene.delete("/enrollmentGroups/tpms");
        register(&id, &tpm).assert_unchallenged();
    });
}
