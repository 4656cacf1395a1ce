//! Random histories: the same commits go into the model and a backend, and every answer is
//! compared.
//!
//! A history is a list of numbers, each of which makes one commit, so that a test library can
//! make and shrink it without knowing anything of stores.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Revision;
use provisioning::view::Versioned;
use serde::Serialize;
use serde_json::Value;

use super::fixtures::{
    assigned, ca_certificate, cert_name, certificate, delivery, device, did, dps, gid, group,
    group_ref, host, hub, individual, individual_ref, individual_x509, refused, rid, service,
    subscription, subscription_name, twin,
};
use super::{json, write};
use crate::{
    ChangeScope, Claim, Commit, CommitError, Condition, Counted, Deliveries, RefusedBound, Store,
    Write,
};

const SERVICES: [&str; 2] = ["dps-a", "dps-b"];
const HUBS: [&str; 2] = ["hub-a", "hub-b"];
const HOSTS: [&str; 3] = ["one.localhost", "two.localhost", "three.localhost"];
/// The first two are the same id.
const IDS: [&str; 4] = ["Dev-A", "dev-a", "dev-b", "dev-c"];
/// All are different device ids.
const DEVICES: [&str; 3] = ["d", "D", "e"];
const GROUPS: [&str; 2] = ["g", "h"];
const SUBSCRIPTIONS: [&str; 2] = ["sub-a", "sub-b"];
const CERTIFICATES: usize = 2;

/// Runs a history on two empty stores.
///
/// # Panics
/// When the stores answer differently.
pub async fn same(model: &dyn Store, backend: &dyn Store, history: &[u64]) {
    let mut known = Known::default();
    // Without these nearly every write would have no place.
    let places = vec![
        Write::Dps(Box::new(dps(SERVICES[0]))),
        Write::Dps(Box::new(dps(SERVICES[1]))),
        Write::Hub(Box::new(hub(HUBS[0], HOSTS[0]))),
        Write::Hub(Box::new(hub(HUBS[1], HOSTS[1]))),
    ];
    for store in [model, backend] {
        write(store, places.clone()).await;
    }
    for (step, number) in history.iter().enumerate() {
        let mut dice = Dice(*number);
        let planned: Vec<Planned> = (0..dice.below(3)).map(|_| Planned::new(&mut dice)).collect();
        let writes: Vec<Write> = (0..dice.below(4)).map(|_| random_write(&mut dice)).collect();
        let changes = vec![ChangeScope::Directory; dice.below(3)];
        let of = |side: Side| Commit {
            conditions: planned.iter().map(|plan| plan.condition(&known, side)).collect(),
            writes: writes.clone(),
            changes: changes.clone(),
            audit: Vec::new(),
        };
        let context = format!("step {step}: {:?}", of(Side::Model));
        let by_model = model.commit(of(Side::Model)).await;
        let by_backend = backend.commit(of(Side::Backend)).await;
        match (by_model, by_backend) {
            (Ok(a), Ok(b)) => assert_eq!(a, b, "{context}"),
            (Err(CommitError::Conflict(a)), Err(CommitError::Conflict(b))) => {
                assert_eq!(Row::of(&a), Row::of(&b), "{context}");
            }
            (a, b) => unreachable!("{a:?} and {b:?} at {context}"),
        }
        compare(model, backend, &mut known, &context).await;
    }
}

/// Takes small numbers out of a big one.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap();
        let number = self.0 % bound;
        self.0 /= bound;
        usize::try_from(number).unwrap()
    }

    fn of(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.below(choices.len())]
    }

    fn time(&mut self) -> i64 {
        i64::try_from(self.below(4)).unwrap()
    }
}

/// A row that can be rested on, without its revision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Row {
    Instance(String),
    Hub(String),
    Individual(String, String),
    Leaf(String, usize),
    /// A count and its bound.
    Count(String, Counted, u64),
    /// A host that nobody has.
    Host(String),
    Group(String, String),
    CaCertificate(String, String),
    Registration(String, String),
    Job(String, String),
    Device(String, String),
    Twin(String, String),
    Subscription(String),
}

