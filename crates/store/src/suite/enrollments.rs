//! Individual enrollments.

use attestation::tpm::EndorsementKey;
use model::HostName;
use provisioning::enrollment::IndividualAttestation;
use serde_json::json as value;
use std::sync::Arc;

use super::fixtures::{
    ENDORSEMENT_KEY, assigned, certificate, dps, group_ref, host, individual, individual_ref,
    individual_x509, rid, service,
};
use super::{json, write};
use crate::{Store, Write};

async fn begin(store: &dyn Store) {
    write(store, vec![Write::Dps(Box::new(dps("dps-a")))]).await;
}

fn put(id: &str) -> Write {
    Write::Individual(service("dps-a"), Box::new(individual(id, 1)))
}

/// Every field comes back, free JSON and numbers of every kind included.
pub async fn individual_comes_back_as_it_was_written(store: &dyn Store) {
    begin(store).await;
    let mut written = individual_x509("Leaf-One", 1, Some(0), Some(1));
    written.optional_device_information =
        Some(value!({"a": [1, -1, 1.5, 0.1, 1e300, u64::MAX, i64::MIN], "ü\u{0}\"": null}));
    written.settings.initial_twin =
        value!({"tags": {"z": 1, "a": {"b": []}}, "properties": {"desired": {"x": 0.3}}})
            .as_object()
            .cloned();
    let hubs: Vec<HostName> = vec![host("b.localhost"), host("a.localhost")];
    written.settings.iot_hubs = hubs;
    written.settings.iot_edge = Some(false);
    write(store, vec![Write::Individual(service("dps-a"), Box::new(written.clone()))]).await;
    let read = store.individual(&service("dps-a"), &rid("leaf-one")).await.unwrap().unwrap();
    assert_eq!(json(&read.value), json(&written));
}

/// An id is the same in any case; the text is that of the latest write.
pub async fn registration_ids_are_the_same_in_any_case(store: &dyn Store) {
    begin(store).await;
    write(store, vec![put("Sensor-A")]).await;
    write(store, vec![put("sensor-a")]).await;
    assert_eq!(store.individual_count(&service("dps-a")).await.unwrap(), 1);
    let read = store.individual(&service("dps-a"), &rid("SENSOR-A")).await.unwrap().unwrap();
    assert_eq!(read.value.registration_id.as_str(), "sensor-a");
    write(store, vec![Write::DeleteIndividual(service("dps-a"), rid("SENSOR-a"))]).await;
    assert!(store.individual(&service("dps-a"), &rid("sensor-a")).await.unwrap().is_none());
}

/// An endorsement key is found as a leaf is, until its entry is written without it (V-30).
pub async fn individuals_are_found_by_their_endorsement_key(store: &dyn Store) {
    begin(store).await;
    let mut entry = individual("tpm", 1);
    entry.attestation = IndividualAttestation::Tpm {
        endorsement_key: ENDORSEMENT_KEY.to_owned(),
        storage_root_key: None,
    };
    let key = EndorsementKey::from_base64(ENDORSEMENT_KEY).unwrap().name().digest();
    let found = async || store.individuals_by_leaf(&service("dps-a"), &key).await.unwrap().len();
    write(store, vec![Write::Individual(service("dps-a"), Box::new(entry))]).await;
    assert_eq!(found().await, 1);
    write(store, vec![put("tpm")]).await;
    assert_eq!(found().await, 0);
}

/// Either slot is found; both with the same certificate are found once; oldest first, then by id.
pub async fn individuals_are_found_by_the_leaf_in_either_slot_oldest_first(store: &dyn Store) {
    begin(store).await;
    let entries = [
        individual_x509("c", 2, Some(0), None),
        individual_x509("B", 2, None, Some(0)),
        individual_x509("z", 1, Some(0), Some(0)),
        individual_x509("d", 0, Some(1), Some(2)),
        individual("e", 0),
    ];
    for entry in entries {
        write(store, vec![Write::Individual(service("dps-a"), Box::new(entry))]).await;
    }
    let found = async |number: usize| -> Vec<String> {
        let thumbprint = certificate(number).content_hash();
        let rows = store.individuals_by_leaf(&service("dps-a"), &thumbprint).await.unwrap();
        rows.into_iter().map(|row| row.value.registration_id.key().to_owned()).collect()
    };
    assert_eq!(found(0).await, ["z", "b", "c"]);
    assert_eq!(found(2).await, ["d"]);
    // Many at once are found as one by one, in the order in which they are asked for.
    let leaves = [2, 0].map(|number| certificate(number).content_hash());
    let rows = store.individuals_by_leaves(&service("dps-a"), &leaves).await.unwrap();
    let found_of: Vec<usize> = rows.iter().map(Vec::len).collect();
    assert_eq!(found_of, [1, 3]);
    let ids = [rid("E"), rid("nobody"), rid("b")];
    let rows = store.individuals_of(&service("dps-a"), &ids).await.unwrap();
    let ids: Vec<Option<&str>> =
        rows.iter().map(|row| Some(row.as_ref()?.value.registration_id.as_str())).collect();
    assert_eq!(ids, [Some("e"), None, Some("B")]);
    let moved = individual_x509("Z", 1, Some(2), None);
    write(store, vec![Write::Individual(service("dps-a"), Box::new(moved))]).await;
    assert_eq!(found(0).await, ["b", "c"]);
    assert_eq!(found(2).await, ["d", "z"]);
    write(store, vec![Write::DeleteIndividual(service("dps-a"), rid("d")), put("z")]).await;
    assert_eq!(found(2).await, Vec::<String>::new());
}

