//! Five devices below one root: what is disallowed, and nothing beside it.

use crate::scene::{Scene, is, signed_by};
use e2e::{DeviceCertificate, HUB1, Sdk, world};
use std::thread;

#[test]
fn five_devices_are_refused_one_branch_and_one_leaf_at_a_time() {
    world(|world| {
        let scene = Scene::new(world);
        let (a, b) = (scene.root.intermediate("a"), scene.root.intermediate("b"));
        let devices: Vec<(String, DeviceCertificate)> = [&a, &a, &a, &b, &b]
            .iter()
            .zip(1..)
            .map(|(authority, n)| {
                let id = format!("device-{n}");
                let certificate = authority.device(&id);
                (id, certificate)
            })
            .collect();

        scene.put_group("all", &signed_by(&scene.root), "enabled");
        check(&scene, &devices, [true; 5]);

        scene.put_group("branch-b", &signed_by(&b), "disabled");
        check(&scene, &devices, [true, true, true, false, false]);

        scene.put_individual("device-3", &is(&devices[2].1), "disabled");
        check(&scene, &devices, [true, true, false, false, false]);

        scene.delete("/enrollmentGroups/branch-b");
        scene.delete("/enrollments/device-3");
        check(&scene, &devices, [true; 5]);
    });
}

/// Registers all at once, each by another SDK and transport.
fn check(scene: &Scene<'_>, devices: &[(String, DeviceCertificate)], assigned: [bool; 5]) {
    thread::scope(|scope| {
        for (((id, certificate), sdk), assigned) in
            devices.iter().zip(Sdk::PROVISIONING).zip(assigned)
        {
            scope.spawn(move || {
                let outcome = scene.register(sdk, id, certificate);
                if assigned {
                    outcome.assert_assigned(HUB1, id);
                } else {
                    outcome.assert_disabled();
                }
            });
        }
    });
}
