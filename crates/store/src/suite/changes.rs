//! What live sessions hear of.

use super::conflict;
use super::fixtures::{did, dps, host, service};
use super::write;
use crate::{Change, ChangeScope, Commit, Condition, Store, Write};

fn scopes() -> Vec<ChangeScope> {
    vec![
        ChangeScope::Device { hub: host("hub-a.localhost"), device_id: did("D$") },
        ChangeScope::Hub { hub: host("hub-a.localhost") },
        ChangeScope::Directory,
    ]
}

async fn announce(store: &dyn Store, changes: Vec<ChangeScope>) -> u64 {
    store.commit(Commit { changes, ..Commit::default() }).await.unwrap().seq
}

/// Numbers from 1, each the next one, and a commit's answer is its last.
pub async fn changes_are_gapless_and_in_the_order_of_commits(store: &dyn Store) {
    assert!(store.changes_after(0, 10).await.unwrap().is_empty());
    assert_eq!(announce(store, scopes()).await, 3);
    assert_eq!(announce(store, vec![ChangeScope::Directory]).await, 4);
    let all = store.changes_after(0, 10).await.unwrap();
    let numbers: Vec<u64> = all.iter().map(|change| change.seq).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let some = store.changes_after(1, 2).await.unwrap();
    assert_eq!(some, all[1..3]);
    assert!(store.changes_after(4, 10).await.unwrap().is_empty());
    assert!(store.changes_after(u64::MAX, 10).await.unwrap().is_empty());
    let (a, b, c) = tokio::join!(
        announce(store, scopes()),
        announce(store, scopes()),
        announce(store, scopes())
    );
    let mut last = [a, b, c];
    last.sort_unstable();
    assert_eq!(last, [7, 10, 13]);
}

/// What a session must hear of is told exactly.
pub async fn scopes_come_back_as_they_were_given(store: &dyn Store) {
    announce(store, scopes()).await;
    let expected: Vec<Change> =
        (1..).zip(scopes()).map(|(seq, scope)| Change { seq, scope }).collect();
    assert_eq!(store.changes_after(0, 10).await.unwrap(), expected);
}

/// A commit that nobody needs to hear of takes no number.
pub async fn commit_without_changes_has_number_zero(store: &dyn Store) {
    assert_eq!(announce(store, scopes()).await, 3);
    assert_eq!(write(store, vec![Write::Dps(Box::new(dps("dps-a")))]).await.seq, 0);
    assert_eq!(announce(store, scopes()).await, 6);
}

/// A commit that was not applied leaves no gap.
pub async fn refused_commit_takes_no_number(store: &dyn Store) {
    write(store, vec![Write::Dps(Box::new(dps("dps-a")))]).await;
    let stale = Condition::Instance { dps: service("dps-a"), generation: None };
    conflict(store, vec![stale.clone()], Vec::new()).await;
    let commit = Commit { conditions: vec![stale], changes: scopes(), ..Commit::default() };
    store.commit(commit).await.unwrap_err();
    assert_eq!(announce(store, vec![ChangeScope::Directory]).await, 1);
}

/// A store that works says so, and saying so changes nothing that can be seen.
pub async fn store_that_answers_passes_its_check(store: &dyn Store) {
    store.check().await.unwrap();
    assert!(store.changes_after(0, 10).await.unwrap().is_empty());
    assert_eq!(announce(store, vec![ChangeScope::Directory]).await, 1);
}
