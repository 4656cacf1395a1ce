//! Registration records, their owners and their count.

use std::sync::Arc;

use provisioning::enrollment::EntryRef;
use provisioning::registration::Registration;

use super::fixtures::{
    assigned, certificate, dps, gid, group, group_ref, individual_ref, individual_x509, refused,
    rid, service,
};
use super::{json, write};
use crate::{RefusedBound, Store, Write};

async fn begin(store: &dyn Store) {
    write(store, vec![Write::Dps(Box::new(dps("dps-a")))]).await;
}

fn put(record: Registration) -> Write {
    Write::Registration(service("dps-a"), Arc::new(record))
}

async fn counted(store: &dyn Store) -> u64 {
    let view = store.registration_view(&service("dps-a"), &rid("none"), None).await.unwrap();
    view.unwrap().registrations_counted
}

async fn deleted(store: &dyn Store) -> u64 {
    let view = store.registration_view(&service("dps-a"), &rid("none"), None).await.unwrap();
    view.unwrap().registrations_deleted
}

async fn there(store: &dyn Store, id: &str) -> bool {
    store.registration(&service("dps-a"), &rid(id)).await.unwrap().is_some()
}

async fn of_group(store: &dyn Store, id: &str) -> Vec<String> {
    let page = store.registrations_of_group(&service("dps-a"), &gid(id), None, 100).await.unwrap();
    page.rows.into_iter().map(|row| row.value.registration_id.key().to_owned()).collect()
}

/// The view of a registration: instance, both ways to find an individual, record, count.
pub async fn view_holds_all_that_a_registration_is_decided_by(store: &dyn Store) {
    begin(store).await;
    let by_id = individual_x509("Leaf-One", 2, Some(0), None);
    let by_leaf = individual_x509("other", 1, None, Some(0));
    let record = assigned("leaf-one", individual_ref("leaf-one", 2));
    write(
        store,
        vec![
            Write::Group(service("dps-a"), Box::new(group("g", 1))),
            Write::Individual(service("dps-a"), Box::new(by_id.clone())),
            Write::Individual(service("dps-a"), Box::new(by_leaf.clone())),
            put(record.clone()),
        ],
    )
    .await;
    let leaf = certificate(0).content_hash();
    let id = rid("LEAF-ONE");
    let view = store.registration_view(&service("dps-a"), &id, Some(&leaf)).await.unwrap().unwrap();
    assert_eq!(view.instance.groups.len(), 1);
    assert_eq!(json(&view.individual_by_id.unwrap().value), json(&by_id));
    let found: Vec<_> = view.individuals_by_leaf.iter().map(|row| json(&row.value)).collect();
    assert_eq!(found, [json(&by_leaf), json(&by_id)]);
    let read = store.registration(&service("dps-a"), &id).await.unwrap().unwrap();
    assert_eq!(json(&read.value), json(&record));
    let registration = view.registration.unwrap();
    assert_eq!(registration.revision, read.revision);
    assert_eq!(json(&registration.value), json(&record));
    assert_eq!(view.registrations_counted, 1);
    let view = store.registration_view(&service("dps-a"), &id, None).await.unwrap().unwrap();
    assert!(view.individuals_by_leaf.is_empty());
}

/// Never-assigned records do not count; every other one does, however it came and went.
pub async fn only_assigned_records_count(store: &dyn Store) {
    begin(store).await;
    let owner = || group_ref("g", 1);
    write(store, vec![put(refused("a", owner(), 1)), put(assigned("b", owner()))]).await;
    assert_eq!(counted(store).await, 1);
    write(store, vec![put(assigned("a", owner())), put(assigned("B", owner()))]).await;
    assert_eq!(counted(store).await, 2);
    write(store, vec![put(refused("a", owner(), 2))]).await;
    assert_eq!(counted(store).await, 1);
    write(store, vec![Write::DeleteRegistration(service("dps-a"), rid("a"))]).await;
    assert_eq!(counted(store).await, 1);
    write(store, vec![put(assigned("c", individual_ref("c", 1)))]).await;
    assert_eq!(counted(store).await, 2);
    write(store, vec![Write::DeleteRegistrationsOwnedBy(service("dps-a"), owner())]).await;
    assert_eq!(counted(store).await, 1);
    write(store, vec![Write::DeleteRegistration(service("dps-a"), rid("c"))]).await;
    assert_eq!(counted(store).await, 0);
}

