//! Bulk operations of the service API (`dps-service-api` §1.11).

use serde_json::{Value, json};

use crate::tests::World;
use crate::tests::operator::DPS;

/// The kinds of entries: path, member of the bulk, member with the id.
const KINDS: [(&str, &str, &str); 2] = [
    ("enrollments", "enrollments", "registrationId"),
    ("enrollmentGroups", "enrollmentGroups", "enrollmentGroupId"),
];

/// Does a bulk; gives of each error the id and the code.
async fn bulk(world: &World, kind: (&str, &str, &str), mode: &str, items: Vec<Value>) -> Value {
    let body = json!({"mode": mode, kind.1: items}).to_string();
    let done = world.operate(DPS, &format!("POST /{}", kind.0), &[], &body).await.expect(200);
    let errors = done["errors"].as_array().unwrap();
    assert_eq!(done["isSuccessful"], errors.is_empty(), "{done}");
    assert!(errors.iter().all(|error| error["errorStatus"].is_string()), "{done}");
    errors.iter().map(|error| json!([error[kind.2], error["errorCode"]])).collect()
}

#[tokio::test]
async fn b_02_b_03_b_04_b_05_what_does_not_fail_is_done() {
    let world = World::new().await;
    for kind in KINDS {
        let item = |id: &str, status: &str| {
            json!({kind.2: id, "provisioningStatus": status,
                "attestation": {"type": "symmetricKey"}})
        };
        let get =
            async |id: &str| world.operate(DPS, &format!("GET /{}/{id}", kind.0), &[], "").await;
        let made = vec![item("a", "enabled"), item("b", "enabled"), item("c", "enabled")];
        assert_eq!(bulk(&world, kind, "create", made).await, json!([]));
        let again = vec![item("a", "disabled"), item("d", "enabled"), item("e", "asleep")];
        let failed = bulk(&world, kind, "create", again).await;
        assert_eq!(failed, json!([["a", 409_201], ["e", 400_004]]));
        assert_eq!(get("a").await.expect(200)["provisioningStatus"], "enabled");
        get("d").await.expect(200);
        let updated = vec![item("a", "disabled"), item("none", "enabled")];
        assert_eq!(bulk(&world, kind, "update", updated).await, json!([["none", 404_201]]));
        let fresh = get("a").await.expect(200);
        assert_eq!(fresh["provisioningStatus"], "disabled");
        let mut stale = get("b").await.expect(200);
        bulk(&world, kind, "update", vec![item("b", "enabled")]).await;
        stale["provisioningStatus"] = json!("disabled");
        let failed = bulk(&world, kind, "updateIfMatchETag", vec![fresh, stale]).await;
        assert_eq!(failed, json!([["b", 412_001]]));
        assert_eq!(get("b").await.expect(200)["provisioningStatus"], "enabled");
        let gone = ["a", "none", "b"].map(|id| json!({kind.2: id})).to_vec();
        assert_eq!(bulk(&world, kind, "delete", gone).await, json!([["none", 404_201]]));
        get("a").await.expect(404);
        get("c").await.expect(200);
    }
}
