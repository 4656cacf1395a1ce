//! What a commit may rest on: rows, their absence, and sets of rows.

use std::sync::Arc;

use model::Revision;

use super::fixtures::{
    assigned, ca_certificate, cert_name, certificate, device, did, dps, gid, group, group_ref,
    host, hub, individual, individual_x509, refused, rid, service, subscription, subscription_name,
    twin,
};
use super::{holds, write};
use crate::{Claim, Commit, Condition, Counted, Store, Write};

/// One kind of row: how it is conditioned, written, removed and read.
struct Row {
    condition: fn(Option<Revision>) -> Condition,
    write: fn() -> Write,
    delete: Option<fn() -> Write>,
}

fn hub_host() -> model::HostName {
    host("hub-a.localhost")
}

/// Every kind of row; one that holds others comes before them.
fn rows() -> Vec<Row> {
    vec![
        Row {
            condition: |generation| Condition::Instance { dps: service("dps-a"), generation },
            write: || Write::Dps(Box::new(dps("dps-a"))),
            delete: Some(|| Write::DeleteDps(service("dps-a"))),
        },
        Row {
            condition: |at| Condition::Hub { name: service("hub-a"), at },
            write: || Write::Hub(Box::new(hub("hub-a", "hub-a.localhost"))),
            delete: Some(|| Write::DeleteHub(service("hub-a"))),
        },
        Row {
            condition: |at| Condition::Individual { dps: service("dps-a"), id: rid("I"), at },
            write: || Write::Individual(service("dps-a"), Box::new(individual("i", 1))),
            delete: Some(|| Write::DeleteIndividual(service("dps-a"), rid("i"))),
        },
        Row {
            condition: |at| Condition::Group { dps: service("dps-a"), id: gid("G"), at },
            write: || Write::Group(service("dps-a"), Box::new(group("g", 1))),
            delete: Some(|| Write::DeleteGroup(service("dps-a"), gid("g"))),
        },
        Row {
            condition: |at| Condition::CaCertificate {
                dps: service("dps-a"),
                name: cert_name("C"),
                at,
            },
            write: || Write::CaCertificate(service("dps-a"), Box::new(ca_certificate("c", 1))),
            delete: Some(|| Write::DeleteCaCertificate(service("dps-a"), cert_name("c"))),
        },
        Row {
            condition: |at| Condition::Registration { dps: service("dps-a"), id: rid("R"), at },
            write: || {
                let record = assigned("r", group_ref("g", 1));
                Write::Registration(service("dps-a"), Arc::new(record))
            },
            delete: Some(|| Write::DeleteRegistration(service("dps-a"), rid("r"))),
        },
        Row {
            condition: |at| Condition::Device { hub: hub_host(), id: did("d"), at },
            write: || Write::Device(hub_host(), Box::new(device("d"))),
            delete: Some(|| Write::DeleteDevice(hub_host(), did("d"))),
        },
        Row {
            condition: |at| Condition::Twin { hub: hub_host(), id: did("d"), at },
            write: || Write::Twin(hub_host(), did("d"), Box::new(twin())),
            delete: None,
        },
        Row {
            condition: |at| Condition::Subscription { name: subscription_name("sub"), at },
            write: || Write::Subscription(Box::new(subscription("sub", 1))),
            delete: Some(|| Write::DeleteSubscription(subscription_name("sub"))),
        },
    ]
}

