//! Commits share transactions, the queue and the log are bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use store::suite::fixtures::{group, rid, service};
use store::{CommitError, Registrations, Store, Write};
use store_sqlite::Options;

use crate::scratch::{Fresh, Scratch};
use crate::work::{DPS, begin, provision, whole_ids};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_wait_share_a_transaction() {
    let store = Arc::new(Fresh::new());
    begin(&store).await;
    let before = store.work().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..64 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for number in 0..25 {
                store.commit(provision(&format!("d-{task}-{number}"))).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let after = store.work().unwrap();
    assert_eq!(after.commits - before.commits, 64 * 25);
    let transactions = after.transactions - before.transactions;
    assert!(transactions * 4 <= 64 * 25, "{transactions} transactions for {} commits", 64 * 25);
    assert_eq!(whole_ids(&store).await.len(), 64 * 25);
}

#[tokio::test]
async fn a_conflict_takes_nothing_from_those_that_share_its_transaction() {
    let store = Fresh::new();
    begin(&store).await;
    let stale = store::Condition::Individual {
        dps: service(DPS),
        id: rid("d-0"),
        at: Some(model::Revision(u64::MAX >> 1)),
    };
    let mut commits: Vec<_> = (0..100).map(|number| provision(&format!("d-{number}"))).collect();
    for (number, commit) in commits.iter_mut().enumerate() {
        match number % 4 {
            1 => commit.conditions.push(stale.clone()),
            // Found only when all that stands before it is written.
            3 => {
                let nowhere = service("dps-b");
                commit.writes.push(Write::Group(nowhere, Box::new(group("g", 1))));
            }
            _ => {}
        }
    }
    let mut waiting = tokio::task::JoinSet::new();
    let store = Arc::new(store);
    for (number, commit) in commits.into_iter().enumerate() {
        let store = Arc::clone(&store);
        waiting.spawn(async move { (number, store.commit(commit).await.is_ok()) });
    }
    for (number, applied) in waiting.join_all().await {
        assert_eq!(applied, number % 2 == 0, "{number}");
    }
    assert_eq!(whole_ids(&store).await.len(), 50);
}

#[tokio::test]
async fn more_commits_than_the_queue_holds_are_told_to_come_later() {
    let scratch = Scratch::new();
    let store = Arc::new(scratch.open(Options::default()));
    begin(&store).await;
    // Somebody else writes, so that the writer must wait.
    let other = scratch.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..10_000 {
        let store = Arc::clone(&store);
        waiting.spawn(async move { store.commit(provision(&format!("d-{number}"))).await });
    }
    // One thread runs the tasks: when this one has its turn again, all of them have had theirs.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    other.execute_batch("ROLLBACK").unwrap();
    let answers = waiting.join_all().await;
    let applied = answers.iter().filter(|answer| answer.is_ok()).count();
    let busy = answers.iter().filter(|answer| matches!(answer, Err(CommitError::Busy))).count();
    assert_eq!(applied + busy, 10_000);
    assert!((8_192..=8_192 + 512).contains(&applied), "{applied}");
    assert_eq!(whole_ids(&store).await.len(), applied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_bounded_under_a_writer_that_is_never_idle() {
    const CAP: u64 = 16 * 1024 * 1024;
    let scratch = Scratch::new();
    let options = Options { log_bytes_max: CAP, ..Options::default() };
    let store = Arc::new(scratch.open(options));
    begin(&store).await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        async move {
            while !done.load(Ordering::Relaxed) {
                store.registration_view(&service(DPS), &rid("d-0-0"), None).await.unwrap();
            }
        }
    });
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..64 {
        let (store, log) = (Arc::clone(&store), scratch.log());
        tasks.spawn(async move {
            let mut longest = 0;
            for number in 0..150 {
                store.commit(provision(&format!("d-{task}-{number}"))).await.unwrap();
                longest = longest.max(std::fs::metadata(&log).map_or(0, |file| file.len()));
            }
            longest
        });
    }
    let longest = tasks.join_all().await.into_iter().max().unwrap();
    done.store(true, Ordering::Relaxed);
    reader.await.unwrap();
    // A transaction that began below the bound may still end above it.
    assert!(longest < CAP * 2, "the log grew to {longest} bytes");
    assert_eq!(whole_ids(&store).await.len(), 64 * 150);
}

#[tokio::test]
async fn somebody_who_reads_at_length_holds_up_no_commit() {
    let scratch = Scratch::new();
    let store = scratch.open(Options { log_bytes_max: 2 * 1024 * 1024, ..Options::default() });
    begin(&store).await;
    // As a backup does, from another process.
    let other = scratch.connection();
    other.execute_batch("BEGIN; SELECT count(*) FROM individual").unwrap();
    let commits = async {
        for number in 0..100 {
            store.commit(provision(&format!("d-{number}"))).await.unwrap();
        }
    };
    // A wait at each would take minutes.
    tokio::time::timeout(std::time::Duration::from_secs(60), commits).await.unwrap();
    other.execute_batch("ROLLBACK").unwrap();
    store.commit(provision("after")).await.unwrap();
    assert_eq!(whole_ids(&store).await.len(), 101);
}