async fn pages(store: &dyn Store, limit: usize) -> Vec<Vec<String>> {
    let mut after: Option<String> = None;
    let mut pages = Vec::new();
    loop {
        let page =
            store.individual_views(&service("dps-a"), after.as_deref(), limit).await.unwrap();
        let ids = page.views.into_iter();
        let ids = ids.map(|view| view.individual.value.registration_id.key().to_owned());
        pages.push(ids.collect());
        after = page.next;
        if after.is_none() {
            return pages;
        }
    }
}

/// In the order of lower-case ids; a page that ends the list says so.
pub async fn individuals_are_paged_in_the_order_of_their_ids(store: &dyn Store) {
    begin(store).await;
    assert_eq!(pages(store, 2).await, [Vec::<String>::new()]);
    write(store, ["b", "D", "a", "c", "E1"].map(put).into()).await;
    assert_eq!(pages(store, 2).await, [vec!["a", "b"], vec!["c", "d"], vec!["e1"]]);
    assert_eq!(pages(store, 5).await, [["a", "b", "c", "d", "e1"]]);
    assert_eq!(pages(store, 100).await.len(), 1);
    write(store, vec![Write::DeleteIndividual(service("dps-a"), rid("e1"))]).await;
    assert_eq!(pages(store, 2).await, [["a", "b"], ["c", "d"]]);
}

/// The key that a page ended with need not be there when the next is asked for.
pub async fn paging_goes_on_after_a_removed_entry(store: &dyn Store) {
    begin(store).await;
    write(store, ["a", "b", "c", "d"].map(put).into()).await;
    let first = store.individual_views(&service("dps-a"), None, 2).await.unwrap();
    assert_eq!(first.next.as_deref(), Some("b"));
    write(store, vec![Write::DeleteIndividual(service("dps-a"), rid("b"))]).await;
    let second = store.individual_views(&service("dps-a"), first.next.as_deref(), 2).await.unwrap();
    let ids: Vec<_> =
        second.views.iter().map(|view| view.individual.value.registration_id.as_str()).collect();
    assert_eq!(ids, ["c", "d"]);
    assert_eq!(second.next, None);
}

/// The record is that of the id, whoever owns it and however either spells it.
pub async fn individuals_come_with_the_record_of_their_id(store: &dyn Store) {
    begin(store).await;
    let record =
        |id: &str, owner| Write::Registration(service("dps-a"), Arc::new(assigned(id, owner)));
    write(store, vec![put("a"), put("b"), put("c")]).await;
    write(store, vec![record("B", group_ref("g", 1)), record("d", individual_ref("d", 1))]).await;
    write(store, vec![Write::Dps(Box::new(dps("dps-b")))]).await;
    let other = Arc::new(assigned("c", group_ref("g", 1)));
    write(store, vec![Write::Registration(service("dps-b"), other)]).await;
    let found = store.individual_views(&service("dps-a"), None, 10).await.unwrap();
    let records = found.views.iter().map(|view| {
        let record = view.registration.as_ref();
        record.map(|record| record.value.registration_id.as_str().to_owned())
    });
    assert_eq!(records.collect::<Vec<_>>(), [None, Some("B".to_owned()), None]);
}

/// The count is of rows, not of writes, and of one instance.
pub async fn count_follows_what_is_written_and_removed(store: &dyn Store) {
    begin(store).await;
    write(store, vec![Write::Dps(Box::new(dps("dps-b")))]).await;
    let count = async || store.individual_count(&service("dps-a")).await.unwrap();
    assert_eq!(count().await, 0);
    write(store, vec![put("a"), put("b"), put("A")]).await;
    assert_eq!(count().await, 2);
    let delete = |id: &str| Write::DeleteIndividual(service("dps-a"), rid(id));
    write(store, vec![delete("a"), delete("a"), delete("none")]).await;
    assert_eq!(count().await, 1);
    assert_eq!(store.individual_count(&service("dps-b")).await.unwrap(), 0);
}
