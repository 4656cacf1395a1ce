//! Etags and conditional calls (`dps-service-api` §1.6).

use serde_json::{Value, json};

use crate::tests::operator::{Answer, DPS};
use crate::tests::{KEY, World};

const KINDS: [(&str, &str); 2] =
    [("enrollments", "registrationId"), ("enrollmentGroups", "enrollmentGroupId")];

async fn put(world: &World, kind: (&str, &str), id: &str, if_match: Option<&str>) -> Answer {
    let body = json!({kind.1: id, "attestation": {"type": "symmetricKey"}}).to_string();
    let headers: Vec<_> = if_match.iter().map(|etag| ("If-Match", *etag)).collect();
    world.operate(DPS, &format!("PUT /{}/{id}", kind.0), &headers, &body).await
}

async fn delete(world: &World, path: &str, if_match: Option<&str>) -> Answer {
    let headers: Vec<_> = if_match.iter().map(|etag| ("If-Match", *etag)).collect();
    world.operate(DPS, &format!("DELETE /{path}"), &headers, "").await
}

fn etag(answer: Answer) -> String {
    answer.expect(200)["etag"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_20_a_21_a_22_a_23_a_24_a_25_writes_go_by_if_match() {
    let world = World::new().await;
    for kind in KINDS {
        for if_match in ["*", "\"*\"", "\"x\""] {
            let refused = put(&world, kind, "e", Some(if_match)).await.expect(404);
            assert_eq!(refused["errorCode"], 404_201, "A-25");
        }
        let first = etag(put(&world, kind, "e", None).await);
        assert!(first.starts_with('"') && first.ends_with('"'), "{first}");
        let path = format!("GET /{}/e", kind.0);
        let before = world.operate(DPS, &path, &[], "").await.expect(200);
        assert_eq!(put(&world, kind, "e", None).await.expect(409)["errorCode"], 409_201, "A-21");
        assert_eq!(world.operate(DPS, &path, &[], "").await.expect(200), before, "A-21");
        let second = etag(put(&world, kind, "e", Some("*")).await);
        let third = etag(put(&world, kind, "e", Some(&second)).await);
        assert!(first != second && second != third && first != third);
        let refused = put(&world, kind, "e", Some(&first)).await.expect(412);
        assert_eq!(refused["errorCode"], 412_001, "A-24");
    }
}

#[tokio::test]
async fn a_26_a_27_a_28_deletions_go_by_if_match() {
    let world = World::new().await;
    for kind in KINDS {
        let path = format!("{}/e", kind.0);
        let stale = etag(put(&world, kind, "e", None).await);
        let fresh = etag(put(&world, kind, "e", Some("*")).await);
        assert_eq!(delete(&world, &path, Some(&stale)).await.expect(412)["errorCode"], 412_001);
        let deleted = delete(&world, &path, Some(&fresh)).await;
        assert_eq!(deleted.header("content-type"), None);
        assert_eq!(deleted.expect(204), Value::Null);
        for if_match in [None, Some("*"), Some("\"*\"")] {
            put(&world, kind, "e", None).await.expect(200);
            delete(&world, &path, if_match).await.expect(204);
            let gone = delete(&world, &path, if_match).await.expect(404);
            assert_eq!(gone["errorCode"], 404_201, "A-28");
        }
    }
    let record = delete(&world, "registrations/none", None).await.expect(404);
    assert_eq!(record["errorCode"], 404_202);
}

#[tokio::test]
async fn a_28_a_record_goes_by_its_own_etag() {
    let world = World::new().await;
    world.enroll("dev").await;
    world.register("dev", KEY).await;
    let record = world.operate(DPS, "GET /registrations/dev", &[], "").await.expect(200);
    delete(&world, "registrations/dev", Some("\"x\"")).await.expect(412);
    delete(&world, "registrations/dev", record["etag"].as_str()).await.expect(204);
    world.operate(DPS, "GET /registrations/dev", &[], "").await.expect(404);
}

#[tokio::test]
async fn a_29_an_etag_may_be_sent_with_its_quotes_or_without() {
    let world = World::new().await;
    let mut etag = etag(put(&world, KINDS[0], "e", None).await);
    for spell in [
        |etag: &str| etag.to_owned(),
        |etag: &str| etag.trim_matches('"').to_owned(),
        |etag: &str| format!("\"{etag}\""),
        |etag: &str| format!("  {etag} "),
    ] {
        etag = self::etag(put(&world, KINDS[0], "e", Some(&spell(&etag))).await);
    }
    for odd in ["W/\"x\"", "\"", "''", "\"\"\"\"x"] {
        put(&world, KINDS[0], "e", Some(odd)).await.expect(412);
    }
}

/// Node sends `If-Match` with the object's etag when it is given an object, and none for an id.
#[tokio::test]
async fn a_29b_an_object_is_deleted_by_its_etag_and_an_id_without() {
    let world = World::new().await;
    let object = put(&world, KINDS[0], "e", None).await.expect(200);
    delete(&world, "enrollments/e", object["etag"].as_str()).await.expect(204);
    put(&world, KINDS[0], "e", None).await.expect(200);
    delete(&world, "enrollments/e", None).await.expect(204);
}

#[tokio::test]
async fn a_30_the_etag_of_the_body_is_not_looked_at() {
    let world = World::new().await;
    let first = put(&world, KINDS[0], "e", None).await.expect(200);
    put(&world, KINDS[0], "e", Some("*")).await.expect(200);
    // az sends what it read some time ago, with `If-Match: *`.
    let body = first.to_string();
    let written = world.operate(DPS, "PUT /enrollments/e", &[("If-Match", "*")], &body).await;
    assert_ne!(etag(written), first["etag"].as_str().unwrap());
    world.operate(DPS, "PUT /enrollments/e", &[], &body).await.expect(409);
}

#[tokio::test]
async fn a_31_neither_reading_nor_registering_changes_an_etag() {
    let world = World::new().await;
    world.enroll("dev").await;
    let get = async || etag(world.operate(DPS, "GET /enrollments/dev", &[], "").await);
    let before = get().await;
    world.operate(DPS, "POST /enrollments/dev/attestationmechanism", &[], "").await.expect(200);
    world.operate(DPS, "POST /enrollments/query", &[], "").await.expect(200);
    world.register("dev", KEY).await;
    assert_eq!(get().await, before);
    // The same content written again is another version.
    assert_ne!(etag(put(&world, KINDS[0], "dev", Some("*")).await), before);
}
