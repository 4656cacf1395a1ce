//! Every call of the Python service clients over HTTP.

use crate::fleet::Fleet;
use crate::scene::{
    Scene, generated_keys, group, individual, is, keys, signed_by, signed_by_uploaded,
};
use e2e::{PythonClient, world};
use serde_json::{Value, json};

/// Keys that an operator brings along, base64.
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const OTHER_KEY: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
const THUMBPRINT: &str = "0123456789ABCDEF0123456789ABCDEF01234567";
const STALE: &str = "\"stale\"";

#[test]
fn python_keeps_device_identities() {
    world(|world| {
        let scene = Scene::new(world);
        let mut hub = PythonClient::registry(world, &scene.server, "hub1");

        let by_key = [json!("d1"), json!(KEY), json!(OTHER_KEY), json!("enabled")];
        let made = hub.call("create_device_with_sas", &by_key);
        let given = json!({"primaryKey": KEY, "secondaryKey": OTHER_KEY});
        assert_eq!(made["authentication"]["symmetricKey"], given);
        refused(&hub.try_call("create_device_with_sas", &by_key), 409);
        let pinned = [json!("d2"), json!(THUMBPRINT), Value::Null, json!("disabled"), json!(false)];
        let reason = [&pinned[..], &[json!("lost")]].concat();
        let made = hub.call("create_device_with_x509", &reason);
        assert_eq!(made["authentication"]["x509Thumbprint"]["primaryThumbprint"], THUMBPRINT);
        assert_eq!((&made["status"], &made["statusReason"]), (&json!("disabled"), &json!("lost")));
        let signed = [json!("d(3)"), json!("enabled")];
        let made = hub.call("create_device_with_certificate_authority", &signed);
        assert_eq!(made["authentication"]["type"], "certificateAuthority");

        // Updates are conditional: the client puts the etag that it was given in quotes (§2.4).
        let read = hub.call("get_device", &[json!("d1")]);
        let update = |etag: &Value| {
            [json!("d1"), etag.clone(), json!(OTHER_KEY), json!(KEY), json!("disabled")]
        };
        let updated = hub.call("update_device_with_sas", &update(&read["etag"]));
        let swapped = json!({"primaryKey": OTHER_KEY, "secondaryKey": KEY});
        assert_eq!(updated["authentication"]["symmetricKey"], swapped);
        assert_eq!(updated["status"], "disabled");
        refused(&hub.try_call("update_device_with_sas", &update(&read["etag"])), 412);
        let etag = hub.call("get_device", &[json!("d2")])["etag"].clone();
        let update = [json!("d2"), etag, json!(THUMBPRINT), json!(THUMBPRINT), json!("enabled")];
        let updated = hub.call("update_device_with_x509", &update);
        assert_eq!(updated["authentication"]["x509Thumbprint"]["secondaryThumbprint"], THUMBPRINT);
        let update = [json!("d2"), json!("*"), json!("disabled")];
        let updated = hub.call("update_device_with_certificate_authority", &update);
        assert_eq!(updated["authentication"]["type"], "certificateAuthority");

        let ids = |list: &Value| -> Vec<String> {
            let id = |device: &Value| device["deviceId"].as_str().unwrap().to_owned();
            list.as_array().unwrap().iter().map(id).collect()
        };
        assert_eq!(ids(&hub.call("get_devices", &[])), ["d(3)", "d1", "d2"]);
        assert_eq!(ids(&hub.call("get_devices", &[json!(2)])).len(), 2);
        let twin = hub.call("get_twin", &[json!("d1")]);
        assert_eq!((&twin["deviceId"], &twin["status"]), (&json!("d1"), &json!("disabled")));

        refused(&hub.try_call("delete_device", &[json!("d1"), json!(STALE)]), 412);
        hub.call("delete_device", &[json!("d1"), twin["deviceEtag"].clone()]);
        hub.call("delete_device", &[json!("d2")]);
        hub.call("delete_device", &[json!("d(3)"), json!("*")]);
        assert_eq!(hub.call("get_devices", &[]), json!([]));
        for method in ["get_device", "delete_device", "get_twin"] {
            refused(&hub.try_call(method, &[json!("d1")]), 404);
        }
    });
}

