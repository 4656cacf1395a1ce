//! Every call of Node's registry client.

use crate::node_service::refused;
use crate::scene::Scene;
use e2e::{NodeClient, world};
use serde_json::{Value, json};

/// Keys that an operator brings along, base64.
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const OTHER_KEY: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
/// Where a hub would keep what it imports and exports.
const BLOBS: &str = "https://blobs.localhost/c";
const THUMBPRINT: &str = "0123456789ABCDEF0123456789ABCDEF01234567";

#[test]
fn node_keeps_device_identities() {
    world(|world| {
        let scene = Scene::new(world);
        let mut node = NodeClient::registry(world, &scene.server, "hub1");

        // Without credentials Node asks for two keys by empty texts (iot-hub §2.3).
        let made = node.call("create", &[json!({"deviceId": "d1"})]);
        let made_keys = &made["authentication"]["symmetricKey"];
        assert_ne!(made_keys["primaryKey"], made_keys["secondaryKey"]);
        let given = json!({"primaryKey": KEY, "secondaryKey": OTHER_KEY});
        let made = node.promise(
            "create",
            &[json!({"deviceId": "d(2)", "authentication": {"symmetricKey": given}})],
        );
        assert_eq!(made["authentication"]["symmetricKey"], given);
        let pinned = json!({"deviceId": "d3", "status": "disabled", "statusReason": "lost",
                            "authentication": {"x509Thumbprint": {"primaryThumbprint": THUMBPRINT}}});
        let made = node.call("create", &[pinned]);
        assert_eq!(made["authentication"]["type"], "selfSigned");
        assert_eq!((&made["status"], &made["statusReason"]), (&json!("disabled"), &json!("lost")));
        let signed = json!({"deviceId": "d4", "authentication": {"type": "certificateAuthority"}});
        let made = node.call("create", &[signed]);
        assert_eq!(made["authentication"]["type"], "certificateAuthority");
        let again = node.try_call("create", &[json!({"deviceId": "d1"})]);
        refused(&again, "DeviceAlreadyExistsError", 409);

        let mut read = node.call("get", &[json!("d(2)")]);
        assert_eq!(read["authentication"]["symmetricKey"], given);
        assert_eq!(read, node.promise("get", &[json!("d(2)")]));
        read["status"] = json!("disabled");
        let updated = node.call("update", &[read.clone()]);
        assert_eq!(updated["status"], "disabled");
        assert_ne!(updated["etag"], read["etag"]);
        // Node's update is unconditional: it sends no etag but a star in quotes (§2.4).
        read["status"] = json!("enabled");
        assert_eq!(node.promise("update", &[read])["status"], "enabled");

        assert_eq!(ids_of(&node.call("list", &[])), ["d(2)", "d1", "d3", "d4"]);
        let twin = node.call("getTwin", &[json!("d1")]);
        assert_eq!(twin["properties"]["desired"]["$version"], 1);
        assert_eq!(node.promise("getTwin", &[json!("d1")])["etag"], twin["etag"]);

        node.call("delete", &[json!("d1")]);
        node.promise("delete", &[json!("d(2)")]);
        assert_eq!(ids_of(&node.promise("list", &[])), ["d3", "d4"]);
        let missing = json!({"deviceId": "d1"});
        for (method, argument) in [
            ("get", json!("d1")),
            ("update", missing),
            ("delete", json!("d1")),
            ("getTwin", json!("d1")),
        ] {
            refused(&node.try_promise(method, &[argument]), "DeviceNotFoundError", 404);
        }
    });
}

#[test]
fn node_keeps_many_identities_at_once() {
    world(|world| {
        let scene = Scene::new(world);
        let mut node = NodeClient::registry(world, &scene.server, "hub1");
        let devices: Vec<Value> =
            (1..=100).map(|n| json!({"deviceId": format!("d{n:03}")})).collect();
        let done = node.call("addDevices", &[devices.clone().into()]);
        assert_eq!(done["isSuccessful"], true, "{done}");
        let count = node.promise("getRegistryStatistics", &[]);
        assert_eq!(
            (&count["totalDeviceCount"], &count["enabledDeviceCount"]),
            (&json!(100), &json!(100))
        );
        // One that is there already keeps the others in no way back, and is told by its name.
        let again = node.try_call("addDevices", &[json!([devices[0], {"deviceId": "e1"}])]);
        refused(&again, "ArgumentError", 400);
        let told = again.unwrap_err()["message"].as_str().unwrap().to_owned();
        assert!(told.contains("d001") && told.contains("DeviceAlreadyExists"), "{told}");

        let mut first = node.call("get", &[json!("d001")]);
        let stale = first.clone();
        first["status"] = json!("disabled");
        let updated = node.promise("updateDevices", &[json!([first]), json!(false)]);
        assert_eq!(updated["isSuccessful"], true, "{updated}");
        refused(
            &node.try_call("updateDevices", &[json!([stale]), json!(false)]),
            "ArgumentError",
            400,
        );
        let forced = node.call(
            "updateDevices",
            &[json!([{"deviceId": "d002", "status": "disabled"}]), json!(true)],
        );
        assert_eq!(forced["isSuccessful"], true, "{forced}");
        assert_eq!(node.call("getRegistryStatistics", &[])["disabledDeviceCount"], 2);

        refused(
            &node.try_call("removeDevices", &[json!([stale]), json!(false)]),
            "ArgumentError",
            400,
        );
        let removed = node.promise("removeDevices", &[devices.into(), json!(true)]);
        assert_eq!(removed["isSuccessful"], true, "{removed}");
        assert_eq!(ids_of(&node.call("list", &[])), ["e1"]);
    });
}

