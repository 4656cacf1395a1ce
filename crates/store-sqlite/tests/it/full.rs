//! A disk without room.

use std::path::{Path, PathBuf};
use std::process::Command;

use store::suite::fixtures::{did, host, rid, service};
use store::{Commit, CommitError, Enrollments, Store, Write};
use store_sqlite::{Options, Sqlite};

use crate::scratch::Scratch;
use crate::work::{DPS, HUB, begin, provision, whole_ids};

fn remove(id: &str) -> Commit {
    let writes = vec![
        Write::DeleteIndividual(service(DPS), rid(id)),
        Write::DeleteRegistration(service(DPS), rid(id)),
        Write::DeleteDevice(host(HUB), did(id)),
    ];
    Commit { writes, ..Commit::default() }
}

/// Commits until there is no room; gives how many went in.
async fn fill(store: &Sqlite) -> usize {
    for number in 0..100_000 {
        match store.commit(provision(&format!("d-{number}"))).await {
            Ok(_) => {}
            Err(CommitError::Full) => return number,
            Err(other) => panic!("after {number} commits: {other:?}"),
        }
    }
    panic!("there is room without end");
}

#[tokio::test]
async fn without_pages_commits_are_refused_and_nothing_answered_is_lost() {
    let scratch = Scratch::new();
    let pages_max = std::num::NonZero::new(300);
    let store = scratch.open(Options { pages_max, ..Options::default() });
    begin(&store).await;
    let kept = fill(&store).await;
    assert!(kept > 50, "{kept}");
    assert_eq!(whole_ids(&store).await.len(), kept);
    // What needs no room goes through, and so does what follows when there is room again.
    let found = store.individual(&service(DPS), &rid("d-0")).await.unwrap();
    assert!(found.is_some());
    let mut commits = vec![provision("refused")];
    commits.extend((0..20).map(|number| remove(&format!("d-{number}"))));
    let answers = together(&store, commits).await;
    assert!(matches!(answers[0], Err(CommitError::Full)), "{answers:?}");
    assert!(answers[1..].iter().all(Result::is_ok), "{answers:?}");
    store.commit(provision("again")).await.unwrap();
    drop(store);
    let store = scratch.open(Options::default());
    assert!(store.individual(&service(DPS), &rid("again")).await.unwrap().is_some());
    assert_eq!(store.individual_count(&service(DPS)).await.unwrap(), kept as u64 - 20 + 1);
    assert_eq!(scratch_integrity(&scratch, store), "ok");
}

/// Queues all, so that they share a transaction, and waits for the answers.
async fn together(
    store: &Sqlite,
    commits: Vec<Commit>,
) -> Vec<Result<store::Committed, CommitError>> {
    let mut waiting: Vec<_> = commits.into_iter().map(|commit| store.commit(commit)).collect();
    let mut answers: Vec<Option<_>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, answer) in waiting.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *answer = Some(ready);
            }
        }
        if answers.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    answers.into_iter().flatten().collect()
}

fn scratch_integrity(scratch: &Scratch, store: Sqlite) -> String {
    drop(store);
    scratch.text("PRAGMA integrity_check")
}

/// A small file system of its own.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where this process may not mount.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
            .arg(at)
            .status()
            .is_ok_and(|status| status.success());
        mounted.then(|| Self(at.to_path_buf()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_commits_and_loses_nothing_answered() {
    let scratch = Scratch::new();
    let directory = scratch.database().with_file_name("small");
    let Some(disk) = SmallDisk::mount(&directory) else {
        println!("SKIPPED: no file system can be mounted here, so that no disk can be full");
        return;
    };
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![1; 2 * 1024 * 1024]).unwrap();
    let database = disk.0.join("control.db");
    let store = Sqlite::open(&database, Options::default()).unwrap();
    begin(&store).await;
    let mut kept = fill(&store).await;
    assert!(kept > 50, "{kept}");
    let mut refused = 0;
    for number in 0..3_000 {
        // A log that begins anew may have room for a few.
        match store.commit(provision(&format!("late-{number}"))).await {
            Ok(_) => kept += 1,
            Err(CommitError::Full) => refused += 1,
            Err(other) => panic!("after {number} attempts: {other:?}"),
        }
        if number % 1_000 == 0 {
            assert_eq!(whole_ids(&store).await.len(), kept);
        }
    }
    assert!(refused > 2_000, "{refused}");

    std::fs::remove_file(&ballast).unwrap();
    store.check().await.unwrap();
    store.commit(provision("again")).await.unwrap();
    assert_eq!(whole_ids(&store).await.len(), kept + 1);
    drop(store);
    let store = Sqlite::open(&database, Options::default()).unwrap();
    assert_eq!(whole_ids(&store).await.len(), kept + 1);
}