/// The revision that a condition of this row holds at, as reading gives it.
async fn revision_of(store: &dyn Store, condition: &Condition) -> Option<Revision> {
    match condition {
        Condition::Instance { dps, .. } => {
            store.instance(dps).await.unwrap().map(|view| view.generation)
        }
        Condition::Individual { dps, id, .. } => {
            store.individual(dps, id).await.unwrap().map(|row| row.revision)
        }
        Condition::Group { dps, id, .. } => {
            store.group(dps, id).await.unwrap().map(|row| row.revision)
        }
        Condition::CaCertificate { dps, name, .. } => {
            let view = store.instance(dps).await.unwrap();
            let rows = view.iter().flat_map(|view| &view.ca_certificates);
            let mut rows = rows.filter(|row| row.value.name == *name);
            rows.next().map(|row| row.revision)
        }
        Condition::Registration { dps, id, .. } => {
            store.registration(dps, id).await.unwrap().map(|row| row.revision)
        }
        Condition::Job { dps, id, .. } => store.job(dps, id).await.unwrap().map(|row| row.revision),
        Condition::Hub { name, .. } => {
            let hubs = store.all_hubs().await.unwrap();
            hubs.iter().find(|row| row.value.name == *name).map(|row| row.revision)
        }
        Condition::Device { hub, id, .. } => {
            let page = store.devices(hub, None, 100).await.unwrap();
            let mut rows = page.rows.iter().filter(|row| row.value.device_id == *id);
            rows.next().map(|row| row.revision)
        }
        Condition::Twin { hub, id, .. } => {
            store.device(hub, id).await.unwrap().map(|row| row.twin.revision)
        }
        Condition::Subscription { name, .. } => {
            let rows = store.subscriptions().await.unwrap();
            rows.into_iter().find(|row| row.value.name == *name).map(|row| row.revision)
        }
        Condition::IndividualsByLeaf { .. } => unreachable!("has many revisions"),
        Condition::AtMost { .. } | Condition::Unclaimed(_) => unreachable!("has none"),
    }
}

/// `None` holds as long as there is no such row, and not after.
pub async fn absence_holds_until_there_is_a_row(store: &dyn Store) {
    for row in rows() {
        let absent = (row.condition)(None);
        assert!(holds(store, absent.clone()).await, "{absent:?}");
        write(store, vec![(row.write)()]).await;
        assert!(!holds(store, absent.clone()).await, "{absent:?}");
    }
}

/// A revision holds until the row is written again, though with the same content.
pub async fn revision_holds_until_the_row_is_written(store: &dyn Store) {
    for row in rows() {
        write(store, vec![(row.write)()]).await;
        let read = revision_of(store, &(row.condition)(None)).await;
        assert!(read.is_some());
        let condition = (row.condition)(read);
        assert!(holds(store, condition.clone()).await, "{condition:?}");
        assert!(holds(store, condition.clone()).await, "a condition changes nothing");
        write(store, vec![(row.write)()]).await;
        assert!(!holds(store, condition.clone()).await, "{condition:?}");
        let again = revision_of(store, &condition).await;
        assert!(holds(store, (row.condition)(again)).await);
    }
}

/// A revision does not hold once the row is gone, but absence does.
pub async fn presence_fails_once_the_row_is_gone(store: &dyn Store) {
    for row in rows() {
        write(store, vec![(row.write)()]).await;
    }
    for row in rows().into_iter().rev() {
        let Some(delete) = row.delete else { continue };
        let read = revision_of(store, &(row.condition)(None)).await;
        let condition = (row.condition)(read);
        assert!(holds(store, condition.clone()).await, "{condition:?}");
        write(store, vec![delete()]).await;
        assert!(!holds(store, condition.clone()).await, "{condition:?}");
        assert!(holds(store, (row.condition)(None)).await, "{condition:?}");
    }
}

/// A host or an id scope is free until a service has it, and once that is gone.
pub async fn claim_holds_until_somebody_has_it(store: &dyn Store) {
    let free = |name: &str| Condition::Unclaimed(Claim::Host(host(name)));
    let scope = || Condition::Unclaimed(Claim::Scope(dps("dps-a").id_scope));
    assert!(holds(store, free("dps-a.localhost")).await && holds(store, scope()).await);
    let put = Write::Hub(Box::new(hub("hub-a", "hub-a.localhost")));
    write(store, vec![Write::Dps(Box::new(dps("dps-a"))), put]).await;
    for name in ["dps-a.localhost", "hub-a.localhost"] {
        assert!(!holds(store, free(name)).await, "{name}");
    }
    assert!(!holds(store, scope()).await && holds(store, free("hub-b.localhost")).await);
    let gone = vec![Write::DeleteDps(service("dps-a")), Write::DeleteHub(service("hub-a"))];
    write(store, gone).await;
    assert!(holds(store, free("dps-a.localhost")).await && holds(store, scope()).await);
    assert!(holds(store, free("hub-a.localhost")).await);
}

