//! Records that deleted groups left behind: listed, counted, purged (S-20 to S-24, S-C4).

use std::sync::Arc;

use model::IfMatch;
use provisioning::registration::Registration;
use service::{ApiError, Purged};
use store::memory::Memory;
use store::{Commit, Store, Write};

use crate::world::{World, call, group_id, id, key, keyed};

/// Members of a group that is gone: `{group}-0`, `{group}-1`, …
async fn orphans(w: &World, group: &str, seed: u8, members: usize) {
    w.put_group(group, &keyed(seed)).await;
    for number in 0..members {
        let name = format!("{group}-{number}");
        let evidence = w.token(&name, &key(seed).derive(&name));
        assert_eq!(w.outcome(&name, &evidence).await, "assigned");
    }
    w.delete_group(group).await;
}

async fn told(w: &World) -> Vec<String> {
    let found = w.service.orphaned(&w.dps, None, 100).await.unwrap();
    found.rows.iter().map(|of| format!("{} {}", of.group, of.registrations)).collect()
}

async fn purge(w: &World, group: &str) -> Result<Purged, ApiError> {
    w.service.purge_orphaned(&call(), &w.dps, &group_id(group)).await
}

#[tokio::test]
async fn s_c4_s_21_a_purge_of_orphans_makes_room_under_the_quota() {
    let w = World::new().await;
    w.set_quota(3).await;
    orphans(&w, "old", 1, 3).await;
    w.put_group("new", &keyed(2)).await;
    let fresh = w.token("fresh", &key(2).derive("fresh"));
    assert_eq!(w.outcome("fresh", &fresh).await, "403");
    let one = id("old-0");
    w.service.delete_registration(&call(), &w.dps, &one, &IfMatch::Absent).await.unwrap();
    assert_eq!(w.outcome("fresh", &fresh).await, "assigned");
    let other = w.token("other", &key(2).derive("other"));
    assert_eq!(w.outcome("other", &other).await, "403");
    assert_eq!(told(&w).await, ["old 2"]);
    assert_eq!(purge(&w, "old").await.unwrap(), Purged { deleted: 2, more: false });
    assert_eq!(w.outcome("other", &other).await, "assigned");
    assert!(told(&w).await.is_empty());
    // What is on the hubs stays.
    assert!(w.device("old-1").await.is_some());
}

#[tokio::test]
async fn s_20_s_23_only_what_deleted_groups_left_behind_is_purged() {
    let w = World::new().await;
    orphans(&w, "Line-1", 1, 2).await;
    orphans(&w, "line-2", 2, 1).await;
    w.put_group("kept", &keyed(3)).await;
    let kept = w.token("kept-0", &key(3).derive("kept-0"));
    w.outcome("kept-0", &kept).await;
    w.put("alone", &keyed(4)).await;
    w.outcome("alone", &w.token("alone", &key(4))).await;
    assert_eq!(told(&w).await, ["Line-1 2", "line-2 1"]);
    assert!(matches!(purge(&w, "kept").await, Err(ApiError::Invalid(_))));
    assert_eq!(purge(&w, "LINE-1").await.unwrap(), Purged { deleted: 2, more: false });
    assert_eq!(purge(&w, "Line-1").await.unwrap(), Purged { deleted: 0, more: false });
    assert_eq!(told(&w).await, ["line-2 1"]);
    for name in ["kept-0", "alone", "line-2-0"] {
        assert!(w.record(name).await.is_some(), "{name}");
    }
    // A group of the same id is there again: its records are its own once more.
    w.put_group("LINE-2", &keyed(5)).await;
    assert!(told(&w).await.is_empty());
    assert!(matches!(purge(&w, "line-2").await, Err(ApiError::Invalid(_))));
}

#[tokio::test]
async fn s_68_an_orphan_that_another_entry_takes_over_is_none_any_more() {
    let w = World::new().await;
    orphans(&w, "old", 1, 2).await;
    w.put_group("new", &keyed(1)).await;
    w.outcome("old-1", &w.token("old-1", &key(1).derive("old-1"))).await;
    assert_eq!(told(&w).await, ["old 1"]);
    assert_eq!(purge(&w, "old").await.unwrap().deleted, 1);
    assert!(w.record("old-1").await.is_some());
}

#[tokio::test]
async fn s_23_every_purged_record_is_in_the_audit_trail() {
    let store = Arc::new(Memory::default());
    let w = World::over(store.clone()).await;
    orphans(&w, "old", 1, 3).await;
    purge(&w, "old").await.unwrap();
    let lines = store.audit_lines();
    let deleted: Vec<_> = lines
        .iter()
        .filter(|line| line.action == "registration.delete")
        .map(|line| format!("{} {}", line.actor, line.subject))
        .collect();
    assert_eq!(deleted, ["test dps/old-0", "test dps/old-1", "test dps/old-2"]);
}

/// A call does a bounded part; what it leaves is for the next, also after a crash.
#[tokio::test]
async fn s_24_a_purge_goes_on_where_the_last_call_ended() {
    let store = Arc::new(Memory::default());
    let w = World::over(store.clone()).await;
    w.put_group("big", &keyed(1)).await;
    w.register("one", &w.token("one", &key(1).derive("one"))).await.unwrap();
    let one = w.record("one").await.unwrap();
    let records = (1..5_200).map(|number| {
        let registration_id = id(&format!("d{number:05}"));
        Write::Registration(
            w.dps.clone(),
            Arc::new(Registration { registration_id, ..one.clone() }),
        )
    });
    let commit = Commit { writes: records.collect(), ..Commit::default() };
    store.commit(commit).await.unwrap();
    w.delete_group("big").await;
    assert_eq!(purge(&w, "big").await.unwrap(), Purged { deleted: 5_000, more: true });
    assert_eq!(told(&w).await, ["big 200"]);
    assert_eq!(purge(&w, "big").await.unwrap(), Purged { deleted: 200, more: false });
    assert!(told(&w).await.is_empty());
}
