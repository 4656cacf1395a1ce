//! Opening, closing, opening again.

use store::suite::fixtures::{certificate, device};
use store::suite::fixtures::{did, dps, group, host, hub, individual_x509, rid, service, twin};
use store::{Commit, Devices, Instances, Registrations, Store, Write};
use store_sqlite::{OpenError, Options, Sqlite};

use crate::scratch::Scratch;

fn everything() -> Commit {
    Commit {
        writes: vec![
            Write::Dps(Box::new(dps("dps-a"))),
            Write::Hub(Box::new(hub("hub-a", "hub-a.localhost"))),
            Write::Group(service("dps-a"), Box::new(group("g", 1))),
            Write::Individual(
                service("dps-a"),
                Box::new(individual_x509("leaf-one", 1, Some(0), Some(0))),
            ),
            Write::Device(host("hub-a.localhost"), Box::new(device("d"))),
            Write::Twin(host("hub-a.localhost"), did("d"), Box::new(twin())),
        ],
        ..Commit::default()
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_the_store_is_opened_again() {
    let scratch = Scratch::new();
    let store = scratch.open(Options::default());
    store.commit(everything()).await.unwrap();
    let before = store.instance(&service("dps-a")).await.unwrap().unwrap();
    drop(store);
    let names: Vec<_> = std::fs::read_dir(scratch.database().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!names.contains(&"control.db-wal".to_owned()), "a log was left behind: {names:?}");

    let store = scratch.open(Options::default());
    let view = store
        .registration_view(
            &service("dps-a"),
            &rid("LEAF-one"),
            Some(&certificate(0).content_hash()),
        )
        .await
        .unwrap()
        .unwrap();
    assert_eq!(view.instance.generation, before.generation);
    assert_eq!(view.instance.groups.len(), 1);
    assert_eq!(view.individuals_by_leaf.len(), 1);
    assert!(view.individual_by_id.is_some());
    assert!(store.device(&host("hub-a.localhost"), &did("d")).await.unwrap().is_some());
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_store_is_open_once_at_a_time() {
    let scratch = Scratch::new();
    let store = scratch.open(Options::default());
    let second = Sqlite::open(&scratch.database(), Options::default());
    assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
    drop(store);
    scratch.open(Options::default());
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let store = scratch.open(Options::default());
    store.commit(everything()).await.unwrap();
    let directory = std::fs::read_dir(scratch.database().parent().unwrap()).unwrap();
    let mut seen = 0;
    for entry in directory {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.path());
        seen += 1;
    }
    assert!(seen >= 3, "database, log and lock at least");
}

#[tokio::test]
async fn a_missing_directory_is_an_error_that_names_the_file() {
    let scratch = Scratch::new();
    let path = scratch.database().join("no/control.db");
    let error = Sqlite::open(&path, Options::default()).unwrap_err();
    assert!(matches!(error, OpenError::File { .. }), "{error:?}");
}
