//! A whole group is deprovisioned, step by step, until the instance holds nothing of it.

use crate::operator::{ByNode, ByPython, ByRest, GroupOperator};
use crate::scene::{Scene, registration_ids, signed_by};
use e2e::{Authority, HUB1, Sdk, World, world};
use serde_json::{Value, json};
use std::thread;

const DEVICES: [&str; 3] = ["lock-1", "lock-2", "lock-3"];

#[test]
fn whole_group_is_deprovisioned_by_rest() {
    world(|world| exercise(world, Sdk::PythonMqtt, |_| ByRest));
}

#[test]
fn whole_group_is_deprovisioned_by_the_node_service_client() {
    world(|world| exercise(world, Sdk::NodeMqtt, ByNode::new));
}

#[test]
fn whole_group_is_deprovisioned_by_the_python_service_client() {
    world(|world| exercise(world, Sdk::NodeHttp, ByPython::new));
}

fn exercise<'w, O: GroupOperator>(
    world: &'w World,
    sdk: Sdk,
    operator: impl FnOnce(&Scene<'w>) -> O,
) {
    let scene = Scene::new(world);
    let locks = provisioned(&scene);
    let certificate = locks.device("lock-1");
    let mut operator = operator(&scene);
    operator.disable_group(&scene, "locks");
    scene.register(sdk, "lock-1", &certificate).assert_disabled();

    let pages = operator.records(&scene, "locks");
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    let records: Vec<Value> = pages.into_iter().flatten().collect();
    assert_eq!(registration_ids(&Value::from(records.clone())), DEVICES);
    for record in records {
        assert_eq!(record["assignedHub"], HUB1, "the operator sees where to go");
        operator.delete_identity(&scene, record["deviceId"].as_str().unwrap());
        operator.delete_record(&scene, record["registrationId"].as_str().unwrap());
    }
    operator.delete_group(&scene, "locks");
    assert!(operator.records(&scene, "locks").concat().is_empty());
    assert_eq!(operator.missing_group(&scene, "locks"), 404);
    assert_eq!(scene.hub.get("/devices").expect(200), json!([]));
    for id in DEVICES {
        assert_eq!(scene.dps.get(&format!("/registrations/{id}")).status, 404);
    }
    scene.register(sdk, "lock-1", &certificate).assert_unauthorized();
}

#[test]
fn records_outlive_their_group() {
    world(|world| {
        let scene = Scene::new(world);
        provisioned(&scene);
        scene.delete("/enrollmentGroups/locks");
        assert_eq!(scene.records_of("locks"), DEVICES);
        let record = scene.dps.get("/registrations/lock-1").expect(200);
        assert_eq!(record["assignedHub"], HUB1);
    });
}

/// A group named `locks` with its devices registered, and its authority.
fn provisioned(scene: &Scene<'_>) -> Authority {
    let locks = scene.root.intermediate("locks-ca");
    scene.put_group("locks", &signed_by(&locks), "enabled");
    thread::scope(|scope| {
        for (id, sdk) in DEVICES.into_iter().zip(Sdk::PROVISIONING) {
            let certificate = locks.device(id);
            scope.spawn(move || scene.register(sdk, id, &certificate).assert_assigned(HUB1, id));
        }
    });
    locks
}
