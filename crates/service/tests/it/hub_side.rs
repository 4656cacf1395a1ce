//! What registration does to the registry, and what it leaves alone (S-02, S-07, S-08, S-69).

use hub::draft::DeviceDraft;
use hub::identity::DeviceStatus;
use model::{HostName, IfMatch};
use serde_json::json;

use crate::world::{World, call, device_id, host, key, keyed};

fn hub_of(w: &str) -> HostName {
    host(w)
}

/// A keyed device, assigned to hub1.
async fn assigned() -> World {
    let w = World::new().await;
    w.put("dev", &on_hub("hub1.localhost")).await;
    assert_eq!(w.outcome("dev", &w.token("dev", &key(1))).await, "assigned");
    w
}

fn on_hub(hub: &str) -> serde_json::Value {
    let mut json = keyed(1);
    json["allocationPolicy"] = "static".into();
    json["iotHubs"] = json!([hub]);
    json
}

fn disabled(name: &str) -> DeviceDraft {
    let body = json!({"deviceId": name, "status": "disabled"});
    dialect::rest::hub::draft(&device_id(name), &serde_json::to_vec(&body).unwrap()).unwrap()
}

#[tokio::test]
async fn s_07_d_14_registering_again_never_enables_a_disabled_identity() {
    let w = assigned().await;
    let hub = hub_of("hub1.localhost");
    w.service.put_device(&call(), &hub, &disabled("dev"), &IfMatch::Any).await.unwrap();
    assert_eq!(w.outcome("dev", &w.token("dev", &key(1))).await, "assigned");
    let device = w.device("dev").await.unwrap().device.value;
    assert_eq!(device.status, DeviceStatus::Disabled);
}

#[tokio::test]
async fn d_14_moving_to_another_hub_takes_the_disabled_status_along() {
    let w = assigned().await;
    let hub = hub_of("hub1.localhost");
    w.service.put_device(&call(), &hub, &disabled("dev"), &IfMatch::Any).await.unwrap();
    w.replace("dev", &on_hub("hub2.localhost")).await;
    assert_eq!(w.outcome("dev", &w.token("dev", &key(1))).await, "assigned");
    assert!(w.service.device(&hub, &device_id("dev")).await.is_err());
    let moved = w.service.device(&hub_of("hub2.localhost"), &device_id("dev")).await.unwrap();
    assert_eq!(moved.device.value.status, DeviceStatus::Disabled);
}

#[tokio::test]
async fn s_08_s_69_a_deleted_identity_is_made_anew_with_the_initial_twin() {
    let w = World::new().await;
    let mut json = on_hub("hub1.localhost");
    json["initialTwin"] = json!({"tags": {"site": "a"}, "properties": {"desired": {}}});
    w.put("dev", &json).await;
    let evidence = w.token("dev", &key(1));
    w.outcome("dev", &evidence).await;
    let before = w.device("dev").await.unwrap().device.value.generation_id;
    let hub = hub_of("hub1.localhost");
    w.service.delete_device(&call(), &hub, &device_id("dev"), &IfMatch::Any).await.unwrap();
    assert!(w.device("dev").await.is_none());
    assert_eq!(w.outcome("dev", &evidence).await, "assigned");
    let fresh = w.device("dev").await.unwrap();
    assert_ne!(fresh.device.value.generation_id, before);
    assert_eq!(fresh.twin.value.tags["site"], "a");
}

#[tokio::test]
async fn s_02_s_56_hub_step_and_dps_step_work_alone_and_in_either_order() {
    let w = assigned().await;
    let evidence = w.token("dev", &key(1));
    let hub = hub_of("hub1.localhost");
    // Hub first: the device registers before the DPS step, and is back.
    w.service.delete_device(&call(), &hub, &device_id("dev"), &IfMatch::Any).await.unwrap();
    assert_eq!(w.outcome("dev", &evidence).await, "assigned");
    assert!(w.device("dev").await.is_some());
    // DPS first, hub second: it is out for good.
    w.delete("dev").await;
    w.service.delete_device(&call(), &hub, &device_id("dev"), &IfMatch::Any).await.unwrap();
    assert_eq!(w.outcome("dev", &evidence).await, "401");
    assert!(w.device("dev").await.is_none());
}

#[tokio::test]
async fn r_21_migration_takes_the_twin_along_and_removes_the_old_identity() {
    let w = assigned().await;
    let report = json!({"battery": 7}).as_object().unwrap().clone();
    let hub1 = hub_of("hub1.localhost");
    w.service.report(&hub1, &device_id("dev"), &report).await.unwrap();
    w.replace("dev", &on_hub("hub2.localhost")).await;
    assert_eq!(w.outcome("dev", &w.token("dev", &key(1))).await, "assigned");
    assert!(w.service.device(&hub1, &device_id("dev")).await.is_err());
    let hub2 = hub_of("hub2.localhost");
    let moved = w.service.device(&hub2, &device_id("dev")).await.unwrap();
    assert_eq!(moved.twin.value.reported.values["battery"], 7);
}

#[tokio::test]
async fn r_22_reset_applies_the_initial_twin_again() {
    let w = World::new().await;
    let mut json = on_hub("hub1.localhost");
    json["reprovisionPolicy"] = json!({"updateHubAssignment": true, "migrateDeviceData": false});
    json["initialTwin"] = json!({"tags": {}, "properties": {"desired": {"rate": 1}}});
    w.put("dev", &json).await;
    let evidence = w.token("dev", &key(1));
    w.outcome("dev", &evidence).await;
    let hub = hub_of("hub1.localhost");
    let report = json!({"battery": 7}).as_object().unwrap().clone();
    w.service.report(&hub, &device_id("dev"), &report).await.unwrap();
    w.outcome("dev", &evidence).await;
    let twin = w.device("dev").await.unwrap().twin.value;
    assert!(twin.reported.values.is_empty());
    assert_eq!(twin.desired.values["rate"], 1);
}

#[tokio::test]
async fn an_unchanged_registration_writes_no_identity() {
    let w = assigned().await;
    let before = w.device("dev").await.unwrap();
    w.outcome("dev", &w.token("dev", &key(1))).await;
    let after = w.device("dev").await.unwrap();
    assert_eq!(before.device.revision, after.device.revision);
    assert_eq!(before.twin.revision, after.twin.revision);
}

#[tokio::test]
async fn t_03_t_05_edge_flag_makes_an_edge_identity_without_parents() {
    let w = World::new().await;
    let mut json = keyed(1);
    json["capabilities"] = json!({"iotEdge": true});
    w.put("dev", &json).await;
    w.outcome("dev", &w.token("dev", &key(1))).await;
    let device = w.device("dev").await.unwrap().device.value;
    assert!(device.iot_edge);
    assert!(device.parent_scopes.is_empty());
    assert!(device.device_scope.unwrap().starts_with("ms-azure-iot-edge://dev-"));
}
