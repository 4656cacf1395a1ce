//! A hub's registry: bulk, statistics, queries (`iot-hub` §2, §6.3, §13).

use hub::permit::Evidence;
use model::{DeviceId, HostName};
use serde_json::{Value, json};
use service::Connecting;
use service::access::sessions::Session;

use crate::tests::World;
use crate::tests::operator::{Answer, HUB};

async fn bulk(world: &World, items: &Value) -> Answer {
    world.operate(HUB, "POST /devices?api-version=2021-04-12", &[], &items.to_string()).await
}

async fn query(world: &World, text: &str, headers: &[(&str, &str)]) -> Answer {
    let body = json!({"query": text}).to_string();
    world.operate(HUB, "POST /devices/query", headers, &body).await
}

async fn device(world: &World, id: &str) -> Value {
    world.operate(HUB, &format!("GET /devices/{id}"), &[], "").await.expect(200)
}

/// Of each error: the id, the code and the mode.
fn errors(answer: Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.body);
    let errors = answer.body["errors"].as_array().unwrap();
    assert_eq!(answer.body["isSuccessful"], errors.is_empty());
    assert_eq!(answer.body["warnings"], json!([]));
    let line = |error: &Value| json!([error["deviceId"], error["errorCode"], error["operation"]]);
    errors.iter().map(line).collect()
}

/// A live session of a device with keys.
pub(super) async fn connect(world: &World, id: &str) -> Session {
    let key = device(world, id).await["authentication"]["symmetricKey"]["primaryKey"].clone();
    let token = world.device_token(id, key.as_str().unwrap());
    let host = HostName::parse(HUB).unwrap();
    let connecting = Connecting {
        hub: host.clone(),
        named: host,
        device_id: DeviceId::parse(id).unwrap(),
        from: "127.0.0.1".parse().unwrap(),
        evidence: Evidence::Sas(attestation::sas::SasToken::parse(&token).unwrap()),
    };
    world.gateway.service.connect(connecting).await.unwrap().0
}

#[tokio::test]
async fn a_bulk_does_what_each_item_asks_and_tells_which_failed() {
    let world = World::new().await;
    let twin = json!({"desired": {"rate": 5}, "reported": {"level": 1}});
    let made = bulk(
        &world,
        &json!([
            {"id": "a", "importMode": "create", "tags": {"site": "x"}, "properties": twin},
            {"id": "b", "importMode": "Create", "status": "disabled", "statusReason": "spare"},
            {"id": "c"},
        ]),
    )
    .await;
    assert_eq!(errors(made, 200), json!([]));
    let a = world.operate(HUB, "GET /twins/a", &[], "").await.expect(200);
    assert_eq!((&a["tags"]["site"], &a["properties"]["desired"]["rate"]), (&json!("x"), &json!(5)));
    assert_eq!((&a["version"], &a["properties"]["desired"]["$version"]), (&json!(2), &json!(1)));
    assert_eq!(a["properties"]["reported"]["level"], 1);
    assert_eq!(device(&world, "b").await["statusReason"], "spare");

    let mixed = bulk(
        &world,
        &json!([
            {"id": "a", "importMode": "create"},
            {"id": "b", "importMode": "update", "status": "enabled"},
            {"id": "none", "importMode": "Update"},
            {"id": "gone", "importMode": "delete"},
            {"id": "c", "importMode": "createOrUpdate", "status": "disabled"},
            {"id": "d", "importMode": "createOrUpdate"},
            {"id": "d", "importMode": "delete"},
            {"id": "e", "importMode": "sometimes"},
            {"id": "bad id", "importMode": "create"},
            {"id": "f", "moduleId": "m", "importMode": "create"},
            {"id": "g", "importMode": "create", "status": "asleep"},
            {"id": "h", "importMode": "create", "tags": {"a.b": 1}},
            {"importMode": "create"},
        ]),
    )
    .await;
    assert_eq!(
        errors(mixed, 400),
        json!([
            ["a", "DeviceAlreadyExists", "create"],
            ["none", "DeviceNotFound", "update"],
            ["gone", "DeviceNotFound", "delete"],
            ["d", "DeviceDefinedMultipleTimes", "delete"],
            ["e", "ArgumentInvalid", "createOrUpdate"],
            ["bad id", "ArgumentInvalid", "create"],
            ["f", "ArgumentInvalid", "create"],
            ["g", "ArgumentInvalid", "create"],
            ["h", "ArgumentInvalid", "create"],
            ["", "ArgumentInvalid", "create"],
        ])
    );
    assert_eq!(device(&world, "b").await["status"], "enabled");
    assert_eq!(device(&world, "c").await["status"], "disabled");
    device(&world, "d").await;
    world.operate(HUB, "GET /devices/h", &[], "").await.expect(404);
}

