//! Orders to reprovision, and records of deleted groups.

use serde_json::{Value, json};

use super::{KEY, LOGIN, page, parse, reply, run};
use crate::failure::Kind;

fn dps() -> crate::transport::Reply {
    reply(
        200,
        &json!({"value": [{"name": "dps1", "properties": {
            "serviceOperationsHostName": "dps1.localhost"}}]}),
    )
}

fn keys() -> crate::transport::Reply {
    reply(200, &json!({"value": [{"keyName": "provisioningserviceowner", "primaryKey": KEY}]}))
}

fn orphaned(groups: &[(&str, u64)], next: Option<&str>) -> crate::transport::Reply {
    let groups: Vec<_> = groups
        .iter()
        .map(|(name, count)| json!({"name": name, "properties": {"registrations": count}}))
        .collect();
    let mut body = json!({"value": groups});
    if let Some(next) = next {
        body["next"] = next.into();
    }
    reply(200, &body)
}

fn purged(deleted: u64, more: bool) -> crate::transport::Reply {
    reply(200, &json!({"deleted": deleted, "more": more}))
}

const GROUP: [&str; 4] = ["iot", "dps", "enrollment-group", "reprovision"];

#[tokio::test]
async fn an_order_names_what_becomes_of_the_twin() {
    let order = json!({"name": "g", "properties": {"reprovision": {
        "deviceData": "reset", "ordered": "2026-01-01T00:00:00Z"}}});
    let words = [&GROUP[..], &["--group-id", "g", "--device-data", "Reset"]].concat();
    let ran = run(&words, vec![dps(), reply(200, &order)]).await.ok();
    let path = "/muster/v1/dps/dps1/enrollment-groups/g/reprovision?api-version=2026-11-01";
    assert_eq!(ran.lines()[1], format!("PUT {path}"));
    assert_eq!(ran.body(1), json!({"properties": {"deviceData": "reset"}}));
    assert!(ran.out.contains("properties.reprovision.ordered"), "{}", ran.out);
    // Anew: the one that stands is taken back first.
    let words = [&words[..], &["--again"]].concat();
    let replies = vec![dps(), reply(204, &Value::Null), reply(200, &order)];
    let ran = run(&words, replies).await.ok();
    assert_eq!(ran.lines()[1..], [format!("DELETE {path}"), format!("PUT {path}")]);
    let words = [&GROUP[..], &["--gid", "g", "--withdraw"]].concat();
    let ran = run(&words, vec![dps(), reply(204, &Value::Null)]).await.ok();
    assert_eq!(
        (ran.lines()[1].as_str(), ran.out.as_str()),
        (format!("DELETE {path}").as_str(), "")
    );
    for words in [
        "iot dps enrollment registration reprovision --eid a:b --dd migrate -n dps1",
        "iot dps enrollment-group registration reprovision --rid a:b --dd migrate",
        "iot dps registration reprovision --rid a:b --device-data reprovisionandmigratedata",
    ] {
        let words: Vec<_> = words.split(' ').collect();
        let ran = run(&words, vec![dps(), reply(200, &order)]).await.ok();
        let path = "PUT /muster/v1/dps/dps1/registrations/a%3Ab/reprovision?api-version=2026-11-01";
        assert_eq!(ran.lines()[1], path);
        assert_eq!(ran.body(1), json!({"properties": {"deviceData": "migrate"}}));
    }
    for words in [&["--gid", "g"][..], &["--gid", "g", "--dd", "reset", "--withdraw"]] {
        assert!(parse(&[&GROUP[..], words].concat()).is_err(), "{words:?}");
    }
}

const ORPHAN: [&str; 5] = ["iot", "dps", "enrollment-group", "registration", "orphan"];

