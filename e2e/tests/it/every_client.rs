//! Every SDK over every transport with every credential: none is left out by the scenarios.

use crate::scene::{Scene, generated_keys, keys, signed_by};
use e2e::{Credential, HUB1, HubDevice, Sdk, World, derived_key, world};
use serde_json::json;
use std::thread;

#[test]
fn every_sdk_registers_with_either_credential() {
    world(|world| {
        let scene = Scene::new(world);
        let sensors = scene.root.intermediate("sensors-ca");
        scene.put_group("sensors", &signed_by(&sensors), "enabled");
        let meters = scene.put_group("meters", &generated_keys(), "enabled");
        for (number, sdk) in Sdk::PROVISIONING.into_iter().enumerate() {
            let (sensor, meter) = (format!("sensor-{number}"), format!("meter-{number}"));
            let certificate = sensors.device(&sensor);
            let key = derived_key(keys(&meters).0, &meter);
            thread::scope(|scope| {
                scope.spawn(|| {
                    scene.register(sdk, &sensor, &certificate).assert_assigned(HUB1, &sensor);
                });
                scene.register_by_key(sdk, &meter, &key).assert_assigned(HUB1, &meter);
            });
        }
    });
}

#[test]
fn every_sdk_uses_its_hub_with_a_key() {
    world(|world| {
        let scene = Scene::new(world);
        let meters = scene.put_group("meters", &generated_keys(), "enabled");
        let key = derived_key(keys(&meters).0, "meter-1");
        scene.register_by_key(Sdk::NodeHttp, "meter-1", &key).assert_assigned(HUB1, "meter-1");
        uses_its_hub(world, &scene, "meter-1", Credential::Key(&key));
    });
}

#[test]
fn every_sdk_uses_its_hub_with_a_certificate() {
    world(|world| {
        let scene = Scene::new(world);
        let sensors = scene.root.intermediate("sensors-ca");
        scene.put_group("sensors", &signed_by(&sensors), "enabled");
        let device = sensors.device("sensor-1");
        scene.register(Sdk::NodeHttp, "sensor-1", &device).assert_assigned(HUB1, "sensor-1");
        uses_its_hub(world, &scene, "sensor-1", Credential::Certificate(&device));
    });
}

/// One SDK after the other, as the same device.
fn uses_its_hub(world: &World, scene: &Scene<'_>, id: &str, credential: Credential<'_>) {
    for (round, sdk) in Sdk::HUB.into_iter().enumerate() {
        let mut device = HubDevice::start(world, &scene.server, sdk, HUB1, id, credential);
        device.ready();
        assert_eq!(device.twin()["desired"]["interval"], 30, "{sdk:?}: the group's initial twin");
        device.report(&json!({"round": round}));
        assert_eq!(device.twin()["reported"]["round"], round, "{sdk:?}");
        device.send(&json!({"temperature": 21.5}));
    }
}