#[tokio::test]
async fn a_bulk_goes_by_etags_in_any_quotes() {
    let world = World::new().await;
    bulk(&world, &json!([{"id": "a"}, {"id": "b"}, {"id": "c"}])).await.expect(200);
    let etag = device(&world, "a").await["etag"].as_str().unwrap().to_owned();
    let item = |mode: &str, etag: &str| json!([{"id": "a", "importMode": mode, "eTag": etag}]);
    let stale = bulk(&world, &item("updateIfMatchETag", "Nzc3")).await;
    assert_eq!(errors(stale, 400), json!([["a", "PreconditionFailed", "updateIfMatchETag"]]));
    bulk(&world, &item("UpdateIfMatchETag", &format!("\"\"{etag}\"\""))).await.expect(200);
    let stale = bulk(&world, &item("deleteIfMatchETag", &etag)).await;
    assert_eq!(errors(stale, 400), json!([["a", "PreconditionFailed", "deleteIfMatchETag"]]));
    let fresh = device(&world, "a").await["etag"].as_str().unwrap().to_owned();
    bulk(&world, &item("deleteIfMatchETag", &fresh)).await.expect(200);
    bulk(&world, &json!([{"id": "b", "importMode": "deleteIfMatchETag"}])).await.expect(200);
    let twin = |etag: &str| json!([{"id": "c", "importMode": "updateTwinIfMatchETag", "twinETag": etag, "tags": {"t": 1}}]);
    bulk(&world, &twin("AAAAAAAAAAE=")).await.expect(200);
    let stale = bulk(&world, &twin("AAAAAAAAAAE=")).await;
    assert_eq!(errors(stale, 400), json!([["c", "PreconditionFailed", "updateTwinIfMatchETag"]]));
}

#[tokio::test]
async fn a_bulk_of_none_or_of_too_many_is_refused_whole() {
    let world = World::new().await;
    let of = |count: usize| (0..count).map(|i| json!({"id": format!("d{i}")})).collect::<Value>();
    for refused in [of(0), of(101), json!({"id": "a"}), json!("a")] {
        let answer = bulk(&world, &refused).await;
        assert!(answer.header("iothub-errorcode").is_some());
        assert!(answer.expect(400)["Message"].as_str().unwrap().starts_with("ErrorCode:"));
    }
    bulk(&world, &of(100)).await.expect(200);
    let rights = world.operate(HUB, "GET /statistics/devices", &[], "").await.expect(200);
    assert_eq!(rights["totalDeviceCount"], 100);
}

#[tokio::test]
async fn statistics_count_identities_and_live_sessions() {
    let world = World::new().await;
    let items = json!([{"id": "a"}, {"id": "b"}, {"id": "c", "status": "disabled"}]);
    bulk(&world, &items).await.expect(200);
    let devices = world.operate(HUB, "GET /statistics/devices", &[], "").await.expect(200);
    let expected =
        json!({"totalDeviceCount": 3, "enabledDeviceCount": 2, "disabledDeviceCount": 1});
    assert_eq!(devices, expected);
    let connected = async || {
        let service = world.operate(HUB, "GET /statistics/service/", &[], "").await.expect(200);
        service["connectedDeviceCount"].clone()
    };
    assert_eq!(connected().await, 0);
    let session = connect(&world, "a").await;
    assert_eq!(connected().await, 1);
    drop(session);
    assert_eq!(connected().await, 0);
    world.operate(HUB, "POST /statistics/devices", &[], "").await.expect(405);
}

/// `iot-hub` §15.1.
#[tokio::test]
async fn times_of_a_connection_are_known_while_the_server_runs() {
    let world = World::new().await;
    bulk(&world, &json!([{"id": "a"}])).await.expect(200);
    let never = "0001-01-01T00:00:00Z";
    let times = async || {
        let device = device(&world, "a").await;
        let time = |member: &str| device[member].as_str().unwrap().to_owned();
        let twin = world.operate(HUB, "GET /twins/a", &[], "").await.expect(200);
        assert_eq!(twin["lastActivityTime"], device["lastActivityTime"]);
        assert_eq!(twin["connectionState"], device["connectionState"]);
        (time("connectionState"), time("connectionStateUpdatedTime"), time("lastActivityTime"))
    };
    assert_eq!(times().await, ("Disconnected".into(), never.into(), never.into()));
    let key = device(&world, "a").await["authentication"]["symmetricKey"]["primaryKey"].clone();
    let post = "POST /devices/a/messages/events?api-version=2021-04-12";
    let token = world.device_token("a", key.as_str().unwrap());
    world.ask(HUB, post, &[("Authorization", &token)], "{}").await.expect(204);
    let (state, changed, over_http) = times().await;
    assert_eq!((state.as_str(), changed.as_str()), ("Disconnected", never));
    assert_ne!(over_http, never);
    let session = connect(&world, "a").await;
    let (state, connected, active) = times().await;
    assert_eq!(state, "Connected");
    assert!(active == connected && connected > over_http);
    drop(session);
    let (state, disconnected, last) = times().await;
    assert_eq!(state, "Disconnected");
    assert!(disconnected > connected && last == active);
    // An identity that is made anew was never connected.
    world.operate(HUB, "DELETE /devices/a", &[], "").await.expect(204);
    bulk(&world, &json!([{"id": "a"}])).await.expect(200);
    assert_eq!(times().await, ("Disconnected".into(), never.into(), never.into()));
}