impl Row {
    fn of(condition: &Condition) -> Self {
        let text = str::to_owned;
        match condition {
            Condition::Instance { dps, .. } => Self::Instance(text(dps.as_str())),
            Condition::Hub { name, .. } => Self::Hub(text(name.as_str())),
            Condition::Individual { dps, id, .. } => {
                Self::Individual(text(dps.as_str()), text(id.key()))
            }
            Condition::IndividualsByLeaf { dps, thumbprint, .. } => {
                let is_it = |number: &usize| certificate(*number).content_hash() == *thumbprint;
                Self::Leaf(text(dps.as_str()), (0..CERTIFICATES).find(is_it).unwrap())
            }
            Condition::AtMost { dps, of, count } => Self::Count(text(dps.as_str()), *of, *count),
            Condition::Unclaimed(Claim::Host(host)) => Self::Host(text(host.as_str())),
            Condition::Unclaimed(Claim::Scope(_)) => unreachable!("all have one"),
            Condition::Group { dps, id, .. } => Self::Group(text(dps.as_str()), text(id.key())),
            Condition::CaCertificate { dps, name, .. } => {
                Self::CaCertificate(text(dps.as_str()), text(name.key()))
            }
            Condition::Registration { dps, id, .. } => {
                Self::Registration(text(dps.as_str()), text(id.key()))
            }
            Condition::Job { dps, id, .. } => Self::Job(text(dps.as_str()), text(id.key())),
            Condition::Device { hub, id, .. } => {
                Self::Device(text(hub.as_str()), text(id.as_str()))
            }
            Condition::Twin { hub, id, .. } => Self::Twin(text(hub.as_str()), text(id.as_str())),
            Condition::Subscription { name, .. } => Self::Subscription(text(name.as_str())),
        }
    }

    fn random(dice: &mut Dice) -> Self {
        let dps = dice.of(&SERVICES).to_owned();
        let hub_host = dice.of(&HOSTS).to_owned();
        let key = dice.of(&IDS).to_ascii_lowercase();
        let group = dice.of(&GROUPS).to_owned();
        let device = dice.of(&DEVICES).to_owned();
        let bound = u64::try_from(dice.below(4)).unwrap();
        match dice.below(13) {
            0 => Self::Instance(dps),
            1 => Self::Hub(dice.of(&HUBS).to_owned()),
            2 => Self::Individual(dps, key),
            3 => Self::Leaf(dps, dice.below(CERTIFICATES)),
            4 => Self::Group(dps, group),
            5 => Self::CaCertificate(dps, group),
            6 => Self::Registration(dps, key),
            7 => Self::Device(hub_host, device),
            8 => Self::Count(dps, Counted::Individuals, bound),
            9 => Self::Count(dps, Counted::Registrations, bound),
            10 => Self::Host(hub_host),
            11 => Self::Subscription(dice.of(&SUBSCRIPTIONS).to_owned()),
            _ => Self::Twin(hub_host, device),
        }
    }

    fn condition(&self, at: Option<Revision>, leaf_at: Vec<Revision>) -> Condition {
        match self {
            Self::Instance(dps) => Condition::Instance { dps: service(dps), generation: at },
            Self::Hub(name) => Condition::Hub { name: service(name), at },
            Self::Individual(dps, id) => {
                Condition::Individual { dps: service(dps), id: rid(id), at }
            }
            Self::Leaf(dps, number) => Condition::IndividualsByLeaf {
                dps: service(dps),
                thumbprint: certificate(*number).content_hash(),
                at: leaf_at,
            },
            Self::Count(dps, of, count) => {
                Condition::AtMost { dps: service(dps), of: *of, count: *count }
            }
            Self::Host(name) => Condition::Unclaimed(Claim::Host(host(name))),
            Self::Group(dps, id) => Condition::Group { dps: service(dps), id: gid(id), at },
            Self::CaCertificate(dps, name) => {
                Condition::CaCertificate { dps: service(dps), name: cert_name(name), at }
            }
            Self::Registration(dps, id) => {
                Condition::Registration { dps: service(dps), id: rid(id), at }
            }
            Self::Job(dps, id) => Condition::Job { dps: service(dps), id: rid(id), at },
            Self::Device(hub, id) => Condition::Device { hub: host(hub), id: did(id), at },
            Self::Twin(hub, id) => Condition::Twin { hub: host(hub), id: did(id), at },
            Self::Subscription(name) => {
                Condition::Subscription { name: subscription_name(name), at }
            }
        }
    }
}

/// The two stores' revisions of one version of a row, or of a set of rows.
type Version = (Vec<Revision>, Vec<Revision>);