/// However records go, each is told once.
pub async fn deleted_records_are_told(store: &dyn Store) {
    begin(store).await;
    let owner = || group_ref("g", 1);
    let records = [assigned("a", owner()), refused("b", owner(), 1), refused("c", owner(), 2)];
    write(store, records.map(put).into()).await;
    write(store, vec![put(assigned("b", owner())), put(refused("b", owner(), 3))]).await;
    assert_eq!(deleted(store).await, 0);
    write(store, vec![bound(owner(), 1)]).await;
    assert_eq!(deleted(store).await, 1);
    let delete = || Write::DeleteRegistration(service("dps-a"), rid("A"));
    write(store, vec![delete(), delete()]).await;
    assert_eq!(deleted(store).await, 2);
    write(store, vec![Write::DeleteRegistrationsOwnedBy(service("dps-a"), owner())]).await;
    assert_eq!(deleted(store).await, 3);
}

/// An entry's records go; those of an earlier or later entry of the same id stay.
pub async fn removing_by_owner_spares_other_incarnations(store: &dyn Store) {
    begin(store).await;
    write(
        store,
        vec![
            put(assigned("mine", individual_ref("Entry", 1))),
            put(refused("mine-refused", individual_ref("entry", 1), 1)),
            put(assigned("earlier", individual_ref("entry", 0))),
            put(assigned("later", individual_ref("entry", 2))),
            put(assigned("of-group", group_ref("entry", 1))),
        ],
    )
    .await;
    let delete = Write::DeleteRegistrationsOwnedBy(service("dps-a"), individual_ref("ENTRY", 1));
    write(store, vec![delete]).await;
    for (id, stays) in [
        ("mine", false),
        ("mine-refused", false),
        ("earlier", true),
        ("later", true),
        ("of-group", true),
    ] {
        assert_eq!(there(store, id).await, stays, "{id}");
    }
}

fn bound(owner: EntryRef, keep: usize) -> Write {
    Write::BoundRefused(RefusedBound { dps: service("dps-a"), owner, keep })
}

/// The oldest by their last write go first; of the same age, by id.
pub async fn bound_removes_the_oldest_that_were_never_assigned(store: &dyn Store) {
    begin(store).await;
    let owner = || group_ref("g", 1);
    let records = [("e", 5), ("d", 1), ("b", 3), ("C", 3), ("a", 4)];
    write(store, records.map(|(id, updated)| put(refused(id, owner(), updated))).into()).await;
    write(store, vec![bound(owner(), 5)]).await;
    assert_eq!(of_group(store, "g").await, ["a", "b", "c", "d", "e"]);
    write(store, vec![bound(owner(), 3)]).await;
    assert_eq!(of_group(store, "g").await, ["a", "c", "e"]);
    write(store, vec![put(refused("c", owner(), 9)), bound(owner(), 1)]).await;
    assert_eq!(of_group(store, "g").await, ["c"]);
    write(store, vec![bound(owner(), 0)]).await;
    assert_eq!(of_group(store, "g").await, Vec::<String>::new());
}

/// An assigned record, though refused since, is never removed by the bound.
pub async fn bound_spares_other_owners_and_the_assigned(store: &dyn Store) {
    begin(store).await;
    write(
        store,
        vec![
            put(assigned("assigned", group_ref("g", 1))),
            put(refused("refused", group_ref("G", 1), 1)),
            put(refused("incarnation", group_ref("g", 2), 1)),
            put(refused("other", group_ref("h", 1), 1)),
            put(refused("individual", individual_ref("g", 1), 1)),
            bound(group_ref("g", 1), 0),
        ],
    )
    .await;
    for (id, stays) in [
        ("assigned", true),
        ("refused", false),
        ("incarnation", true),
        ("other", true),
        ("individual", true),
    ] {
        assert_eq!(there(store, id).await, stays, "{id}");
    }
    assert_eq!(counted(store).await, 1);
}

/// Records outlive their group and are found by its id, whatever its incarnation.
pub async fn records_of_a_deleted_group_are_listed_by_its_id(store: &dyn Store) {
    begin(store).await;
    write(
        store,
        vec![
            Write::Group(service("dps-a"), Box::new(group("Line-1", 1))),
            put(assigned("a", group_ref("Line-1", 1))),
            put(refused("b", group_ref("line-1", 1), 1)),
            put(assigned("individual", individual_ref("line-1", 1))),
            put(assigned("other", group_ref("line-2", 1))),
        ],
    )
    .await;
    write(store, vec![Write::DeleteGroup(service("dps-a"), gid("LINE-1"))]).await;
    assert_eq!(of_group(store, "line-1").await, ["a", "b"]);
    assert_eq!(counted(store).await, 3);
    write(
        store,
        vec![
            Write::Group(service("dps-a"), Box::new(group("line-1", 2))),
            put(assigned("c", group_ref("line-1", 2))),
        ],
    )
    .await;
    assert_eq!(of_group(store, "Line-1").await, ["a", "b", "c"]);
}

