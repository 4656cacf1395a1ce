//! Readers beside writers see whole commits only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::Timestamp;
use store::suite::fixtures::{
    assigned, at, certificate, device, did, group, group_ref, host, individual_ref,
    individual_x509, refused, rid, service, twin,
};
use store::{Commit, Devices, Enrollments, Instances, Registrations, Store, Write};
use store_sqlite::Sqlite;

use crate::scratch::Fresh;
use crate::work::{DPS, HUB, begin};

const ROUNDS: i64 = 400;

/// One number in every row of the commit.
fn marked(id: &str, number: i64) -> Commit {
    let mut entry = individual_x509(id, 1, Some(0), None);
    entry.stamp.updated = at(number);
    // Counts in every other round, so that the count must change together with the record.
    let mut record = if number % 2 == 0 {
        assigned(id, individual_ref(id, 1))
    } else {
        refused(id, group_ref("g", 1), 0)
    };
    record.updated = at(number);
    let mut shared = group("g", 1);
    shared.stamp.updated = at(number);
    let mut identity = device(id);
    identity.status_updated = at(number);
    let mut properties = twin();
    properties.version = u64::try_from(number).unwrap();
    Commit {
        writes: vec![
            Write::Individual(service(DPS), Box::new(entry)),
            Write::Registration(service(DPS), Arc::new(record)),
            Write::Group(service(DPS), Box::new(shared)),
            Write::Device(host(HUB), Box::new(identity)),
            Write::Twin(host(HUB), did(id), Box::new(properties)),
        ],
        ..Commit::default()
    }
}

async fn look(store: &Sqlite, id: &str, previous: Timestamp) -> Timestamp {
    let leaf = certificate(0).content_hash();
    let view = store.registration_view(&service(DPS), &rid(id), Some(&leaf)).await.unwrap();
    let view = view.unwrap();
    let seen = view.individual_by_id.unwrap().value.stamp.updated;
    let record = view.registration.unwrap().value;
    assert_eq!(record.updated, seen);
    assert_eq!(view.individuals_by_leaf[0].value.stamp.updated, seen);
    assert_eq!(view.instance.groups[0].value.stamp.updated, seen);
    assert_eq!(view.registrations_counted, u64::from(record.counts()));
    assert!(seen >= previous, "a later view is older");
    let device = store.device(&host(HUB), &did(id)).await.unwrap().unwrap();
    let number = device.device.value.status_updated.since(at(0)).as_secs();
    assert_eq!(number, device.twin.value.version);
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_beside_writers_never_see_half_a_commit() {
    let store = Arc::new(Fresh::new());
    begin(&store).await;
    store.commit(marked("d", 0)).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        readers.spawn(async move {
            let mut seen = at(0);
            let mut views = 0_u64;
            while !done.load(Ordering::Relaxed) {
                seen = look(&store, "d", seen).await;
                views += 1;
            }
            views
        });
    }
    for number in 1..=ROUNDS {
        store.commit(marked("d", number)).await.unwrap();
        // What was answered is what is read from then on.
        assert_eq!(look(&store, "d", at(number)).await, at(number));
    }
    done.store(true, Ordering::Relaxed);
    let views = readers.join_all().await.into_iter().sum::<u64>();
    assert!(views > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_come_at_once_share_one_view_of_an_instance() {
    let store = Arc::new(Fresh::new());
    begin(&store).await;
    for number in 1..=20 {
        store.commit(marked("d", number)).await.unwrap();
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let store = Arc::clone(&store);
            readers.spawn(async move { store.instance(&service(DPS)).await.unwrap().unwrap() });
        }
        let views = readers.join_all().await;
        assert!(views.iter().all(|view| Arc::ptr_eq(view, &views[0])));
    }
    assert_eq!(store.individual_count(&service(DPS)).await.unwrap(), 1);
}