/// Two entries that hold certificate 0, and the condition on them; their ids are not in the order
/// of their age.
async fn two_with_the_leaf(store: &dyn Store) -> Condition {
    write(
        store,
        vec![
            Write::Dps(Box::new(dps("dps-a"))),
            Write::Individual(
                service("dps-a"),
                Box::new(individual_x509("a-young", 2, Some(0), None)),
            ),
            Write::Individual(
                service("dps-a"),
                Box::new(individual_x509("b-old", 1, Some(1), Some(0))),
            ),
        ],
    )
    .await;
    let thumbprint = certificate(0).content_hash();
    let found = store.individuals_by_leaf(&service("dps-a"), &thumbprint).await.unwrap();
    let at: Vec<Revision> = found.iter().map(|row| row.revision).collect();
    assert_eq!(at.len(), 2);
    let condition = Condition::IndividualsByLeaf { dps: service("dps-a"), thumbprint, at };
    assert!(holds(store, condition.clone()).await);
    condition
}

async fn leaf_is_changed_by(store: &dyn Store, change: Write) {
    let condition = two_with_the_leaf(store).await;
    write(store, vec![change]).await;
    assert!(!holds(store, condition).await);
}

/// An entry that appears with the leaf is as good a reason to judge again as one that changes.
pub async fn leaf_condition_fails_when_another_entry_takes_the_leaf(store: &dyn Store) {
    let new = individual_x509("new", 3, None, Some(0));
    leaf_is_changed_by(store, Write::Individual(service("dps-a"), Box::new(new))).await;
    let thumbprint = certificate(2).content_hash();
    let none = Condition::IndividualsByLeaf { dps: service("dps-a"), thumbprint, at: Vec::new() };
    assert!(holds(store, none.clone()).await);
    let new = individual_x509("other", 3, Some(2), None);
    write(store, vec![Write::Individual(service("dps-a"), Box::new(new))]).await;
    assert!(!holds(store, none).await);
}

/// An entry that holds the leaf and is written changes what rests on the leaf.
pub async fn leaf_condition_fails_when_an_entry_that_holds_it_is_written(store: &dyn Store) {
    let same = individual_x509("b-old", 1, Some(1), Some(0));
    leaf_is_changed_by(store, Write::Individual(service("dps-a"), Box::new(same))).await;
}

/// So does one that is removed, or holds another certificate from then on.
pub async fn leaf_condition_fails_when_an_entry_lets_go_of_the_leaf(store: &dyn Store) {
    leaf_is_changed_by(store, Write::DeleteIndividual(service("dps-a"), rid("b-old"))).await;
    let other = individual_x509("b-old", 1, Some(1), Some(2));
    leaf_is_changed_by(store, Write::Individual(service("dps-a"), Box::new(other))).await;
    let other = individual("a-young", 1);
    leaf_is_changed_by(store, Write::Individual(service("dps-a"), Box::new(other))).await;
}

/// Entries of another instance, or with other certificates, are nothing to it.
pub async fn leaf_condition_is_of_one_instance(store: &dyn Store) {
    let condition = two_with_the_leaf(store).await;
    write(
        store,
        vec![
            Write::Dps(Box::new(dps("dps-b"))),
            Write::Individual(service("dps-b"), Box::new(individual_x509("new", 3, Some(0), None))),
            Write::Individual(service("dps-a"), Box::new(individual_x509("new", 3, Some(2), None))),
        ],
    )
    .await;
    assert!(holds(store, condition).await);
}

/// The instance itself, its groups and its CA certificates are one condition.
pub async fn instance_condition_fails_when_anything_shared_changes(store: &dyn Store) {
    let name = service("dps-a");
    write(store, vec![Write::Dps(Box::new(dps("dps-a")))]).await;
    let changes = [
        Write::Group(name.clone(), Box::new(group("g", 1))),
        Write::Group(name.clone(), Box::new(group("g", 1))),
        Write::CaCertificate(name.clone(), Box::new(ca_certificate("c", 1))),
        Write::CaCertificate(name.clone(), Box::new(ca_certificate("c", 1))),
        Write::Dps(Box::new(dps("dps-a"))),
        Write::DeleteGroup(name.clone(), gid("g")),
        Write::DeleteCaCertificate(name.clone(), cert_name("c")),
        Write::DeleteDps(name.clone()),
    ];
    for change in changes {
        let generation = store.instance(&name).await.unwrap().unwrap().generation;
        let condition = Condition::Instance { dps: name.clone(), generation: Some(generation) };
        assert!(holds(store, condition.clone()).await);
        write(store, vec![change.clone()]).await;
        assert!(!holds(store, condition).await, "{change:?}");
    }
}

