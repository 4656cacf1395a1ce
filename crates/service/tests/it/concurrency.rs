//! Several who write at once what all of them have read: one wins, the others are told.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use attestation::access::change::{KeyWish, PolicyChange};
use attestation::network::{Action, IpFilterRule, Target};
use hub::draft::DeviceDraft;
use hub::twin::{How, TwinUpdate};
use model::{Etag, IdScope, IfMatch, PolicyName, ServiceName};
use provisioning::instance::{Dps, Right};
use provisioning::quota::QuotaChange;
use serde_json::json;
use service::{ApiError, DpsRequest, HubRequest, LinkRequest, NetworkRequest, Service};
use store::{Commit, Write};

use crate::world::{World, call, device_id, group, group_id, host, id, individual, key, keyed};

const WRITERS: usize = 4;

/// What became of writers who all had read before any of them wrote, counted and sorted.
fn at_once<T, E: std::fmt::Debug>(
    w: &World,
    write: impl AsyncFn(&Service, usize) -> Result<T, E> + Send + Sync,
) -> Vec<String> {
    w.clock.gather(WRITERS);
    let service = &w.service;
    let write = &write;
    let mut told: Vec<String> = std::thread::scope(|scope| {
        let writer = |number: usize| {
            move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                match runtime.block_on(write(service, number)) {
                    Ok(_) => "Ok".to_owned(),
                    Err(error) => format!("{error:?}"),
                }
            }
        };
        let writers: Vec<_> = (0..WRITERS).map(|number| scope.spawn(writer(number))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    told.sort();
    told
}

/// One `Ok`, and this for all others.
fn one_and(lost: &str) -> Vec<String> {
    let mut all = vec![lost.to_owned(); WRITERS - 1];
    all.push("Ok".to_owned());
    all.sort();
    all
}

/// A body that no other writer sends.
fn of_writer(number: usize) -> serde_json::Value {
    let mut body = keyed(1);
    body["initialTwin"] = json!({"tags": {"writer": number}});
    body
}

/// Each has read the rules, and writes them whole with its own: those who lose are told.
#[tokio::test]
async fn s_75_of_operators_who_write_the_rules_of_one_version_exactly_one_wins() {
    let w = World::new().await;
    let rules = |number: usize| {
        let mask = format!("10.{number}.0.0/16").parse().unwrap();
        let rule = IpFilterRule {
            name: format!("rule-{number}"),
            action: Action::Reject,
            mask,
            target: Target::All,
        };
        NetworkRequest { rules: Some(vec![rule]), ..NetworkRequest::default() }
    };
    let etag = w.service.dps(&w.dps).await.unwrap().value.etag();
    let told = at_once(&w, async |service, number| {
        let if_match = IfMatch::Etag(etag.clone());
        let network = rules(number);
        let request = DpsRequest { network, if_match, ..DpsRequest::default() };
        service.put_dps(&call(), &w.dps, request).await
    });
    assert_eq!(told, one_and("PreconditionFailed"));
    let hub = ServiceName::parse("hub1").unwrap();
    let etag = w.service.hub(&hub).await.unwrap().value.etag();
    let told = at_once(&w, async |service, number| {
        let (network, if_match) = (rules(number), IfMatch::Etag(etag.clone()));
        let request = HubRequest { network, if_match, ..HubRequest::default() };
        service.put_hub(&call(), &hub, request).await
    });
    assert_eq!(told, one_and("PreconditionFailed"));
    let link = w.service.dps(&w.dps).await.unwrap().value.linked_hubs.remove(0);
    let told = at_once(&w, async |service, number| {
        let allocation_weight = u32::try_from(number).unwrap() + 2;
        let if_match = IfMatch::Etag(link.etag());
        let request = LinkRequest {
            allocation_weight: Some(allocation_weight),
            if_match,
            ..LinkRequest::default()
        };
        service.put_link(&call(), &w.dps, &link.host, &request).await
    });
    assert_eq!(told, one_and("PreconditionFailed"));
    let stale = IfMatch::Etag(etag);
    let deleted = w.service.delete_hub(&call(), &hub, &stale).await;
    assert!(matches!(deleted, Err(ApiError::PreconditionFailed)), "{deleted:?}");
    let deleted = w.service.delete_link(&call(), &w.dps, &link.host, &stale).await;
    assert!(matches!(deleted, Err(ApiError::PreconditionFailed)), "{deleted:?}");
    let deleted = w.service.delete_dps(&call(), &w.dps, &stale).await;
    assert!(matches!(deleted, Err(ApiError::PreconditionFailed)), "{deleted:?}");
    let now = IfMatch::Etag(w.service.dps(&w.dps).await.unwrap().value.etag());
    w.service.delete_dps(&call(), &w.dps, &now).await.unwrap();
}

/// A write to the model store, which never waits.
fn write_now(store: &dyn store::Store, write: Write) {
    let commit = Commit { writes: vec![write], ..Commit::default() };
    let mut writing = pin!(store.commit(commit));
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(writing.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
}

/// Each of them writes a group between what a registration reads and what it writes, twice.
#[tokio::test(start_paused = true)]
async fn registrations_get_through_beside_sixteen_writers() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    w.put_group("g", &keyed(2)).await;
    let group = w.service.group(&w.dps, &group_id("g")).await.unwrap();
    let evidence = w.token("dev", &key(1));
    let writing = |_| {
        let (store, dps, group) = (w.store.clone(), w.dps.clone(), Box::new(group.clone()));
        Box::new(move || write_now(store.as_ref(), Write::Group(dps, group))) as Box<_>
    };
    w.clock.meanwhile((0..2 * 16).map(writing).collect());
    assert_eq!(w.outcome("dev", &evidence).await, "assigned");
    assert!(w.clock.is_all_done());
}

#[tokio::test]
async fn of_services_that_are_made_at_once_one_has_the_id_scope_and_one_the_host() {
    let w = World::new().await;
    let named = |number: usize| ServiceName::parse(&format!("made-{number}")).unwrap();
    let told = at_once(&w, async |service, number| {
        let id_scope = Some(IdScope::parse("0neSame").unwrap());
        let request = DpsRequest { id_scope, ..DpsRequest::default() };
        service.put_dps(&call(), &named(number), request).await
    });
    assert_eq!(told, one_and(r#"Invalid("idScope: 0neSame is taken")"#));
    let host = host("shared.localhost");
    let told = at_once(&w, async |service, number| {
        let name = ServiceName::parse(&format!("shared-{number}")).unwrap();
        let host = Some(host.clone());
        match number % 2 {
            0 => {
                let request = DpsRequest { host, ..DpsRequest::default() };
                service.put_dps(&call(), &name, request).await.map(drop)
            }
            _ => {
                let request = HubRequest { host, ..HubRequest::default() };
                service.put_hub(&call(), &name, request).await.map(drop)
            }
        }
    });
    assert_eq!(told, one_and(r#"Invalid("hostName: shared.localhost is taken")"#));
}

#[tokio::test]
async fn a_21_a_24_of_writers_of_an_enrollment_exactly_one_wins() {
    let w = Arc::new(World::new().await);
    let dps = &w.dps;
    let put = |if_match: IfMatch| {
        at_once(&w, async move |service: &Service, number| {
            let draft = individual("dev", &of_writer(number));
            service.put_individual(&call(), dps, &draft, &if_match).await
        })
    };
    assert_eq!(put(IfMatch::Absent), one_and("AlreadyExists"));
    let (entry, _) = w.service.individual(dps, &id("dev")).await.unwrap();
    let stale = IfMatch::Etag(entry.stamp.etag);
    assert_eq!(put(stale.clone()), one_and("PreconditionFailed"));
    assert_eq!(put(IfMatch::Any), vec!["Ok"; WRITERS], "whoever demands nothing, wins at last");
    let (entry, _) = w.service.individual(dps, &id("dev")).await.unwrap();
    let etag = IfMatch::Etag(entry.stamp.etag);
    let deleted = at_once(&w, async |service: &Service, _| {
        service.delete_individual(&call(), dps, &id("dev"), &etag).await
    });
    assert_eq!(deleted, one_and("NotFound"));
}

#[tokio::test]
async fn a_21_a_24_of_writers_of_a_group_exactly_one_wins() {
    let w = Arc::new(World::new().await);
    let dps = &w.dps;
    let put = |if_match: IfMatch| {
        at_once(&w, async move |service: &Service, number| {
            let draft = group("g", &of_writer(number));
            service.put_group(&call(), dps, &draft, &if_match).await
        })
    };
    assert_eq!(put(IfMatch::Absent), one_and("AlreadyExists"));
    let etag = IfMatch::Etag(w.service.group(dps, &group_id("g")).await.unwrap().stamp.etag);
    assert_eq!(put(etag), one_and("PreconditionFailed"));
}

#[tokio::test]
async fn of_writers_of_an_identity_or_a_twin_with_one_etag_exactly_one_wins() {
    let w = Arc::new(World::new().await);
    let hub = &host("hub1.localhost");
    let draft = |number: usize| -> DeviceDraft {
        let body = json!({"deviceId": "dev", "statusReason": number.to_string()}).to_string();
        dialect::rest::hub::draft(&device_id("dev"), body.as_bytes()).unwrap()
    };
    let put = |if_match: IfMatch| {
        at_once(&w, async move |service: &Service, number| {
            service.put_device(&call(), hub, &draft(number), &if_match).await
        })
    };
    assert_eq!(put(IfMatch::Absent), one_and("AlreadyExists"));
    let view = w.service.device(hub, &device_id("dev")).await.unwrap();
    let etag = Etag::new(&view.device.value.version.to_string());
    assert_eq!(put(IfMatch::Etag(etag)), one_and("PreconditionFailed"));
    let patch = |if_match: IfMatch| {
        at_once(&w, async move |service: &Service, number| {
            let tags = json!({format!("w{number}"): number}).as_object().cloned();
            let update = TwinUpdate { tags, ..TwinUpdate::default() };
            let id = device_id("dev");
            service.put_twin(&call(), hub, &id, &update, How::Merge, &if_match).await
        })
    };
    let etag = IfMatch::Etag(Etag::new("1"));
    assert_eq!(patch(etag), one_and("PreconditionFailed"));
    let tags = async || w.service.device(hub, &device_id("dev")).await.unwrap().twin.value.tags;
    assert_eq!(tags().await.len(), 1);
    assert_eq!(patch(IfMatch::Any), vec!["Ok"; WRITERS]);
    assert_eq!(tags().await.len(), WRITERS, "none of the merges is lost");
}

#[tokio::test]
async fn s_30_of_enrollments_made_at_once_no_more_are_made_than_the_quota_has_room_for() {
    let w = Arc::new(World::new().await);
    let quota = QuotaChange { individual_enrollments: Some(2), ..QuotaChange::default() };
    let request = DpsRequest { quota, ..DpsRequest::default() };
    w.service.put_dps(&call(), &w.dps, request).await.unwrap();
    w.put("first", &keyed(1)).await;
    let put = at_once(&w, async |service: &Service, number| {
        let draft = individual(&format!("dev{number}"), &keyed(1));
        service.put_individual(&call(), &w.dps, &draft, &IfMatch::Absent).await
    });
    assert_eq!(put, one_and("QuotaReached { what: \"individual enrollments\", max: 2 }"));
    w.replace("first", &keyed(2)).await;
    w.delete("first").await;
    w.put("second", &keyed(1)).await;
}

#[tokio::test]
async fn r_15_of_devices_that_register_at_once_no_more_are_let_in_than_the_quota_has_room_for() {
    let w = Arc::new(World::new().await);
    w.set_quota(2).await;
    w.put_group("g", &keyed(2)).await;
    let names: Vec<String> = (0..=WRITERS).map(|number| format!("dev{number}")).collect();
    let evidence: Vec<_> = names.iter().map(|name| w.token(name, &key(2).derive(name))).collect();
    w.register(&names[WRITERS], &evidence[WRITERS]).await.unwrap();
    let registered = at_once(&w, async |_: &Service, number| {
        w.register(&names[number], &evidence[number]).await
    });
    assert_eq!(
        registered,
        one_and("Rejected(QuotaReached { registrations_max: 2 }, Some(SymmetricKey))")
    );
    assert_eq!(w.outcome(&names[WRITERS], &evidence[WRITERS]).await, "assigned", "a renewal");
}

/// Neither the row nor the directory gets a key back by a write that had begun before it went.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i9_a_policy_that_is_deleted_stays_so_whatever_is_written_beside_it() {
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = dir.join(format!("muster-beside-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    let store =
        store_sqlite::Sqlite::open(&dir.join("control.db"), store_sqlite::Options::default());
    let w = World::over(Arc::new(store.unwrap())).await;
    let name = PolicyName::parse("late").unwrap();
    let rights = PolicyChange {
        rights: Some(vec![Right::EnrollmentRead]),
        primary: KeyWish::Keep,
        secondary: KeyWish::Keep,
    };
    for round in 0..60 {
        let service = &w.service;
        service.put_dps_policy(&call(), &w.dps, &name, &rights, &IfMatch::Absent).await.unwrap();
        let beside = (0..3_u64).map(|writer| {
            let (service, dps) = (Arc::clone(service), w.dps.clone());
            let quota = QuotaChange { registrations: Some(1_000 + writer), ..Default::default() };
            let request = DpsRequest { quota, ..DpsRequest::default() };
            tokio::spawn(async move { service.put_dps(&call(), &dps, request).await })
        });
        let beside: Vec<_> = beside.collect();
        tokio::time::sleep(Duration::from_micros(round * 40)).await;
        service.delete_dps_policy(&call(), &w.dps, &name).await.unwrap();
        let is_there = |dps: &Dps| dps.policies.iter().any(|policy| policy.name == name);
        let now = service.directory();
        assert!(!is_there(now.dps(&w.dps).unwrap()), "round {round}: at once");
        for writer in beside {
            // One that is overtaken too often says so.
            let _ = writer.await.unwrap();
        }
        assert!(!is_there(&service.dps(&w.dps).await.unwrap().value), "round {round}: the row");
        let now = service.directory();
        assert!(!is_there(now.dps(&w.dps).unwrap()), "round {round}: the directory");
    }
    drop(w);
    let _ = std::fs::remove_dir_all(&dir);
}