/// A deleted group's id is told, as it was spelled, with its number of records; that of a group
/// that is there, or is there again, is not; nor what an individual enrollment owns.
pub async fn orphaned_records_are_counted_by_the_group_that_left_them(store: &dyn Store) {
    begin(store).await;
    write(
        store,
        vec![
            Write::Group(service("dps-a"), Box::new(group("kept", 1))),
            Write::Dps(Box::new(dps("dps-b"))),
            Write::Registration(
                service("dps-b"),
                Arc::new(assigned("a", group_ref("elsewhere", 1))),
            ),
            put(assigned("a", group_ref("Line-2", 1))),
            put(refused("b", group_ref("Line-2", 1), 1)),
            put(assigned("c", group_ref("kept", 1))),
            put(assigned("d", group_ref("KEPT", 0))),
            put(assigned("e", individual_ref("line-0", 1))),
            put(assigned("f", group_ref("line-1", 1))),
            put(assigned("g", group_ref("line-3", 1))),
        ],
    )
    .await;
    let orphaned = async |after: Option<&str>, limit| {
        let page = store.orphaned(&service("dps-a"), after, limit).await.unwrap();
        let told: Vec<_> =
            page.views.iter().map(|of| format!("{}:{}", of.group, of.registrations)).collect();
        (told.join(" "), page.next)
    };
    let count =
        async |id| store.registration_count_of_group(&service("dps-a"), &gid(id)).await.unwrap();
    assert_eq!(orphaned(None, 9).await, ("line-1:1 Line-2:2 line-3:1".to_owned(), None));
    let first = orphaned(None, 2).await;
    assert_eq!(first, ("line-1:1 Line-2:2".to_owned(), Some("line-2".to_owned())));
    assert_eq!(orphaned(Some("line-2"), 2).await, ("line-3:1".to_owned(), None));
    assert_eq!((count("KEPT").await, count("line-2").await, count("none").await), (2, 2, 0));
    write(store, vec![Write::DeleteGroup(service("dps-a"), gid("kept"))]).await;
    assert_eq!(orphaned(None, 1).await, ("kept:2".to_owned(), Some("kept".to_owned())));
    write(store, vec![Write::Group(service("dps-a"), Box::new(group("LINE-2", 5)))]).await;
    assert_eq!(orphaned(Some("kept"), 9).await.0, "line-1:1 line-3:1");
}

/// A record that another entry takes over is listed there alone.
pub async fn record_moves_with_its_owner(store: &dyn Store) {
    begin(store).await;
    write(store, vec![put(assigned("a", group_ref("g", 1)))]).await;
    write(store, vec![put(assigned("A", group_ref("h", 1)))]).await;
    assert_eq!(of_group(store, "g").await, Vec::<String>::new());
    assert_eq!(of_group(store, "h").await, ["a"]);
    write(store, vec![Write::DeleteRegistrationsOwnedBy(service("dps-a"), group_ref("g", 1))])
        .await;
    assert!(there(store, "a").await);
}

/// In the order of lower-case ids, on after a removed one.
pub async fn records_of_a_group_are_paged_in_the_order_of_their_ids(store: &dyn Store) {
    begin(store).await;
    let owner = || group_ref("g", 1);
    let mut writes: Vec<Write> = ["d", "B", "a", "c"].map(|id| put(assigned(id, owner()))).into();
    writes.push(put(assigned("aa", group_ref("h", 1))));
    write(store, writes).await;
    let page = async |after: Option<&str>| {
        let name = service("dps-a");
        let page = store.registrations_of_group(&name, &gid("g"), after, 2).await.unwrap();
        let ids: Vec<_> =
            page.rows.into_iter().map(|row| row.value.registration_id.key().to_owned()).collect();
        (ids.join(" "), page.next)
    };
    assert_eq!(page(None).await, ("a b".to_owned(), Some("b".to_owned())));
    write(store, vec![Write::DeleteRegistration(service("dps-a"), rid("b"))]).await;
    assert_eq!(page(Some("b")).await, ("c d".to_owned(), None));
}