/// Every version of every row that was ever read; the last is the one that is there now.
#[derive(Default)]
struct Known {
    versions: BTreeMap<Row, Vec<Version>>,
    /// A revision of the one store is always the same revision of the other.
    pairs: BTreeMap<(Row, Revision), Revision>,
    pairs_back: BTreeMap<(Row, Revision), Revision>,
}

impl Known {
    fn saw(&mut self, row: &Row, model: Vec<Revision>, backend: Vec<Revision>, context: &str) {
        assert_eq!(model.len(), backend.len(), "{row:?} at {context}");
        for (a, b) in model.iter().zip(&backend) {
            let there = *self.pairs.entry((row.clone(), *a)).or_insert(*b);
            assert_eq!(there, *b, "{row:?} changed its revision, or did not, at {context}");
            let back = *self.pairs_back.entry((row.clone(), *b)).or_insert(*a);
            assert_eq!(back, *a, "{row:?} did not change its revision, or did, at {context}");
        }
        let versions = self.versions.entry(row.clone()).or_default();
        if versions.last() != Some(&(model.clone(), backend.clone())) {
            versions.push((model, backend));
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Model,
    Backend,
}

/// A condition to be: on a row as it is, as it was once, or on its absence.
struct Planned {
    row: Row,
    /// How many versions ago; far ago means absence.
    ago: usize,
}

impl Planned {
    fn new(dice: &mut Dice) -> Self {
        let row = Row::random(dice);
        // Mostly as it is, or else no commit would ever be applied.
        let ago = [0, 0, 0, 0, 0, 1, 2, usize::MAX][dice.below(8)];
        Self { row, ago }
    }

    fn condition(&self, known: &Known, side: Side) -> Condition {
        let versions = known.versions.get(&self.row);
        let version = versions.and_then(|versions| versions.iter().rev().nth(self.ago));
        let revisions = match (version, side) {
            (None, _) => Vec::new(),
            (Some((model, _)), Side::Model) => model.clone(),
            (Some((_, backend)), Side::Backend) => backend.clone(),
        };
        self.row.condition(revisions.first().copied(), revisions)
    }
}

fn random_write(dice: &mut Dice) -> Write {
    let name = dice.of(&SERVICES);
    let dps_name = service(name);
    let id = dice.of(&IDS);
    let group_id = dice.of(&GROUPS);
    let hub_host = host(dice.of(&HOSTS));
    let device_id = dice.of(&DEVICES);
    let created = dice.time();
    match dice.below(30) {
        0 | 1 => Write::Dps(Box::new(dps(name))),
        2 if created == 0 && dice.below(4) == 0 => Write::DeleteDps(dps_name),
        2 | 3 => Write::CaCertificate(dps_name, Box::new(ca_certificate(group_id, created))),
        4 => Write::DeleteCaCertificate(dps_name, cert_name(group_id)),
        5 => Write::Individual(dps_name, Box::new(individual(id, created))),
        6 | 7 => {
            let slots = (dice.below(CERTIFICATES), dice.below(CERTIFICATES));
            let entry = individual_x509(id, created, Some(slots.0), Some(slots.1));
            Write::Individual(dps_name, Box::new(entry))
        }
        8 => Write::DeleteIndividual(dps_name, rid(id)),
        9 | 10 => Write::Group(dps_name, Box::new(group(group_id, created))),
        11 => Write::DeleteGroup(dps_name, gid(group_id)),
        12 => Write::Registration(dps_name, Arc::new(assigned(id, group_ref(group_id, created)))),
        13 => {
            Write::Registration(dps_name, Arc::new(assigned(id, individual_ref(id, created / 2))))
        }
        14 | 15 => {
            let record = refused(id, group_ref(group_id, created / 2), dice.time());
            Write::Registration(dps_name, Arc::new(record))
        }
        16 => Write::DeleteRegistration(dps_name, rid(id)),
        17 => Write::DeleteRegistrationsOwnedBy(dps_name, individual_ref(id, created / 2)),
        18 => Write::BoundRefused(RefusedBound {
            dps: dps_name,
            owner: group_ref(group_id, created / 2),
            keep: dice.below(3),
        }),
        19 => {
            let name = dice.of(&HUBS);
            Write::Hub(Box::new(hub(name, hub_host.as_str())))
        }
        20 if created == 0 && dice.below(4) == 0 => Write::DeleteHub(service(dice.of(&HUBS))),
        20 | 21 => Write::Device(hub_host, Box::new(device(device_id))),
        22 => Write::Twin(hub_host, did(device_id), Box::new(twin())),
        23 => Write::Subscription(Box::new(subscription(dice.of(&SUBSCRIPTIONS), created))),
        24 if dice.below(4) == 0 => {
            Write::DeleteSubscription(subscription_name(dice.of(&SUBSCRIPTIONS)))
        }
        24..=26 => Write::Delivery(Box::new(delivery(dice.of(&SUBSCRIPTIONS), created))),
        _ => Write::DeleteDevice(hub_host, did(device_id)),
    }
}

/// Everything that can be read of a store.
#[derive(Default)]
struct Read {
    /// Documents and counts, by what was asked.
    answers: Vec<(String, Value)>,
    revisions: BTreeMap<Row, Vec<Revision>>,
}

impl Read {
    fn row<T: Serialize>(&mut self, row: Row, found: Option<&Versioned<T>>) {
        let answer = found.map(|found| json(&found.value));
        self.answers
            .push((format!("{row:?}"), Value::from(answer.into_iter().collect::<Vec<_>>())));
        let revisions = found.map(|found| found.revision).into_iter().collect();
        let before = self.revisions.insert(row.clone(), revisions);
        let now = self.revisions.get(&row);
        assert!(before.is_none() || before.as_ref() == now, "{row:?} is read in two ways");
    }

    fn answer<T: Serialize>(&mut self, what: String, answer: &T) {
        self.answers.push((what, json(answer)));
    }
}

fn values<T: Serialize>(rows: &[Versioned<T>]) -> Vec<Value> {
    rows.iter().map(|row| json(&row.value)).collect()
}

async fn read(store: &dyn Store) -> Read {
    let mut read = Read::default();
    let all_dps = store.all_dps().await.unwrap();
    read.answer("all instances".to_owned(), &values(&all_dps));
    for name in SERVICES {
        let found = all_dps.iter().find(|row| row.value.name.as_str() == name);
        read.row(Row::Instance(name.to_owned()), found);
        read_instance(store, name, &mut read).await;
    }
    let hubs = store.all_hubs().await.unwrap();
    read.answer("all hubs".to_owned(), &values(&hubs));
    for name in HUBS {
        let found = hubs.iter().find(|row| row.value.name.as_str() == name);
        read.row(Row::Hub(name.to_owned()), found);
    }
    for name in HOSTS {
        read_hub(store, name, &mut read).await;
    }
    let subscriptions = store.subscriptions().await.unwrap();
    read.answer("all subscriptions".to_owned(), &values(&subscriptions));
    for name in SUBSCRIPTIONS {
        let found = subscriptions.iter().find(|row| row.value.name.as_str() == name);
        read.row(Row::Subscription(name.to_owned()), found);
        let queued =
            store.deliveries(&subscription_name(name), Deliveries::Waiting, 0, 10_000).await;
        let queued: Vec<_> = queued.unwrap().into_iter().map(|queued| queued.delivery).collect();
        read.answer(format!("what waits for {name}"), &queued);
        let firsts = store.first_deliveries(&subscription_name(name), 10_000).await.unwrap();
        let firsts: Vec<_> = firsts.into_iter().map(|queued| queued.delivery).collect();
        read.answer(format!("what waits first for {name}"), &firsts);
    }
    let changes = store.changes_after(0, 10_000).await.unwrap();
    let numbers: Vec<u64> = changes.iter().map(|change| change.seq).collect();
    read.answer("changes".to_owned(), &numbers);
    store.check().await.unwrap();
    read
}

async fn read_instance(store: &dyn Store, name: &str, read: &mut Read) {
    let (dps_name, owned) = (service(name), || name.to_owned());
    let view = store.instance(&dps_name).await.unwrap();
    read.answer(format!("{name}: is there"), &view.is_some());
    if let Some(view) = &view {
        let generation = Versioned { value: view.dps.clone(), revision: view.generation };
        read.row(Row::Instance(owned()), Some(&generation));
        read.answer(format!("{name}: groups"), &values(&view.groups));
        read.answer(format!("{name}: certificates"), &values(&view.ca_certificates));
    }
    for id in GROUPS {
        let mut groups = view.iter().flat_map(|view| &view.groups);
        read.row(Row::Group(owned(), id.to_owned()), groups.find(|row| row.value.id == gid(id)));
        let found = store.group(&dps_name, &gid(id)).await.unwrap();
        read.row(Row::Group(owned(), id.to_owned()), found.as_ref());
        let mut rows = view.iter().flat_map(|view| &view.ca_certificates);
        let found = rows.find(|row| row.value.name == cert_name(id));
        read.row(Row::CaCertificate(owned(), id.to_owned()), found);
        for after in [None, Some("dev-a")] {
            let page = store.registrations_of_group(&dps_name, &gid(id), after, 2).await.unwrap();
            let what = format!("{name}: records of {id} after {after:?}");
            read.answer(what, &(values(&page.rows), page.next));
        }
    }
    let orphaned = store.orphaned(&dps_name, None, 2).await.unwrap();
    read.answer(format!("{name}: orphaned records"), &format!("{orphaned:?}"));
    for after in [None, Some("dev-a")] {
        let page = store.individual_views(&dps_name, after, 2).await.unwrap();
        let records: Vec<_> =
            page.views.iter().filter_map(|view| view.registration.clone()).collect();
        let entries: Vec<_> = page.views.into_iter().map(|view| view.individual).collect();
        let what = format!("{name}: entries after {after:?}");
        read.answer(what, &(values(&entries), values(&records), page.next));
    }
    read.answer(
        format!("{name}: number of entries"),
        &store.individual_count(&dps_name).await.unwrap(),
    );
    for number in 0..CERTIFICATES {
        let leaf = certificate(number).content_hash();
        let found = store.individuals_by_leaf(&dps_name, &leaf).await.unwrap();
        read.answer(format!("{name}: holders of {number}"), &values(&found));
        let revisions = found.iter().map(|row| row.revision).collect();
        read.revisions.insert(Row::Leaf(owned(), number), revisions);
    }
    for id in &IDS[1..] {
        let found = store.individual(&dps_name, &rid(id)).await.unwrap();
        read.row(Row::Individual(owned(), (*id).to_owned()), found.as_ref());
        let found = store.registration(&dps_name, &rid(id)).await.unwrap();
        read.row(Row::Registration(owned(), (*id).to_owned()), found.as_ref());
        read_registration_view(store, name, id, read).await;
    }
}

async fn read_registration_view(store: &dyn Store, name: &str, id: &str, read: &mut Read) {
    let leaf = certificate(0).content_hash();
    let view = store.registration_view(&service(name), &rid(id), Some(&leaf)).await.unwrap();
    let Some(view) = view else { return };
    read.row(Row::Individual(name.to_owned(), id.to_owned()), view.individual_by_id.as_ref());
    read.row(Row::Registration(name.to_owned(), id.to_owned()), view.registration.as_ref());
    read.answer(
        format!("{name}: view of {id}"),
        &(
            values(&view.individuals_by_leaf),
            values(&view.instance.groups),
            view.registrations_counted,
        ),
    );
    let generation =
        Versioned { value: view.instance.dps.clone(), revision: view.instance.generation };
    read.row(Row::Instance(name.to_owned()), Some(&generation));
}

async fn read_hub(store: &dyn Store, name: &str, read: &mut Read) {
    for after in [None, Some("D")] {
        let page = store.devices(&host(name), after, 1).await.unwrap();
        read.answer(format!("{name}: after {after:?}"), &(values(&page.rows), page.next));
    }
    let all = store.devices(&host(name), None, 100).await.unwrap();
    for id in DEVICES {
        let mut rows = all.rows.iter();
        let found = rows.find(|row| row.value.device_id.as_str() == id);
        read.row(Row::Device(name.to_owned(), id.to_owned()), found);
        let view = store.device(&host(name), &did(id)).await.unwrap();
        read.row(Row::Twin(name.to_owned(), id.to_owned()), view.as_ref().map(|view| &view.twin));
        if let Some(view) = view {
            read.row(Row::Device(name.to_owned(), id.to_owned()), Some(&view.device));
        }
    }
}

async fn compare(model: &dyn Store, backend: &dyn Store, known: &mut Known, context: &str) {
    let (by_model, by_backend) = (read(model).await, read(backend).await);
    for (a, b) in by_model.answers.iter().zip(&by_backend.answers) {
        assert_eq!(a, b, "{context}");
    }
    assert_eq!(by_model.answers.len(), by_backend.answers.len(), "{context}");
    for (row, revisions) in by_model.revisions {
        let of_backend = by_backend.revisions.get(&row).cloned().unwrap_or_default();
        known.saw(&row, revisions, of_backend, context);
    }
}