/// What concerns one device, or another instance, leaves the instance as it is.
pub async fn instance_condition_holds_through_entries_and_records_of_devices(store: &dyn Store) {
    let name = service("dps-a");
    write(store, vec![Write::Dps(Box::new(dps("dps-a"))), Write::Dps(Box::new(dps("dps-b")))])
        .await;
    let generation = store.instance(&name).await.unwrap().unwrap().generation;
    write(
        store,
        vec![
            Write::Individual(name.clone(), Box::new(individual_x509("i", 1, Some(0), None))),
            Write::Registration(name.clone(), Arc::new(refused("r", group_ref("g", 1), 1))),
            Write::DeleteIndividual(name.clone(), rid("i")),
            Write::DeleteRegistration(name.clone(), rid("r")),
            Write::Group(service("dps-b"), Box::new(group("g", 1))),
        ],
    )
    .await;
    assert!(holds(store, Condition::Instance { dps: name, generation: Some(generation) }).await);
}

/// A bound holds while no more are there than it says, whatever the commit then adds.
pub async fn count_condition_follows_what_is_counted(store: &dyn Store) {
    let name = service("dps-a");
    let at_most = |of, count| Condition::AtMost { dps: service("dps-a"), of, count };
    let counts = async |individuals: u64, registrations: u64| {
        for (of, there) in
            [(Counted::Individuals, individuals), (Counted::Registrations, registrations)]
        {
            let name = service("dps-a");
            let read = match of {
                Counted::Individuals => store.individual_count(&name).await,
                Counted::Registrations => store.registration_count(&name).await,
            };
            assert_eq!(read.unwrap(), there, "{of:?}");
            assert!(holds(store, at_most(of, there)).await, "{of:?} {there}");
            assert!(holds(store, at_most(of, u64::MAX)).await, "{of:?} {there}");
            if let Some(less) = there.checked_sub(1) {
                assert!(!holds(store, at_most(of, less)).await, "{of:?} {there}");
            }
        }
    };
    counts(0, 0).await;
    write(store, vec![Write::Dps(Box::new(dps("dps-a"))), Write::Dps(Box::new(dps("dps-b")))])
        .await;
    counts(0, 0).await;
    let put = |id| Write::Individual(service("dps-a"), Box::new(individual(id, 1)));
    let record = |record| Write::Registration(service("dps-a"), Arc::new(record));
    write(store, vec![put("a"), put("b"), put("A")]).await;
    counts(2, 0).await;
    write(store, vec![record(assigned("r", group_ref("g", 1)))]).await;
    write(store, vec![record(refused("s", group_ref("g", 1), 1))]).await;
    counts(2, 1).await;
    write(store, vec![record(assigned("s", group_ref("g", 1)))]).await;
    counts(2, 2).await;
    write(store, vec![Write::DeleteIndividual(name.clone(), rid("a"))]).await;
    write(store, vec![Write::DeleteRegistration(name.clone(), rid("r"))]).await;
    counts(1, 1).await;
    let other = Write::Individual(service("dps-b"), Box::new(individual("a", 1)));
    write(store, vec![other]).await;
    counts(1, 1).await;
    write(store, vec![Write::DeleteDps(name)]).await;
    counts(0, 0).await;
}

/// Of commits that all have read the same count, as many are applied as there is room for, also
/// where they share a transaction.
pub async fn concurrent_commits_at_a_bound_let_as_many_through_as_fit(store: &dyn Store) {
    write(store, vec![Write::Dps(Box::new(dps("dps-a")))]).await;
    for round in 0..8_u64 {
        let put = |name: &str| {
            let entry = individual(&format!("{name}-{round}"), 1);
            store.commit(Commit {
                conditions: vec![Condition::AtMost {
                    dps: service("dps-a"),
                    of: Counted::Individuals,
                    count: round * 2 + 1,
                }],
                writes: vec![Write::Individual(service("dps-a"), Box::new(entry))],
                ..Commit::default()
            })
        };
        let (a, b, c, d) = tokio::join!(put("a"), put("b"), put("c"), put("d"));
        assert_eq!([a, b, c, d].iter().filter(|answer| answer.is_ok()).count(), 2);
        assert_eq!(store.individual_count(&service("dps-a")).await.unwrap(), round * 2 + 2);
    }
}
