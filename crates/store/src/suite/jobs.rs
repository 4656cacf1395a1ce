//! Jobs on hubs that live elsewhere.

use std::sync::Arc;

use provisioning::decide::{HubCredential, Placement, TwinPlan};
use provisioning::registration::{Assigned, Substatus};
use provisioning::remote::{Job, Phase};
use provisioning::view::{Evidence, RegistrationRequest};
use serde_json::Map;

use super::fixtures::{at, did, dps, host, individual_ref, refused, rid, service};
use super::{conflict, holds, json, write};
use crate::{Condition, Store, Write};

fn job(dps: &str, id: &str, operation: &str) -> Job {
    let key = attestation::SymmetricKey::from_bytes(vec![7; 32]).unwrap();
    Job {
        dps: service(dps),
        operation_id: operation.to_owned(),
        request: RegistrationRequest {
            registration_id: rid(id),
            api_version: "2021-06-01".to_owned(),
            csr: None,
            payload: None,
            from: None,
        },
        evidence: Evidence::None,
        consulted: None,
        place: Placement {
            entry: individual_ref(id, 1),
            to: Assigned { hub: host("far.example.com"), device_id: did(id) },
            substatus: Substatus::InitialAssignment,
            credential: HubCredential::Sas { primary: key.clone(), secondary: key },
            twin: TwinPlan::KeepOrInitial,
            initial_tags: Map::new(),
            initial_desired: Map::new(),
            iot_edge: None,
            payload: None,
            from: None,
        },
        made: None,
        to: None,
        from: None,
        phase: Phase::Begun,
        begun: at(1),
    }
}

fn put(job: Job) -> Write {
    Write::Job(Box::new(job))
}

/// All of its document.
pub async fn job_comes_back_as_it_was_written(store: &dyn Store) {
    let mut written = job("dps-a", "Dev-A", "op");
    written.phase = Phase::Writing { before: None, left: None };
    write(store, vec![put(written.clone())]).await;
    let found = store.job(&service("dps-a"), &rid("dev-a")).await.unwrap().unwrap();
    assert_eq!(json(&found.value), json(&written));
    assert!(store.job(&service("dps-b"), &rid("dev-a")).await.unwrap().is_none());
}

/// A second one takes the place of the first, under a new revision.
pub async fn registration_has_one_job(store: &dyn Store) {
    let (dps, id) = (service("dps-a"), rid("dev-a"));
    let at = |revision| Condition::Job { dps: dps.clone(), id: id.clone(), at: revision };
    assert!(holds(store, at(None)).await);
    write(store, vec![put(job("dps-a", "dev-a", "one"))]).await;
    let one = store.job(&dps, &id).await.unwrap().unwrap();
    assert_eq!(conflict(store, vec![at(None)], Vec::new()).await, at(None));
    assert!(holds(store, at(Some(one.revision))).await);
    write(store, vec![put(job("dps-a", "DEV-A", "two"))]).await;
    assert!(!holds(store, at(Some(one.revision))).await);
    let two = store.job(&dps, &id).await.unwrap().unwrap();
    assert_eq!(two.value.operation_id, "two");
    write(store, vec![Write::DeleteJob(dps.clone(), id.clone())]).await;
    assert!(store.job(&dps, &id).await.unwrap().is_none());
    assert!(holds(store, at(None)).await);
}

/// What it has to take back elsewhere is there still.
pub async fn job_outlives_its_record_and_its_instance(store: &dyn Store) {
    let (name, id) = (service("dps-a"), rid("dev-a"));
    let record = refused("dev-a", individual_ref("dev-a", 1), 1);
    let writes = vec![
        Write::Dps(Box::new(dps("dps-a"))),
        Write::Registration(name.clone(), Arc::new(record)),
        put(job("dps-a", "dev-a", "op")),
        Write::DeleteRegistration(name.clone(), id.clone()),
    ];
    write(store, writes).await;
    assert!(store.job(&name, &id).await.unwrap().is_some());
    write(store, vec![Write::DeleteDps(name.clone())]).await;
    assert!(store.job(&name, &id).await.unwrap().is_some());
}

/// Of one instance or all of them.
pub async fn jobs_are_paged_by_instance_and_id(store: &dyn Store) {
    let all = [("dps-a", "b"), ("dps-a", "C"), ("dps-a", "a"), ("dps-ab", "a"), ("dps-b", "a")];
    write(store, all.iter().map(|(dps, id)| put(job(dps, id, "op"))).collect()).await;
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = store.jobs(None, after.as_deref(), 2).await.unwrap();
        found.extend(page.rows.into_iter().map(|row| {
            let id = row.value.request.registration_id.key().to_owned();
            (row.value.dps.to_string(), id)
        }));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let expected =
        [("dps-a", "a"), ("dps-a", "b"), ("dps-a", "c"), ("dps-ab", "a"), ("dps-b", "a")];
    assert_eq!(found, expected.map(|(dps, id)| (dps.to_owned(), id.to_owned())));
    let of = store.jobs(Some(&service("dps-a")), None, 9).await.unwrap();
    assert_eq!(of.rows.len(), 3);
    assert!(store.jobs(Some(&service("dps")), None, 9).await.unwrap().rows.is_empty());
}
