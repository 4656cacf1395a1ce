//! A commit applies as a whole or not at all.

use std::sync::Arc;

use super::fixtures::{
    assigned, at, ca_certificate, cert_name, device, did, dps, gid, group, group_ref, host, hub,
    individual, rid, service, twin,
};
use super::{conflict, write};
use crate::{AuditLine, ChangeScope, Commit, CommitError, Condition, Store, Write};

/// A dps and a hub, named `dps-a` and `hub-a`.
async fn begin(store: &dyn Store) {
    write(
        store,
        vec![
            Write::Dps(Box::new(dps("dps-a"))),
            Write::Hub(Box::new(hub("hub-a", "hub-a.localhost"))),
        ],
    )
    .await;
}

fn absent_individual(id: &str) -> Condition {
    Condition::Individual { dps: service("dps-a"), id: rid(id), at: None }
}

/// Whatever the last condition refuses, nothing of the commit stays.
pub async fn conflict_in_the_last_condition_applies_nothing(store: &dyn Store) {
    begin(store).await;
    let taken = Write::Individual(service("dps-a"), Box::new(individual("taken", 1)));
    write(store, vec![taken]).await;
    let before = store.instance(&service("dps-a")).await.unwrap().unwrap();
    let commit = Commit {
        conditions: vec![absent_individual("new"), absent_individual("taken")],
        writes: vec![
            Write::Individual(service("dps-a"), Box::new(individual("new", 1))),
            Write::Group(service("dps-a"), Box::new(group("g", 1))),
            Write::Device(host("hub-a.localhost"), Box::new(device("d"))),
            Write::DeleteIndividual(service("dps-a"), rid("taken")),
        ],
        changes: vec![ChangeScope::Directory],
        audit: vec![AuditLine {
            at: at(0),
            actor: "owner".to_owned(),
            action: "enrollment.put".to_owned(),
            subject: "new".to_owned(),
            tracking_id: "t".to_owned(),
        }],
    };
    let error = store.commit(commit).await.unwrap_err();
    assert!(matches!(error, CommitError::Conflict(_)), "{error:?}");
    assert!(store.individual(&service("dps-a"), &rid("new")).await.unwrap().is_none());
    assert!(store.individual(&service("dps-a"), &rid("taken")).await.unwrap().is_some());
    assert!(store.group(&service("dps-a"), &gid("g")).await.unwrap().is_none());
    assert!(store.devices(&host("hub-a.localhost"), None, 10).await.unwrap().rows.is_empty());
    assert!(store.changes_after(0, 10).await.unwrap().is_empty());
    let after = store.instance(&service("dps-a")).await.unwrap().unwrap();
    assert_eq!(after.generation, before.generation);
}

/// A conflict says which condition it was, and the first of several.
pub async fn conflict_names_the_first_condition_that_fails(store: &dyn Store) {
    begin(store).await;
    for id in ["one", "two"] {
        write(store, vec![Write::Individual(service("dps-a"), Box::new(individual(id, 1)))]).await;
    }
    let conditions =
        vec![absent_individual("zero"), absent_individual("one"), absent_individual("two")];
    assert_eq!(conflict(store, conditions, Vec::new()).await, absent_individual("one"));
}

/// A write that has no place takes back the writes before it.
pub async fn refused_write_takes_back_the_ones_before_it(store: &dyn Store) {
    begin(store).await;
    let writes = vec![
        Write::Individual(service("dps-a"), Box::new(individual("new", 1))),
        Write::DeleteHub(service("hub-a")),
        Write::Group(service("dps-b"), Box::new(group("g", 1))),
    ];
    conflict(store, Vec::new(), writes).await;
    assert!(store.individual(&service("dps-a"), &rid("new")).await.unwrap().is_none());
    assert_eq!(store.all_hubs().await.unwrap().len(), 1);
}

/// Nothing of an instance can be written where there is no instance.
pub async fn entry_without_its_instance_conflicts(store: &dyn Store) {
    let absent = Condition::Instance { dps: service("dps-a"), generation: None };
    let writes = [
        Write::Individual(service("dps-a"), Box::new(individual("i", 1))),
        Write::Group(service("dps-a"), Box::new(group("g", 1))),
        Write::CaCertificate(service("dps-a"), Box::new(ca_certificate("c", 1))),
        Write::Registration(service("dps-a"), Arc::new(assigned("r", group_ref("g", 1)))),
    ];
    for write in writes {
        assert_eq!(conflict(store, Vec::new(), vec![write]).await, absent);
    }
}

/// A device identity can not be written where no hub has the host.
pub async fn identity_without_its_hub_conflicts(store: &dyn Store) {
    begin(store).await;
    let absent = Condition::Device { hub: host("hub-b.localhost"), id: did("d"), at: None };
    let write = Write::Device(host("hub-b.localhost"), Box::new(device("d")));
    assert_eq!(conflict(store, Vec::new(), vec![write]).await, absent);
}

/// A twin can not be written where there is no identity.
pub async fn twin_without_its_identity_conflicts(store: &dyn Store) {
    begin(store).await;
    let absent = Condition::Device { hub: host("hub-a.localhost"), id: did("d"), at: None };
    let write = Write::Twin(host("hub-a.localhost"), did("d"), Box::new(twin()));
    assert_eq!(conflict(store, Vec::new(), vec![write]).await, absent);
}