#[tokio::test]
async fn devices_are_queried_by_what_their_twins_show() {
    let world = World::new().await;
    bulk(
        &world,
        &json!([
            {"id": "a", "tags": {"site": "x", "floor": 1}, "properties": {"desired": {"rate": 5}}},
            {"id": "B", "tags": {"site": "y"}, "status": "disabled"},
            {"id": "c", "tags": {"site": "x", "floor": 3}, "capabilities": {"iotEdge": true}},
        ]),
    )
    .await
    .expect(200);
    let session = connect(&world, "c").await;
    for (filter, ids) in [
        ("", "B a c"),
        ("where deviceId = 'a'", "a"),
        ("where deviceId in ['c', 'B', 'none']", "B c"),
        ("where status = 'disabled'", "B"),
        ("where connectionState = 'Connected'", "c"),
        ("where tags.site = 'x' and not tags.floor > 2", "a"),
        ("where properties.desired.rate >= 5", "a"),
        ("where is_defined(tags.floor) or status = 'disabled'", "B a c"),
        ("where capabilities.iotEdge = true", "c"),
        ("c where c.tags.site != 'x'", "B"),
    ] {
        let answer = query(&world, &format!("select * from devices {filter}"), &[]).await;
        assert_eq!(answer.status, 200, "{filter}: {}", answer.body);
        assert_eq!(answer.header("x-ms-item-type"), Some("Twin"));
        assert_eq!(answer.ids("deviceId"), ids, "{filter}");
        assert!(answer.body.as_array().unwrap().iter().all(|row| row["properties"].is_object()));
    }
    drop(session);
    let columns = query(&world, "SELECT DeviceId, tags.floor AS floor FROM devices", &[]).await;
    assert_eq!(columns.header("x-ms-item-type"), Some("Raw"));
    let expected = json!([{"deviceId": "B"}, {"deviceId": "a", "floor": 1},
                          {"deviceId": "c", "floor": 3}]);
    assert_eq!(columns.body, expected);
}

#[tokio::test]
async fn figures_over_devices_are_raw_rows() {
    let world = World::new().await;
    bulk(
        &world,
        &json!([
            {"id": "a", "tags": {"site": "x"}}, {"id": "b", "tags": {"site": "y"}},
            {"id": "c", "tags": {"site": "x"}},
        ]),
    )
    .await
    .expect(200);
    for (text, expected) in [
        ("select count() as n from devices", json!([{"n": 3}])),
        ("select count() as n from devices where tags.site = 'x'", json!([{"n": 2}])),
        ("select count() as n from devices where deviceId = 'none'", json!([{"n": 0}])),
        (
            "SELECT tags.site AS site, COUNT() AS n FROM devices GROUP BY tags.site",
            json!([{"site": "x", "n": 2}, {"site": "y", "n": 1}]),
        ),
    ] {
        let answer = query(&world, text, &[]).await;
        assert_eq!(answer.header("x-ms-item-type"), Some("Raw"));
        assert_eq!(answer.header("x-ms-continuation"), None);
        assert_eq!(answer.expect(200), expected, "{text}");
    }
}

#[tokio::test]
async fn pages_of_devices_lead_on_and_what_is_not_answered_is_a_hubs_400() {
    let world = World::new().await;
    bulk(&world, &json!([{"id": "a"}, {"id": "b"}, {"id": "c"}])).await.expect(200);
    let text = "select * from devices where status = 'enabled'";
    let two = ("x-ms-max-item-count", "2");
    let first = query(&world, text, &[two]).await;
    assert_eq!(first.ids("deviceId"), "a b");
    let token = first.header("x-ms-continuation").unwrap();
    let rest = query(&world, text, &[two, ("x-ms-continuation", token)]).await;
    assert_eq!((rest.ids("deviceId").as_str(), rest.header("x-ms-continuation")), ("c", None));
    let torn = [two, ("x-ms-continuation", token.get(1..).unwrap())];
    for (text, headers) in [
        (text, torn.as_slice()),
        ("select * from devices.jobs", &[]),
        ("select * from devices where startswith(deviceId, 'a')", &[]),
        ("select * from enrollments", &[]),
        ("select * from devices order by deviceId", &[]),
        ("", &[]),
    ] {
        let answer = query(&world, text, headers).await;
        assert!(answer.header("iothub-errorcode").is_some(), "{text}");
        assert!(answer.expect(400)["ExceptionMessage"].is_string());
    }
}