#[tokio::test]
async fn s_20_orphans_are_counted_and_listed_by_the_group_that_left_them() {
    let words = [&ORPHAN[..], &["count", "-o", "tsv"]].concat();
    let pages =
        vec![dps(), orphaned(&[("Line 1", 2)], Some("line 1")), orphaned(&[("b", 1)], None)];
    let ran = run(&words, pages).await.ok();
    assert_eq!(
        ran.lines()[1..],
        [
            "GET /muster/v1/dps/dps1/orphans?after=&api-version=2026-11-01",
            "GET /muster/v1/dps/dps1/orphans?after=line%201&api-version=2026-11-01",
        ]
    );
    assert_eq!(ran.out, "Line 1\t2\nb\t1\n");
    let words = [&ORPHAN[..], &["list", "--top", "2", "--query", "[].[enrollmentGroupId, x]"]];
    let words = [words.concat(), vec!["-o", "tsv"]].concat();
    let replies = vec![
        dps(),
        orphaned(&[("a", 1), ("b", 2), ("c", 1)], None),
        keys(),
        page(&json!([{"x": "1"}]), None),
        page(&json!([{"x": "2"}, {"x": "3"}]), None),
    ];
    let ran = run(&words, replies).await.ok();
    assert_eq!(ran.out, "a\t1\nb\t2\n");
    assert_eq!(ran.lines()[4], "POST /registrations/b/query?api-version=2021-10-01");
}

#[tokio::test]
async fn s_24_a_purge_calls_until_nothing_is_left() {
    let words = [&ORPHAN[..], &["purge", "--yes", "-o", "json", "--query", "[].deleted"]].concat();
    let replies = vec![
        dps(),
        orphaned(&[("a", 5_100), ("b", 1)], None),
        purged(5_000, true),
        purged(100, false),
        purged(1, false),
    ];
    let ran = run(&words, replies).await.ok();
    let path =
        |group| format!("POST /muster/v1/dps/dps1/orphans/{group}/purge?api-version=2026-11-01");
    assert_eq!(ran.lines()[2..], [path("a"), path("a"), path("b")]);
    assert_eq!(ran.out.split_whitespace().collect::<String>(), "[5100,1]");
    let words = [&ORPHAN[..], &["purge", "--gid", "B", "--dry-run", "-o", "tsv"]].concat();
    let ran = run(&words, vec![dps(), orphaned(&[("a", 5_100), ("b", 1)], None)]).await.ok();
    assert_eq!((ran.asked.len(), ran.out.as_str()), (2, "b\t1\n"));
}

const DELETE: [&str; 6] = ["iot", "dps", "enrollment-group", "delete", "--group-id", "g"];

#[tokio::test]
async fn s_23_a_group_is_deleted_with_its_records() {
    let words = [&DELETE[..], &["--with-registrations", "-e", "x"]].concat();
    let group = json!({"name": "g", "properties": {"registrations": 3}});
    let gone = reply(204, &Value::Null);
    let replies = vec![dps(), reply(200, &group), keys(), gone, purged(3, false)];
    let ran = run(&words, replies).await.ok();
    assert_eq!(
        ran.lines()[1..],
        [
            "GET /muster/v1/dps/dps1/enrollment-groups/g?api-version=2026-11-01",
            "GET /muster/v1/dps/dps1/listkeys?api-version=2026-11-01",
            "DELETE /enrollmentGroups/g?api-version=2021-10-01",
            "POST /muster/v1/dps/dps1/orphans/g/purge?api-version=2026-11-01",
        ]
    );
    assert_eq!(ran.header(3, "if-match"), Some("\"x\""));
}

/// Killed after the group was deleted: the same command goes on, and then has nothing to do.
#[tokio::test]
async fn s_23_a_deletion_that_was_cut_off_goes_on_when_it_is_repeated() {
    let words = [&DELETE[..], &["--with-registrations"]].concat();
    let none = || reply(404, &json!({"errorCode": 404201, "message": "none", "trackingId": "t"}));
    let left = orphaned(&[("f", 9), ("G", 2)], None);
    let ran = run(&words, vec![dps(), none(), left, purged(2, false)]).await.ok();
    assert_eq!(ran.lines()[3], "POST /muster/v1/dps/dps1/orphans/G/purge?api-version=2026-11-01");
    let ran = run(&words, vec![dps(), none(), orphaned(&[("f", 9)], None)]).await;
    let (kind, text) = ran.failure();
    assert_eq!(kind, Kind::NotFound);
    assert!(text.contains("neither an enrollment group 'g' nor a record of it"), "{text}");
    // The administration is what knows of orphans: a key to one service is not enough.
    assert!(parse(&[&words[..], &["--login", LOGIN]].concat()).is_err());
}