/// Two hubs can not have one host; the conflict names the one that has it.
pub async fn hub_with_the_host_of_another_conflicts(store: &dyn Store) {
    begin(store).await;
    let there = store.all_hubs().await.unwrap()[0].revision;
    let taken = Condition::Hub { name: service("hub-a"), at: Some(there) };
    let write_new = Write::Hub(Box::new(hub("hub-b", "hub-a.localhost")));
    assert_eq!(conflict(store, Vec::new(), vec![write_new]).await, taken);
    write(store, vec![Write::Hub(Box::new(hub("hub-b", "hub-b.localhost")))]).await;
    let write_moved = Write::Hub(Box::new(hub("hub-b", "hub-a.localhost")));
    assert_eq!(conflict(store, Vec::new(), vec![write_moved]).await, taken);
    write(store, vec![Write::Hub(Box::new(hub("hub-a", "hub-a.localhost")))]).await;
}

/// Later writes see the earlier ones of the same commit.
pub async fn writes_apply_in_their_order(store: &dyn Store) {
    let put = || Write::Individual(service("dps-a"), Box::new(individual("i", 1)));
    let delete = || Write::DeleteIndividual(service("dps-a"), rid("i"));
    write(store, vec![Write::Dps(Box::new(dps("dps-a"))), put(), delete()]).await;
    assert!(store.individual(&service("dps-a"), &rid("i")).await.unwrap().is_none());
    write(store, vec![put(), delete(), put()]).await;
    assert!(store.individual(&service("dps-a"), &rid("i")).await.unwrap().is_some());
}

/// A delete that finds nothing changes nothing.
pub async fn deleting_what_is_not_there_is_no_error(store: &dyn Store) {
    begin(store).await;
    let before = store.instance(&service("dps-a")).await.unwrap().unwrap();
    for name in ["dps-a", "dps-b"] {
        write(
            store,
            vec![
                Write::DeleteIndividual(service(name), rid("none")),
                Write::DeleteGroup(service(name), gid("none")),
                Write::DeleteCaCertificate(service(name), cert_name("none")),
                Write::DeleteRegistration(service(name), rid("none")),
                Write::DeleteRegistrationsOwnedBy(service(name), group_ref("none", 1)),
                Write::DeleteDevice(host("hub-b.localhost"), did("none")),
                Write::DeleteHub(service("hub-b")),
                Write::DeleteDps(service("dps-b")),
            ],
        )
        .await;
    }
    let after = store.instance(&service("dps-a")).await.unwrap().unwrap();
    assert_eq!(after.generation, before.generation);
}

/// Of several commits that rest on the same absence, one is applied.
pub async fn concurrent_commits_on_one_revision_let_one_through(store: &dyn Store) {
    begin(store).await;
    for round in 0..8 {
        let id = format!("contended-{round}");
        let attempt = |created: i64| {
            store.commit(Commit {
                conditions: vec![absent_individual(&id)],
                writes: vec![Write::Individual(
                    service("dps-a"),
                    Box::new(individual(&id, created)),
                )],
                ..Commit::default()
            })
        };
        let (a, b, c, d) = tokio::join!(attempt(0), attempt(1), attempt(2), attempt(3));
        let applied: Vec<i64> = (0_i64..)
            .zip([a, b, c, d])
            .filter(|(_, answer)| answer.is_ok())
            .map(|(created, _)| created)
            .collect();
        assert_eq!(applied.len(), 1, "{applied:?}");
        let kept = store.individual(&service("dps-a"), &rid(&id)).await.unwrap().unwrap();
        assert_eq!(kept.value.stamp.created, at(applied[0]));
    }
}

/// A row that is removed and made again is another row to whoever rests on the first.
pub async fn recreated_rows_get_new_revisions(store: &dyn Store) {
    begin(store).await;
    let one_of_each = || {
        vec![
            Write::Dps(Box::new(dps("dps-a"))),
            Write::Hub(Box::new(hub("hub-a", "hub-a.localhost"))),
            Write::Individual(service("dps-a"), Box::new(individual("i", 1))),
            Write::Group(service("dps-a"), Box::new(group("g", 1))),
            Write::CaCertificate(service("dps-a"), Box::new(ca_certificate("c", 1))),
            Write::Registration(service("dps-a"), Arc::new(assigned("r", group_ref("g", 1)))),
            Write::Device(host("hub-a.localhost"), Box::new(device("d"))),
            Write::Twin(host("hub-a.localhost"), did("d"), Box::new(twin())),
        ]
    };
    write(store, one_of_each()).await;
    let first = revisions(store).await;
    write(store, vec![Write::DeleteDps(service("dps-a")), Write::DeleteHub(service("hub-a"))])
        .await;
    write(store, one_of_each()).await;
    let second = revisions(store).await;
    for (before, after) in first.iter().zip(&second) {
        assert_ne!(before, after, "{first:?} {second:?}");
    }
}

async fn revisions(store: &dyn Store) -> Vec<model::Revision> {
    let dps = service("dps-a");
    let view = store.instance(&dps).await.unwrap().unwrap();
    let device = store.device(&host("hub-a.localhost"), &did("d")).await.unwrap().unwrap();
    vec![
        view.generation,
        view.groups[0].revision,
        view.ca_certificates[0].revision,
        store.all_hubs().await.unwrap()[0].revision,
        store.individual(&dps, &rid("i")).await.unwrap().unwrap().revision,
        store.registration(&dps, &rid("r")).await.unwrap().unwrap().revision,
        device.device.revision,
        device.twin.revision,
    ]
}