#[test]
fn python_keeps_many_identities_at_once_and_writes_twins() {
    world(|world| {
        let scene = Scene::new(world);
        let mut hub = PythonClient::registry(world, &scene.server, "hub1");
        let bulk = "bulk_create_or_update_devices";
        let keys = json!({"type": "sas", "symmetricKey": {"primaryKey": KEY, "secondaryKey": KEY}});
        let item = |id: &str, mode: &str| json!({"id": id, "importMode": mode, "status": "enabled", "authentication": keys});
        let done = hub.call(bulk, &[json!([item("d1", "create"), item("d2", "create")])]);
        assert_eq!(done["isSuccessful"], true, "{done}");
        // The client reads the answer to a failed bulk as it reads any other (§6.3).
        let again = hub.call(bulk, &[json!([item("d1", "create"), item("d3", "createOrUpdate")])]);
        assert_eq!(again["isSuccessful"], false, "{again}");
        assert_eq!(again["errors"][0]["deviceId"], "d1");
        assert_eq!(again["errors"][0]["errorCode"], "DeviceAlreadyExists");
        let count = hub.call("get_device_registry_statistics", &[]);
        assert_eq!(count["totalDeviceCount"], 3);
        assert_eq!(hub.call("get_service_statistics", &[])["connectedDeviceCount"], 0);
        let done = hub.call(bulk, &[json!([item("d2", "delete"), item("d3", "delete")])]);
        assert_eq!(done["isSuccessful"], true, "{done}");

        let twin = hub.call("get_twin", &[json!("d1")]);
        let patch = json!({"tags": {"floor": 2}, "properties": {"desired": {"interval": 30}}});
        let conditional = [json!("d1"), patch.clone(), twin["etag"].clone()];
        let written = hub.call("update_twin", &conditional);
        assert_eq!(written["properties"]["desired"]["interval"], 30);
        refused(&hub.try_call("update_twin", &conditional), 412);
        let replaced = hub.call("replace_twin", &[json!("d1"), json!({"tags": {"room": 7}})]);
        assert_eq!(replaced["tags"], json!({"room": 7}));
        refused(&hub.try_call("replace_twin", &conditional), 412);
        refused(&hub.try_call("update_twin", &[json!("d2"), patch]), 404);
    });
}

#[test]
fn python_queries_a_hub_page_by_page() {
    world(|world| {
        let scene = Scene::new(world);
        let mut hub = PythonClient::registry(world, &scene.server, "hub1");
        for id in ["d1", "d2", "d3"] {
            scene.hub.put(&format!("/devices/{id}"), &json!({"deviceId": id})).expect(200);
        }
        let pages = hub.pages("query_iot_hub", &[json!("SELECT * FROM devices"), json!(2)]);
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(pages[1][0]["deviceId"], "d3");
        assert_eq!(pages[1][0]["properties"]["desired"]["$version"], 1);
        let one = json!({"query": "SELECT deviceId FROM devices WHERE deviceId = 'd2'"});
        let one = hub.call("query_iot_hub", &[one]);
        assert_eq!(one["items"][0]["deviceId"], "d2");
        assert_eq!((&one["type"], &one["continuation_token"]), (&json!("Raw"), &Value::Null));
        refused(&hub.try_call("query_iot_hub", &[json!({"query": "SELECT"})]), 400);
    });
}

/// Modules and methods are not there: each call ends with an error, and none hangs.
#[test]
fn python_is_told_what_is_not_there() {
    world(|world| {
        let scene = Scene::new(world);
        let mut hub = PythonClient::registry(world, &scene.server, "hub1");
        scene.hub.put("/devices/d1", &json!({"deviceId": "d1"})).expect(200);
        for (method, arguments) in [
            ("create_module_with_sas", json!(["d1", "m1", "me", KEY, KEY])),
            ("create_module_with_x509", json!(["d1", "m1", "me", THUMBPRINT, THUMBPRINT])),
            ("create_module_with_certificate_authority", json!(["d1", "m1", "me"])),
            ("update_module_with_sas", json!(["d1", "m1", "me", "MQ==", KEY, KEY])),
            ("update_module_with_x509", json!(["d1", "m1", "me", "MQ==", THUMBPRINT, THUMBPRINT])),
            ("update_module_with_certificate_authority", json!(["d1", "m1", "me", "MQ=="])),
            ("get_module", json!(["d1", "m1"])),
            ("get_modules", json!(["d1"])),
            ("delete_module", json!(["d1", "m1"])),
            ("get_module_twin", json!(["d1", "m1"])),
            ("replace_module_twin", json!(["d1", "m1", {"tags": {}}])),
            ("update_module_twin", json!(["d1", "m1", {"tags": {}}])),
            ("invoke_device_method", json!(["d1", {"methodName": "reboot"}])),
            ("invoke_device_module_method", json!(["d1", "m1", {"methodName": "reboot"}])),
        ] {
            refused(&hub.try_call(method, arguments.as_array().unwrap()), 404);
        }
    });
}

