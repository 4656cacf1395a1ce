//! A whole group is deprovisioned, step by step, until the instance holds nothing of it.

use crate::scene::{Scene, registration_ids, signed_by};
use e2e::{Authority, HUB1, NodeClient, Sdk, world};
use serde_json::json;
use std::thread;

const DEVICES: [&str; 3] = ["lock-1", "lock-2", "lock-3"];

#[test]
fn whole_group_is_deprovisioned_by_rest() {
    world(|world| {
        let scene = Scene::new(world);
        let locks = provisioned(&scene);
        scene.set_status("/enrollmentGroups/locks", "disabled");

        let records = "/registrations/locks/query";
        let ask = json!({"query": "SELECT * FROM enrollmentGroups"});
        let page = |continuation: &[(&str, &str)]| {
            let headers: Vec<_> =
                [("x-ms-max-item-count", "2")].iter().chain(continuation).copied().collect();
            scene.dps.call("POST", records, &headers, Some(&ask))
        };
        let first = page(&[]);
        assert_eq!(first.header("x-ms-item-type"), Some("deviceRegistration"));
        let more = first.header("x-ms-continuation").expect("a second page").to_owned();
        let second = page(&[("x-ms-continuation", &more)]);
        assert_eq!(second.header("x-ms-continuation"), None, "nothing follows the last page");
        let mut listed = registration_ids(&first.expect(200));
        assert_eq!(listed.len(), 2);
        listed.extend(registration_ids(&second.expect(200)));
        listed.sort();
        assert_eq!(listed, DEVICES);

        for id in DEVICES {
            let record = scene.dps.get(&format!("/registrations/{id}")).expect(200);
            assert_eq!(record["assignedHub"], HUB1, "the operator sees where to go");
            scene.delete_identity(record["deviceId"].as_str().unwrap());
            scene.delete(&format!("/registrations/{id}"));
        }
        scene.delete("/enrollmentGroups/locks");
        assert!(scene.records_of("locks").is_empty());
        for id in DEVICES {
            assert_eq!(scene.dps.get(&format!("/registrations/{id}")).status, 404);
            assert_eq!(scene.hub.get(&format!("/devices/{id}")).status, 404);
        }
        scene.register(Sdk::PythonMqtt, "lock-1", &locks.device("lock-1")).assert_unauthorized();
    });
}

#[test]
fn whole_group_is_deprovisioned_by_the_node_service_client() {
    world(|world| {
        let scene = Scene::new(world);
        let locks = provisioned(&scene);
        let mut service = NodeClient::provisioning_service(world, &scene.server);
        let mut registry = NodeClient::registry(world, &scene.server, "hub1");

        let mut group = service.call("getEnrollmentGroup", &[json!("locks")]);
        group["provisioningStatus"] = json!("disabled");
        service.call("createOrUpdateEnrollmentGroup", &[group]);
        scene.register(Sdk::NodeMqtt, "lock-1", &locks.device("lock-1")).assert_disabled();

        let pages = service.call("query", &[json!("registration"), json!(2), json!("locks")]);
        let pages = pages.as_array().unwrap();
        assert_eq!(
            pages.iter().map(|page| page.as_array().unwrap().len()).collect::<Vec<_>>(),
            [2, 1]
        );
        for record in pages.iter().flat_map(|page| page.as_array().unwrap()) {
            registry.call("delete", std::slice::from_ref(&record["deviceId"]));
            service.call(
                "deleteDeviceRegistrationState",
                std::slice::from_ref(&record["registrationId"]),
            );
        }
        service.call("deleteEnrollmentGroup", &[json!("locks")]);
        let pages = service.call("query", &[json!("registration"), json!(2), json!("locks")]);
        assert_eq!(pages, json!([[]]));
        assert_eq!(registry.call("list", &[]), json!([]));
        let error = service.try_call("getEnrollmentGroup", &[json!("locks")]).unwrap_err();
        assert_eq!(error["status_code"], 404, "{error}");
    });
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
