//! Quota and orphans: what deleted groups left behind, by the command line and on disk.

use crate::scene::{Scene, generated_keys, keys};
use e2e::{HUB1, Sdk, derived_key, world};
use serde_json::{Value, json};

/// Members of a group, registered.
fn registered(scene: &Scene<'_>, group: &str, members: &[&str]) {
    let written = scene.put_group(group, &generated_keys(), "enabled");
    for id in members {
        let key = derived_key(keys(&written).0, id);
        scene.register_by_key(Sdk::NodeHttp, id, &key).assert_assigned(HUB1, id);
    }
}

#[test]
fn s_c4_s_20_s_24_orphans_are_listed_counted_and_purged() {
    world(|world| {
        let scene = Scene::new(world);
        let muster = |words: &str| scene.server.muster(words);
        let orphan =
            |verb: &str| muster(&format!("iot dps enrollment-group registration orphan {verb}"));
        registered(&scene, "Doors", &["door-1", "door-2"]);
        registered(&scene, "kept", &["kept-1"]);
        assert_eq!(orphan("count"), json!([]));
        muster("iot dps enrollment-group delete --group-id Doors");
        let counted = json!([{"enrollmentGroupId": "Doors", "registrations": 2}]);
        assert_eq!(orphan("count"), counted);
        let listed = orphan("list");
        let of = |record: &Value, member: &str| record[member].as_str().unwrap().to_owned();
        let listed: Vec<_> = listed.as_array().unwrap().iter().collect();
        assert_eq!(listed.len(), 2);
        for (record, id) in listed.into_iter().zip(["door-1", "door-2"]) {
            assert_eq!(of(record, "registrationId"), id);
            assert_eq!(of(record, "assignedHub"), HUB1);
            assert_eq!(of(record, "enrollmentGroupId"), "Doors");
        }
        assert_eq!(orphan("purge --dry-run"), counted);
        let purged = orphan("purge --group-id doors --yes");
        assert_eq!(purged, json!([{"enrollmentGroupId": "Doors", "deleted": 2}]));
        assert_eq!(orphan("count"), json!([]));
        assert_eq!(scene.dps.get("/registrations/door-1").status, 404);
        assert_eq!(scene.hub.get("/devices/door-1").status, 200, "the hub's part stays (R-07)");
        assert_eq!(scene.records_of("kept"), ["kept-1"]);
    });
}

#[test]
fn s_23_a_group_is_deleted_with_its_records_also_after_the_server_died_between() {
    world(|world| {
        let mut scene = Scene::new(world);
        registered(&scene, "doors", &["door-1", "door-2"]);
        registered(&scene, "gates", &["gate-1"]);
        let delete = |group: &str| {
            format!("iot dps enrollment-group delete --group-id {group} --with-registrations --yes")
        };
        scene.server.muster(&delete("gates"));
        assert_eq!(scene.dps.get("/enrollmentGroups/gates").status, 404);
        assert_eq!(scene.dps.get("/registrations/gate-1").status, 404);
        // What a command leaves that was cut off behind the group's deletion.
        scene.delete("/enrollmentGroups/doors");
        scene.server.kill();
        scene.server.start_again();
        scene.server.muster(&delete("doors"));
        for id in ["door-1", "door-2"] {
            assert_eq!(scene.dps.get(&format!("/registrations/{id}")).status, 404, "{id}");
        }
    });
}