#[test]
fn python_keeps_enrollments_and_records() {
    world(|world| {
        let scene = Scene::new(world);
        let mut dps = PythonClient::provisioning(world, &scene.server);
        let options = |name: &str, value: &Value| json!({"options": {name: value}});

        let put = "enrollment.create_or_update";
        let meter = individual("lot:7.meter_1-a", &generated_keys(), "enabled");
        let meter = dps.call(put, &[json!("lot:7.meter_1-a"), meter]);
        let mechanism = dps.call(
            "enrollment.get_attestation_mechanism",
            std::slice::from_ref(&meter["registrationId"]),
        );
        assert_eq!(mechanism, meter["attestation"]);
        let sensor = individual("sensor-1", &is(&scene.root.device("sensor-1")), "enabled");
        dps.call(put, &[json!("sensor-1"), sensor.clone()]);
        refused(&dps.try_call(put, &[json!("sensor-1"), sensor]), 409);
        let mut read = dps.call("enrollment.get", &[json!("sensor-1")]);
        read["provisioningStatus"] = json!("disabled");
        let stale = options("if_match", &json!(STALE));
        refused(&dps.try_call(put, &[json!("sensor-1"), read.clone(), stale.clone()]), 412);
        let current = options("if_match", &read["etag"]);
        let updated = dps.call(put, &[json!("sensor-1"), read, current]);
        assert_eq!(updated["provisioningStatus"], "disabled");
        let ask = json!({"query": "SELECT * FROM enrollments"});
        let pages = dps.pages("enrollment.query", &[ask, options("top", &json!(1))]);
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
        let delete = "enrollment.delete";
        refused(&dps.try_call(delete, &[json!("sensor-1"), stale.clone()]), 412);
        let current = options("if_match", &updated["etag"]);
        dps.call(delete, &[json!("sensor-1"), current]);
        dps.call(delete, std::slice::from_ref(&meter["registrationId"]));
        refused(&dps.try_call("enrollment.get", &[json!("sensor-1")]), 404);

        let meters = [individual("m-1", &generated_keys(), "enabled")];
        let bulk = "enrollment.run_bulk_operation";
        let create = json!({"mode": "create", "enrollments": meters});
        assert_eq!(dps.call(bulk, std::slice::from_ref(&create))["isSuccessful"], true);
        let again = dps.call(bulk, &[create]);
        assert_eq!(again["errors"][0]["registrationId"], "m-1");
        assert_eq!(again["errors"][0]["errorCode"], 409_201);

        let put = "enrollment_group.create_or_update";
        let signer = scene.root.intermediate("locks-ca");
        for (id, attestation) in [
            ("locks", signed_by(&signer)),
            ("vouched", signed_by_uploaded("root")),
            ("meters", generated_keys()),
        ] {
            let made = dps.call(put, &[json!(id), group(id, &attestation, "enabled")]);
            assert_eq!(made["enrollmentGroupId"], id);
            let shown = dps.call("enrollment_group.get_attestation_mechanism", &[json!(id)]);
            assert_eq!(shown, made["attestation"]);
        }
        let mut read = dps.call("enrollment_group.get", &[json!("locks")]);
        read["provisioningStatus"] = json!("disabled");
        let current = options("if_match", &read["etag"]);
        dps.call(put, &[json!("locks"), read, current]);
        let pages = dps.pages("enrollment_group.query", &[ask_groups(), options("top", &json!(2))]);
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        let bulk = "enrollment_group.run_bulk_operation";
        let disposed = json!({"mode": "delete", "enrollmentGroups": [
            {"enrollmentGroupId": "meters", "attestation": {"type": "symmetricKey"}},
        ]});
        assert_eq!(dps.call(bulk, &[disposed])["isSuccessful"], true);
        dps.call("enrollment_group.delete", &[json!("vouched"), options("if_match", &json!("*"))]);
        refused(&dps.try_call("enrollment_group.delete", &[json!("locks"), stale]), 412);
        dps.call("enrollment_group.delete", &[json!("locks")]);
        refused(&dps.try_call("enrollment_group.get", &[json!("locks")]), 404);

        let ids = registered(&scene);
        let records = [json!("fleet"), options("top", &json!(2))];
        let pages = dps.pages("device_registration_state.query", &records);
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        let state = dps.call("device_registration_state.get", &[json!(ids[0])]);
        assert_eq!((&state["status"], &state), (&json!("assigned"), &pages[0][0]));
        let delete = "device_registration_state.delete";
        let stale = options("if_match", &json!(STALE));
        refused(&dps.try_call(delete, &[json!(ids[0]), stale]), 412);
        dps.call(delete, &[json!(ids[0]), options("if_match", &state["etag"])]);
        refused(&dps.try_call("device_registration_state.get", &[json!(ids[0])]), 404);
    });
}

