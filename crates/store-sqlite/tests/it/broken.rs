//! A disk that fails in another way than by being full.

use std::io::Read;
use std::sync::Arc;

use store::suite::fixtures::{dps, service};
use store::{Commit, CommitError, Instances, Store};
use store_sqlite::{Options, Sqlite};

use crate::child;
use crate::scratch::Scratch;
use crate::work::{begin, provision, whole_ids};

/// A process that may not write past a few megabytes: its disk answers `EFBIG` from there on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_commits_until_its_disk_fails() {
    let Some((database, _)) = child::told() else { return };
    let store = Arc::new(Sqlite::open(&database, Options::default()).unwrap());
    begin(&store).await;
    let mut number = 0;
    let error = loop {
        match store.commit(provision(&format!("d-{number}"))).await {
            Ok(_) => number += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, CommitError::Unavailable(_)), "{error:?}");
    // Not tried again, though this one would fit into what the log has room for.
    let empty = store.commit(Commit::default()).await.unwrap_err();
    assert!(matches!(empty, CommitError::Unavailable(_)), "{empty:?}");
    store.check().await.unwrap_err();
    let view = store.instance(&service("dps-a")).await.unwrap().unwrap();
    assert_eq!(view.dps.name, dps("dps-a").name);
    let kept = whole_ids(&store).await;
    assert_eq!(kept.len(), number);
    println!("kept {number}.");
}

#[tokio::test]
async fn a_failing_disk_ends_all_writing_and_loses_nothing() {
    let scratch = Scratch::new();
    let test = "broken::child_commits_until_its_disk_fails";
    // Blocks of 512 bytes; the signal would end the process instead of failing its write.
    let limit = "trap '' XFSZ; ulimit -f 6000;";
    let mut process = child::command(test, &scratch.database(), "", limit).spawn().unwrap();
    let mut said = String::new();
    process.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(process.wait().unwrap().success(), "{said}");
    let kept = said.split_once("kept ").and_then(|(_, rest)| rest.split_once('.')).unwrap().0;
    let store = scratch.open(Options::default());
    assert_eq!(whole_ids(&store).await.len(), kept.parse::<usize>().unwrap());
    store.commit(provision("after")).await.unwrap();
}
