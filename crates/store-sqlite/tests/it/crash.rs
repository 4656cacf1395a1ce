//! What was answered is there, however the process ended.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;

use store::Store;
use store_sqlite::{Options, Sqlite};

use crate::child;
use crate::scratch::Scratch;
use crate::work::{begin, provision, whole_ids};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_commits_until_it_is_killed() {
    let Some((database, round)) = child::told() else { return };
    let store = Arc::new(Sqlite::open(&database, Options::default()).unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16 {
        let (store, round) = (Arc::clone(&store), round.clone());
        tasks.spawn(async move {
            for number in 0.. {
                let id = format!("d-{round}-{task}-{number}");
                store.commit(provision(&id)).await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "acknowledged {id}.").unwrap();
                out.flush().unwrap();
            }
        });
    }
    tasks.join_all().await;
}

/// Runs the child until it has answered so many commits, and some more; gives all that it did.
fn answered_before_death(scratch: &Scratch, round: &str, enough: usize) -> Vec<String> {
    let test = "crash::child_commits_until_it_is_killed";
    let mut process = child::command(test, &scratch.database(), round, "").spawn().unwrap();
    let mut ids = Vec::new();
    let mut killed = false;
    for line in BufReader::new(process.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The test harness may have begun the line; the death may have cut it.
        let told = line.split_once("acknowledged ").and_then(|(_, id)| id.strip_suffix('.'));
        ids.extend(told.map(str::to_owned));
        if ids.len() >= enough && !killed {
            process.kill().unwrap();
            killed = true;
        }
    }
    process.wait().unwrap();
    assert!(killed, "the child ended by itself after {} commits", ids.len());
    ids
}

#[tokio::test]
async fn what_was_answered_survives_a_killed_process() {
    let scratch = Scratch::new();
    begin(&scratch.open(Options::default())).await;
    let mut answered = BTreeSet::new();
    for round in 0..10 {
        // Early and late, in the middle of groups and checkpoints.
        let enough = 1 + (round * 7919) % 1500;
        answered.extend(answered_before_death(&scratch, &round.to_string(), enough));
        let store = scratch.open(Options::default());
        let kept = whole_ids(&store).await;
        let lost: Vec<_> = answered.difference(&kept).collect();
        assert!(lost.is_empty(), "answered and lost: {lost:?}");
        drop(store);
        let audit = scratch.query("SELECT count(*) FROM audit");
        assert_eq!(usize::try_from(audit), Ok(kept.len()));
    }
    assert_eq!(scratch.text("PRAGMA integrity_check"), "ok");
}

#[tokio::test]
async fn a_commit_whose_caller_went_away_is_applied_before_the_store_closes() {
    let scratch = Scratch::new();
    let store = scratch.open(Options::default());
    begin(&store).await;
    for number in 0..1_000 {
        let mut commit = store.commit(provision(&format!("d-{number}")));
        // Asked once, which queues it, and never again.
        let waker = std::task::Waker::noop();
        let _ = commit.as_mut().poll(&mut std::task::Context::from_waker(waker));
    }
    drop(store);
    let store = scratch.open(Options::default());
    assert_eq!(whole_ids(&store).await.len(), 1_000);
}