#[test]
fn node_writes_twins() {
    world(|world| {
        let scene = Scene::new(world);
        let mut node = NodeClient::registry(world, &scene.server, "hub1");
        node.call("create", &[json!({"deviceId": "d1"})]);
        let twin = node.call("getTwin", &[json!("d1")]);
        let patch = json!({"tags": {"floor": 2}, "properties": {"desired": {"interval": 30}}});
        let written =
            node.promise("updateTwin", &[json!("d1"), patch.clone(), twin["etag"].clone()]);
        assert_eq!(written["tags"]["floor"], 2);
        assert_eq!(written["properties"]["desired"]["interval"], 30);
        assert_ne!(written["etag"], twin["etag"]);
        let stale =
            node.try_call("updateTwin", &[json!("d1"), patch.clone(), twin["etag"].clone()]);
        refused(&stale, "InvalidEtagError", 412);
        let drop = json!({"tags": {"floor": null}});
        let written = node.call("updateTwin", &[json!("d1"), drop, json!("*")]);
        assert_eq!(written["tags"].get("floor"), None);
        let missing = node.try_promise("updateTwin", &[json!("d2"), patch, json!("*")]);
        refused(&missing, "DeviceNotFoundError", 404);
    });
}

#[test]
fn node_queries_a_hub_page_by_page() {
    world(|world| {
        let scene = Scene::new(world);
        let mut node = NodeClient::registry(world, &scene.server, "hub1");
        for n in 1..=3 {
            node.call("create", &[json!({"deviceId": format!("d{n}")})]);
        }
        let all = json!("SELECT * FROM devices");
        let pages = node.call("query", &[all.clone(), json!(2)]);
        let pages = pages.as_array().unwrap();
        assert_eq!(pages.iter().map(ids_of).collect::<Vec<_>>(), [vec!["d1", "d2"], vec!["d3"]]);
        let first = node.call("page", &[Value::Null, all.clone(), json!(2)]);
        assert_eq!(first["page"], pages[0]);
        let second = node.call("page", &[first["token"].clone(), all, json!(2)]);
        assert_eq!((&second["page"], second.get("token")), (&pages[1], None));
        let one = json!("SELECT deviceId FROM devices WHERE deviceId = 'd2'");
        assert_eq!(node.call("query", &[one, json!(2)]), json!([[{"deviceId": "d2"}]]));
        refused(&node.try_call("query", &[json!("SELECT"), json!(2)]), "ArgumentError", 400);
    });
}

/// Modules, jobs and configurations are not there: each call ends with an error, and none hangs.
#[test]
fn node_is_told_what_is_not_there() {
    world(|world| {
        let scene = Scene::new(world);
        let mut node = NodeClient::registry(world, &scene.server, "hub1");
        node.call("create", &[json!({"deviceId": "d1"})]);
        let module = json!({"deviceId": "d1", "moduleId": "m1", "etag": "MQ=="});
        let configuration = json!({"id": "c1", "etag": "MQ=="});
        // In the promise form this one never reaches the wire: the SDK misses its own callback.
        not_there(&node.try_call("removeModule", std::slice::from_ref(&module)));
        let calls = [
            ("addModule", json!([module])),
            ("updateModule", json!([module])),
            ("updateModule", json!([module, true])),
            ("getModule", json!(["d1", "m1"])),
            ("getModulesOnDevice", json!(["d1"])),
            ("removeModule", json!(["d1", "m1"])),
            ("getModuleTwin", json!(["d1", "m1"])),
            ("updateModuleTwin", json!(["d1", "m1", {"tags": {}}, "*"])),
            ("addConfiguration", json!([configuration])),
            ("updateConfiguration", json!([configuration, true])),
            ("getConfiguration", json!(["c1"])),
            ("getConfigurations", json!([])),
            ("removeConfiguration", json!(["c1"])),
            ("applyConfigurationContentOnDevice", json!(["d1", {"deviceContent": {}}])),
            ("listJobs", json!([])),
            ("getJob", json!(["j1"])),
            ("cancelJob", json!(["j1"])),
            ("importDevicesFromBlob", json!([BLOBS, BLOBS])),
            ("importDevicesFromBlobByIdentity", json!([BLOBS, BLOBS])),
            ("exportDevicesToBlob", json!([BLOBS, true])),
            ("exportDevicesToBlobByIdentity", json!([BLOBS, true])),
        ];
        for (method, arguments) in calls {
            let arguments = arguments.as_array().unwrap();
            not_there(&node.try_call(method, arguments));
            not_there(&node.try_promise(method, arguments));
        }
    });
}

/// There is nothing at this address, said in a hub's own form.
#[track_caller]
fn not_there(answer: &Result<Value, Value>) {
    refused(answer, "Error", 404);
    let error = answer.as_ref().unwrap_err();
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("ErrorCode:GenericNotFound"), "{error}");
}

fn ids_of(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|device| device["deviceId"].as_str().unwrap()).collect()
}
