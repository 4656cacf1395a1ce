//! Twins, as operators write them (`iot-hub` §4).

use serde_json::{Value, json};

use crate::tests::World;
use crate::tests::operator::{Answer, HUB};

async fn world() -> World {
    let world = World::new().await;
    let item = json!([{"id": "d", "tags": {"site": "a"}, "properties": {"desired": {"rate": 1}}}]);
    world.operate(HUB, "POST /devices", &[], &item.to_string()).await.expect(200);
    world
}

async fn write(world: &World, method: &str, etag: Option<&str>, body: &Value) -> Answer {
    let headers: Vec<_> = etag.iter().map(|etag| ("If-Match", *etag)).collect();
    world.operate(HUB, &format!("{method} /twins/d"), &headers, &body.to_string()).await
}

#[tokio::test]
async fn a_patch_merges_and_a_put_replaces_and_both_answer_with_the_whole_twin() {
    let world = world().await;
    // What a client read comes back with what it changed.
    let mut read = world.operate(HUB, "GET /twins/d", &[], "").await.expect(200);
    read["tags"]["floor"] = json!(2);
    read["properties"]["desired"]["net"] = json!({"mtu": 9});
    let patched = write(&world, "PATCH", Some("\"*\""), &read).await;
    assert_eq!(patched.header("etag"), None);
    let patched = patched.expect(200);
    assert_eq!(patched["tags"], json!({"site": "a", "floor": 2}));
    assert_eq!(patched["etag"], "AAAAAAAAAAI=");
    assert_eq!((&patched["version"], &patched["status"]), (&json!(3), &json!("enabled")));
    let desired = &patched["properties"]["desired"];
    assert_eq!((&desired["rate"], &desired["$version"]), (&json!(1), &json!(2)));
    assert_eq!(desired["$metadata"]["net"]["mtu"]["$lastUpdatedVersion"], 2);

    let update = json!({"tags": {"only": true}, "properties": {"desired": {"only": null}}});
    let put = write(&world, "PUT", None, &update).await.expect(200);
    assert_eq!(put["tags"], json!({"only": true}));
    assert_eq!(put["properties"]["desired"]["rate"], Value::Null);
    assert_eq!(put["properties"]["desired"]["$version"], 3);
    let kept = write(&world, "PUT", None, &json!({"properties": {}})).await.expect(200);
    assert_eq!((&kept["tags"], &kept["etag"]), (&put["tags"], &put["etag"]));
    world.operate(HUB, "PATCH /twins/none", &[], "{}").await.expect(404);
    world.operate(HUB, "POST /twins/d", &[], "{}").await.expect(405);
}

/// Java's HTTP library has no PATCH; a header can make nothing else of a POST.
#[tokio::test]
async fn a_post_that_means_a_patch_is_one() {
    let world = world().await;
    let body = json!({"tags": {"floor": 2}}).to_string();
    let meaning = |word| [("X-HTTP-Method-Override", word)];
    let patched = world.operate(HUB, "POST /twins/d", &meaning("PATCH"), &body).await.expect(200);
    assert_eq!(patched["tags"], json!({"site": "a", "floor": 2}));
    for other in ["PUT", "DELETE", "GET"] {
        world.operate(HUB, "POST /twins/d", &meaning(other), &body).await.expect(405);
    }
    world.operate(HUB, "GET /devices/d", &meaning("PATCH"), "").await.expect(200);
}

#[tokio::test]
async fn a_stale_etag_of_a_twin_is_412() {
    let world = world().await;
    let body = json!({"tags": {"n": 1}});
    for etag in ["\"AAAAAAAAAAI=\"", "AAAAAAAAAAI=", "x"] {
        let refused = write(&world, "PATCH", Some(etag), &body).await;
        assert_eq!(refused.header("iothub-errorcode"), Some("PreconditionFailed"), "{etag}");
        refused.expect(412);
    }
    write(&world, "PATCH", Some("\"AAAAAAAAAAE=\""), &body).await.expect(200);
    write(&world, "PATCH", Some("AAAAAAAAAAI="), &body).await.expect(200);
    write(&world, "PUT", Some("*"), &body).await.expect(200);
}

#[tokio::test]
async fn a_hostile_twin_is_a_typed_error_and_changes_nothing() {
    let world = world().await;
    let before = world.operate(HUB, "GET /twins/d", &[], "").await.expect(200);
    for hostile in [
        json!({"tags": {"a.b": 1}}),
        json!({"tags": {"$set": 1}}),
        json!({"tags": {"a\u{0}b": 1}}),
        json!({"tags": {"a b": 1}}),
        json!({"tags": {"big": "x".repeat(5000)}}),
        json!({"tags": {"a": 1}, "properties": {"desired": {"": 1}}}),
        json!({"properties": {"desired": {"n": 9_007_199_254_740_993_i64}}}),
        json!({"tags": []}),
        json!({"properties": {"desired": "x"}}),
        json!([]),
    ] {
        for method in ["PATCH", "PUT"] {
            let refused = write(&world, method, None, &hostile).await;
            let code = refused.header("iothub-errorcode").unwrap().to_owned();
            assert!(["ArgumentInvalid", "IotHubFormatError"].contains(&code.as_str()), "{code}");
            refused.expect(400);
        }
    }
    assert_eq!(world.operate(HUB, "GET /twins/d", &[], "").await.expect(200), before);
}