/// The client before that one, which still has the name that pip finds first.
#[test]
fn elder_python_client_keeps_enrollments_and_records() {
    world(|world| {
        let scene = Scene::new(world);
        let mut dps = PythonClient::enrollments(world, &scene.server);

        let meter = individual("meter-1", &generated_keys(), "enabled");
        let meter = dps.call("create_or_update", &[meter]);
        let shown =
            dps.call("get_individual_enrollment_attestation_mechanism", &[json!("meter-1")]);
        assert_eq!(keys(&json!({"attestation": shown})), keys(&meter));
        let sensor = individual("sensor-1", &is(&scene.root.device("sensor-1")), "enabled");
        dps.call("create_or_update", std::slice::from_ref(&sensor));
        refused(&dps.try_call("create_or_update", &[sensor]), 409);
        let mut read = dps.call("get_individual_enrollment", &[json!("sensor-1")]);
        read["provisioningStatus"] = json!("disabled");
        let updated = dps.call("create_or_update", std::slice::from_ref(&read));
        assert_eq!(updated["provisioningStatus"], "disabled");
        refused(&dps.try_call("create_or_update", std::slice::from_ref(&read)), 412);
        let all = json!("SELECT * FROM enrollments");
        let pages = dps.pages("create_individual_enrollment_query", &[all, json!(1)]);
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
        refused(&dps.try_call("delete", &[read]), 412);
        dps.call("delete", &[updated]);
        dps.call("delete_individual_enrollment_by_param", &[json!("meter-1")]);
        refused(&dps.try_call("get_individual_enrollment", &[json!("meter-1")]), 404);
        let many = [individual("m-1", &generated_keys(), "enabled")];
        let bulk = json!({"mode": "create", "enrollments": many});
        assert_eq!(dps.call("run_bulk_operation", &[bulk])["isSuccessful"], true);

        let signer = scene.root.intermediate("locks-ca");
        let made = dps.call("create_or_update", &[group("locks", &signed_by(&signer), "enabled")]);
        assert_eq!(made["initialTwin"]["properties"]["desired"]["interval"], 30);
        let read = dps.call("get_enrollment_group", &[json!("locks")]);
        dps.call("create_or_update", std::slice::from_ref(&read));
        let meters = dps.call("create_or_update", &[group("meters", &generated_keys(), "enabled")]);
        let shown = dps.call("get_enrollment_group_attestation_mechanism", &[json!("meters")]);
        assert_eq!(keys(&json!({"attestation": shown})), keys(&meters));
        let ask = ask_groups()["query"].clone();
        let pages = dps.pages("create_enrollment_group_query", &[ask, json!(5)]);
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2]);
        refused(&dps.try_call("delete", &[read]), 412);
        dps.call("delete_enrollment_group_by_param", &[json!("locks"), json!("*")]);
        dps.call("delete", &[meters]);

        let ids = registered(&scene);
        // It can not list records: its own query calls itself with one argument twice.
        let state = dps.call("get_registration_state", &[json!(ids[0])]);
        assert_eq!(state["status"], "assigned");
        let delete = "delete_registration_state_by_param";
        refused(&dps.try_call(delete, &[json!(ids[0]), json!(STALE)]), 412);
        dps.call("delete", &[state]);
        dps.call(delete, &[json!(ids[1])]);
        refused(&dps.try_call("get_registration_state", &[json!(ids[0])]), 404);
    });
}

fn ask_groups() -> Value {
    json!({"query": "SELECT * FROM enrollmentGroups"})
}

/// Registers three devices of a group named `fleet`.
fn registered(scene: &Scene<'_>) -> [&'static str; 3] {
    let ids = ["truck-1", "truck-2", "truck-3"];
    let fleet = Fleet::new(&scene.server);
    let mut wire = fleet.connect().unwrap();
    for id in ids {
        fleet.register(&mut wire, id).unwrap().unwrap();
    }
    ids
}

#[track_caller]
fn refused(answer: &Result<Value, Value>, status: u16) {
    let error = answer.as_ref().unwrap_err();
    assert_eq!(error["status_code"], status, "{error}");
}
