//! The service clients of C#, Java and C, which do not run here: what they send, and need to hear.

use crate::fleet::Fleet;
use crate::scene::Scene;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use e2e::{World, replay, world};
use serde_json::Value;
use std::collections::BTreeMap;

#[test]
fn what_the_csharp_service_clients_send_is_answered_as_they_need() {
    world(|world| answered(world, "csharp"));
}

#[test]
fn what_the_java_service_clients_send_is_answered_as_they_need() {
    world(|world| answered(world, "java"));
}

#[test]
fn what_the_c_service_clients_send_is_answered_as_they_need() {
    world(|world| answered(world, "c"));
}

/// Replays a client's calls, beside a group `fleet` of which three devices have registered.
fn answered(world: &World, client: &str) {
    let scene = Scene::new(world);
    let fleet = Fleet::new(&scene.server);
    let mut wire = fleet.connect().unwrap();
    for id in ["truck-1", "truck-2", "truck-3"] {
        fleet.register(&mut wire, id).unwrap().unwrap();
    }
    let mut values = BTreeMap::new();
    for (name, pem) in [
        ("device", scene.root.device("sensor:1").pem),
        ("spare", scene.root.device("lot-1").pem),
        ("ca", scene.root.intermediate("locks-ca").pem),
    ] {
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        values.insert(format!("{name}_pem_base64"), Value::from(BASE64.encode(&pem)));
        values.insert(format!("{name}_pem"), Value::from(pem));
        values.insert(format!("{name}_der"), Value::from(der));
    }
    replay(world, &scene.server, client, values);
}
