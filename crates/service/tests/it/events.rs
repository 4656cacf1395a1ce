//! Lifecycle events: told with the commit that makes them true, sent until they are taken.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use attestation::sas::{self, SasToken};
use events::schedule::{Outcome, RetryPolicy};
use events::subscription::Validation;
use events::{DeadReason, EndpointUrl, Event, EventType, Filter, Happened, Queued};
use hub::permit::Evidence;
use model::{IfMatch, SubscriptionName, Timestamp, limits};
use provisioning::enrollment::ProvisioningStatus;
use serde_json::{Value, json};
use service::access::sessions::Session;
use service::{Announcer, ApiError, Connecting, SubscriptionDraft};
use store::{Commit, Deliveries, Write};
use tokio::task::AbortHandle;

use crate::world::{World, call, device_id, host, id, key, keyed};

const HUB: &str = "hub1.localhost";

/// A receiver that notes what it is sent; what it answers can be set, and nothing is an answer as
/// well: then it never answers.
#[derive(Default)]
struct Receiver {
    answer: Mutex<Option<Outcome>>,
    sent: Mutex<Vec<Event>>,
    consents: bool,
}

impl Receiver {
    fn answering(outcome: Option<Outcome>) -> Arc<Self> {
        Arc::new(Self { answer: Mutex::new(outcome), ..Self::default() })
    }

    fn answers(&self, outcome: Outcome) {
        *self.answer.lock().unwrap() = Some(outcome);
    }

    fn sent(&self) -> Vec<Event> {
        self.sent.lock().unwrap().clone()
    }

    /// What it was sent, once that is so much.
    async fn heard(&self, count: usize) -> Vec<Event> {
        let heard = async {
            while self.sent().len() < count {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        // In most tests the time is the runtime's own, and takes none.
        let waited = tokio::time::timeout(Duration::from_secs(600), heard).await;
        assert!(waited.is_ok(), "{:?}", self.sent());
        self.sent()
    }
}

#[async_trait]
impl Announcer for Receiver {
    fn data(&self, happened: &Happened<'_>) -> Value {
        match happened {
            Happened::Device { twin, .. } => json!({"tags": twin.tags}),
            Happened::Connection { sequence, .. } => json!({"sequence": sequence}),
            Happened::Registered { record, .. } => json!({"status": record.status}),
            _ => Value::Null,
        }
    }

    async fn send(&self, _: &EndpointUrl, event: &Event) -> Outcome {
        self.sent.lock().unwrap().push(event.clone());
        let answer = self.answer.lock().unwrap().clone();
        match answer {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    }

    async fn consent(&self, _: &EndpointUrl) -> Result<(), String> {
        self.consents.then_some(()).ok_or_else(|| "it did not allow this origin".to_owned())
    }
}

fn down() -> Outcome {
    Outcome::Failed { because: "it answered with status 503".to_owned(), asked_pause: None }
}

fn name() -> SubscriptionName {
    SubscriptionName::parse("ops").unwrap()
}

fn draft() -> SubscriptionDraft {
    SubscriptionDraft {
        name: name(),
        endpoint: Some(EndpointUrl::parse("https://ops.test/hook?code=s").unwrap()),
        validation: Validation::None,
        filter: Filter::default(),
        retry: RetryPolicy::default(),
    }
}

async fn subscribe(w: &World, draft: &SubscriptionDraft) {
    w.service.put_subscription(&call(), draft, &IfMatch::Absent).await.unwrap();
}

fn deliver(w: &World) -> AbortHandle {
    tokio::spawn(Arc::clone(&w.service).deliver_events()).abort_handle()
}

async fn queued(w: &World, which: Deliveries) -> Vec<Queued> {
    w.store.deliveries(&name(), which, 0, 1000).await.unwrap()
}

async fn waiting(w: &World) -> Vec<(EventType, String)> {
    let queued = queued(w, Deliveries::Waiting).await;
    queued
        .into_iter()
        .map(|row| (row.delivery.event.event_type, row.delivery.event.subject))
        .collect()
}

fn told(rows: &[(EventType, &str)]) -> Vec<(EventType, String)> {
    rows.iter().map(|(kind, subject)| (*kind, (*subject).to_owned())).collect()
}

async fn enroll(w: &World, name: &str) {
    let mut json = keyed(1);
    json["allocationPolicy"] = "static".into();
    json["iotHubs"] = json!([HUB]);
    w.put(name, &json).await;
}

/// Waits until nothing waits any more.
async fn settled(w: &World) {
    while w.service.deliveries_kept().waiting > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn s_33_what_a_commit_makes_true_is_queued_with_it() {
    let w = World::new().await;
    enroll(&w, "before").await;
    subscribe(&w, &draft()).await;
    assert_eq!(waiting(&w).await, []);
    enroll(&w, "Dev").await;
    w.outcome("Dev", &w.token("Dev", &key(1))).await;
    let expected = told(&[
        (EventType::EnrollmentCreated, "enrollments/Dev"),
        (EventType::DeviceCreated, "devices/Dev"),
        (EventType::RegistrationAssigned, "registrations/Dev"),
    ]);
    assert_eq!(waiting(&w).await, expected);
    assert_eq!(w.service.deliveries_kept().waiting, 3);
    // Once more: the device is where it was, and is told of as registered alone.
    w.outcome("Dev", &w.token("Dev", &key(1))).await;
    let again = told(&[(EventType::RegistrationAssigned, "registrations/Dev")]);
    assert_eq!(waiting(&w).await[3..], again);
    // An operator's order is no registration.
    let said = service::Reprovision::Order(provisioning::reprovision::DeviceData::Reset);
    w.service.reprovision_registration(&call(), &w.dps, &id("Dev"), said).await.unwrap();
    assert_eq!(waiting(&w).await.len(), 4);
}

#[tokio::test]
async fn s_37_s_38_s_08_what_an_operator_takes_away_is_told() {
    let w = World::new().await.announcing(Receiver::answering(None)).await;
    enroll(&w, "dev").await;
    w.outcome("dev", &w.token("dev", &key(1))).await;
    subscribe(&w, &draft()).await;
    w.status("dev", 1, ProvisioningStatus::Disabled).await;
    w.status("dev", 1, ProvisioningStatus::Disabled).await;
    w.outcome("dev", &w.token("dev", &key(1))).await;
    w.status("dev", 1, ProvisioningStatus::Enabled).await;
    let device = device_id("dev");
    w.service.delete_device(&call(), &host(HUB), &device, &IfMatch::Any).await.unwrap();
    let record = id("dev");
    w.service.delete_registration(&call(), &w.dps, &record, &IfMatch::Any).await.unwrap();
    w.delete("dev").await;
    w.put_group("meters", &keyed(3)).await;
    w.delete_group("meters").await;
    let expected = told(&[
        (EventType::EnrollmentDisabled, "enrollments/dev"),
        (EventType::EnrollmentUpdated, "enrollments/dev"),
        (EventType::RegistrationRefused, "registrations/dev"),
        (EventType::EnrollmentEnabled, "enrollments/dev"),
        (EventType::DeviceDeleted, "devices/dev"),
        (EventType::RegistrationDeleted, "registrations/dev"),
        (EventType::EnrollmentDeleted, "enrollments/dev"),
        (EventType::EnrollmentCreated, "enrollmentGroups/meters"),
        (EventType::EnrollmentDeleted, "enrollmentGroups/meters"),
    ]);
    assert_eq!(waiting(&w).await, expected);
    let rows = queued(&w, Deliveries::Waiting).await;
    assert_eq!(rows[2].delivery.event.data, json!({"status": "disabled"}));
    assert_eq!(rows[4].delivery.event.data, json!({"tags": {}}));
}

#[tokio::test]
async fn a_commit_that_fails_tells_nothing_and_a_filter_chooses() {
    let w = World::new().await;
    let filter = Filter { event_types: vec![EventType::EnrollmentCreated], ..Filter::default() };
    subscribe(&w, &SubscriptionDraft { filter, ..draft() }).await;
    enroll(&w, "dev").await;
    let twice = crate::world::individual("dev", &keyed(1));
    let refused = w.service.put_individual(&call(), &w.dps, &twice, &IfMatch::Absent).await;
    assert!(matches!(refused, Err(ApiError::AlreadyExists)));
    w.delete("dev").await;
    assert_eq!(waiting(&w).await, told(&[(EventType::EnrollmentCreated, "enrollments/dev")]));
}

#[tokio::test(start_paused = true)]
async fn events_are_sent_once_and_in_the_order_of_their_subject() {
    let receiver = Receiver::answering(Some(Outcome::Taken));
    let w = World::new().await.announcing(receiver.clone()).await;
    subscribe(&w, &draft()).await;
    deliver(&w);
    for turn in 0..20 {
        enroll(&w, "dev").await;
        enroll(&w, &format!("other-{turn}")).await;
        w.delete("dev").await;
    }
    let sent = receiver.heard(60).await;
    settled(&w).await;
    assert_eq!(receiver.sent().len(), 60);
    let of_dev = sent.iter().filter(|event| event.subject == "enrollments/dev");
    let times: Vec<Timestamp> = of_dev.map(|event| event.time).collect();
    assert_eq!(times.len(), 40);
    assert!(times.is_sorted(), "{times:?}");
    assert!(queued(&w, Deliveries::Waiting).await.is_empty());
}

/// The one before is gone in the middle of a try, as after `kill -9`; the rows are still there.
async fn what_was_queued_is_sent_after_a_crash(store: Arc<dyn store::Store>) {
    let deaf = Receiver::answering(None);
    let w = World::over(store).await.announcing(deaf.clone()).await;
    subscribe(&w, &draft()).await;
    let delivering = deliver(&w);
    enroll(&w, "dev").await;
    w.outcome("dev", &w.token("dev", &key(1))).await;
    let first = deaf.heard(3).await;
    delivering.abort();
    let receiver = Receiver::answering(Some(Outcome::Taken));
    let w = w.announcing(receiver.clone()).await;
    assert_eq!(w.service.deliveries_kept().waiting, 3);
    deliver(&w);
    let second = receiver.heard(3).await;
    let ids = |events: &[Event]| {
        let mut ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&first), ids(&second));
    settled(&w).await;
    assert!(queued(&w, Deliveries::Waiting).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_by_a_crash_in_memory() {
    what_was_queued_is_sent_after_a_crash(Arc::new(store::memory::Memory::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_a_crash_on_a_disk() {
    let name = format!("muster-events-{}", std::process::id());
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    let store =
        store_sqlite::Sqlite::open(&dir.join("control.db"), store_sqlite::Options::default());
    what_was_queued_is_sent_after_a_crash(Arc::new(store.unwrap())).await;
    let _ = std::fs::remove_dir_all(&dir);
}

/// However long one subject's queue is, of what its receiver does not take.
#[tokio::test(start_paused = true)]
async fn one_subjects_queue_does_not_hold_up_another_subject() {
    let receiver = Receiver::answering(Some(down()));
    let w = World::new().await.announcing(receiver.clone()).await;
    subscribe(&w, &draft()).await;
    enroll(&w, "dev").await;
    let first = queued(&w, Deliveries::Waiting).await.remove(0).delivery;
    let many = std::iter::repeat_with(|| Write::Delivery(Box::new(first.clone())));
    let writes = many.take(limits::EVENTS_LOOKED_AT).collect();
    w.store.commit(Commit { writes, ..Commit::default() }).await.unwrap();
    enroll(&w, "other").await;
    deliver(&w);
    tokio::time::sleep(Duration::from_secs(300)).await;
    let subjects: Vec<_> = receiver.sent().into_iter().map(|event| event.subject).collect();
    assert_eq!(subjects, ["enrollments/dev", "enrollments/other"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_is_tried_again_after_its_pause_and_holds_up_its_subject_alone() {
    let receiver = Receiver::answering(Some(down()));
    let w = World::new().await.announcing(receiver.clone()).await;
    subscribe(&w, &draft()).await;
    deliver(&w);
    enroll(&w, "dev").await;
    receiver.heard(1).await;
    w.delete("dev").await;
    enroll(&w, "other").await;
    receiver.heard(2).await;
    w.clock.advance(9);
    tokio::time::sleep(Duration::from_secs(300)).await;
    let subjects: Vec<_> = receiver.sent().into_iter().map(|event| event.subject).collect();
    assert_eq!(subjects, ["enrollments/dev", "enrollments/other"]);
    receiver.answers(Outcome::Taken);
    w.clock.advance(10);
    let sent = receiver.heard(5).await;
    assert_eq!(sent[2..].iter().filter(|event| event.subject == "enrollments/dev").count(), 2);
    settled(&w).await;
    let kinds: Vec<_> = sent[2..]
        .iter()
        .filter(|event| event.subject == "enrollments/dev")
        .map(|event| event.event_type)
        .collect();
    assert_eq!(kinds, [EventType::EnrollmentCreated, EventType::EnrollmentDeleted]);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_a_dead_letter_that_can_be_retried_or_purged() {
    let receiver = Receiver::answering(Some(down()));
    let w = World::new().await.announcing(receiver.clone()).await;
    let retry = RetryPolicy { tries_max: 2, life_minutes: 60 };
    subscribe(&w, &SubscriptionDraft { retry, ..draft() }).await;
    deliver(&w);
    for number in 0..3 {
        enroll(&w, &format!("dev-{number}")).await;
    }
    receiver.heard(3).await;
    w.clock.advance(60);
    receiver.heard(6).await;
    settled(&w).await;
    assert_eq!(w.service.deliveries_kept().dead, 3);
    let dead = w.service.dead_letters(&name(), 0).await.unwrap();
    let reason = dead[0].delivery.dead.unwrap().reason;
    assert_eq!(reason, DeadReason::MaxDeliveryAttemptsExceeded);
    assert_eq!(dead[0].delivery.last.as_ref().unwrap().outcome, "it answered with status 503");
    let behind = w.service.dead_letters(&name(), dead[0].number).await.unwrap();
    assert_eq!(behind, dead[1..]);

    receiver.answers(Outcome::Taken);
    let (service, first) = (&w.service, dead[0].number);
    assert_eq!(service.retry_dead_letters(&call(), &name(), Some(first)).await.unwrap(), 1);
    assert_eq!(receiver.heard(7).await[6].id, dead[0].delivery.event.id);
    settled(&w).await;
    let gone = service.retry_dead_letters(&call(), &name(), Some(first)).await;
    assert!(matches!(gone, Err(ApiError::NotFound)));
    let second = dead[1].number;
    assert_eq!(service.purge_dead_letters(&call(), &name(), Some(second)).await.unwrap(), 1);
    assert!(matches!(service.dead_letter(&name(), second).await, Err(ApiError::NotFound)));
    assert_eq!(service.retry_dead_letters(&call(), &name(), None).await.unwrap(), 1);
    receiver.heard(8).await;
    settled(&w).await;
    assert_eq!(service.purge_dead_letters(&call(), &name(), None).await.unwrap(), 0);
    assert_eq!(service.deliveries_kept(), service::DeliveryCount::default());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_refused_for_good_is_dead_at_once() {
    let receiver =
        Receiver::answering(Some(Outcome::Refused("it answered with status 400".into())));
    let w = World::new().await.announcing(receiver.clone()).await;
    subscribe(&w, &draft()).await;
    deliver(&w);
    enroll(&w, "dev").await;
    receiver.heard(1).await;
    settled(&w).await;
    let dead = w.service.dead_letters(&name(), 0).await.unwrap();
    let reason = dead[0].delivery.dead.unwrap().reason;
    assert_eq!(reason, DeadReason::UndeliverableDueToClientError);
}

async fn connect(w: &World) -> Session {
    let expires = Timestamp::from_unix_seconds(w.service.now().unix_seconds() + 3600);
    let text = sas::create(&format!("{HUB}/devices/dev"), &key(1), expires, None);
    let connecting = Connecting {
        hub: host(HUB),
        named: host(HUB),
        device_id: device_id("dev"),
        from: std::net::IpAddr::from([127, 0, 0, 1]),
        evidence: Evidence::Sas(SasToken::parse(&text).unwrap()),
    };
    w.service.connect(connecting).await.unwrap().0
}

#[tokio::test(start_paused = true)]
async fn connections_are_told_as_they_come_and_go_and_not_as_they_are_taken_over() {
    let receiver = Receiver::answering(Some(Outcome::Taken));
    let w = World::new().await.announcing(receiver.clone()).await;
    enroll(&w, "dev").await;
    w.outcome("dev", &w.token("dev", &key(1))).await;
    drop(connect(&w).await);
    subscribe(&w, &draft()).await;
    deliver(&w);
    let first = connect(&w).await;
    let second = connect(&w).await;
    drop(first);
    drop(second);
    let sent = receiver.heard(2).await;
    settled(&w).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let kinds: Vec<_> = receiver.sent().iter().map(|event| event.event_type).collect();
    assert_eq!(kinds, [EventType::DeviceConnected, EventType::DeviceDisconnected]);
    let number = |event: &Event| event.data["sequence"].as_u64().unwrap();
    assert!(number(&sent[0]) < number(&sent[1]));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_goes_takes_along_what_waits_for_it() {
    let receiver = Receiver::answering(Some(down()));
    let w = World::new().await.announcing(receiver.clone()).await;
    subscribe(&w, &draft()).await;
    deliver(&w);
    enroll(&w, "dev").await;
    receiver.heard(1).await;
    w.service.delete_subscription(&call(), &name(), &IfMatch::Any).await.unwrap();
    assert!(matches!(w.service.subscription(&name()), Err(ApiError::NotFound)));
    subscribe(&w, &draft()).await;
    receiver.answers(Outcome::Taken);
    enroll(&w, "new").await;
    let sent = receiver.heard(2).await;
    settled(&w).await;
    assert_eq!(sent[1].subject, "enrollments/new");
    assert_eq!(receiver.sent().len(), 2);
}

#[tokio::test]
async fn subscriptions_are_written_under_their_etag_and_keep_their_address() {
    let w = World::new().await.announcing(Receiver::answering(None)).await;
    let put = |draft: SubscriptionDraft, if_match: IfMatch| {
        let service = Arc::clone(&w.service);
        async move { service.put_subscription(&call(), &draft, &if_match).await }
    };
    let nowhere = SubscriptionDraft { endpoint: None, ..draft() };
    let refused = put(nowhere.clone(), IfMatch::Absent).await;
    assert!(matches!(refused, Err(ApiError::Invalid(_))), "{refused:?}");
    let first = put(draft(), IfMatch::Absent).await.unwrap();
    let second = put(nowhere, IfMatch::Etag(first.etag.clone())).await.unwrap();
    assert_eq!(second.endpoint, first.endpoint);
    let stale = put(draft(), IfMatch::Etag(first.etag)).await;
    assert!(matches!(stale, Err(ApiError::PreconditionFailed)));
    let asks = SubscriptionDraft { validation: Validation::CloudEvents, ..draft() };
    let refused = put(asks.clone(), IfMatch::Absent).await.unwrap_err().to_string();
    assert!(refused.contains("it did not allow this origin"), "{refused}");
    assert!(!refused.contains("code="), "{refused}");
    let consents = Receiver { consents: true, ..Receiver::default() };
    let w = w.announcing(Arc::new(consents)).await;
    let made = w.service.put_subscription(&call(), &asks, &IfMatch::Absent).await.unwrap();
    assert_eq!(made.validation, Validation::CloudEvents);
    assert_eq!(w.service.subscriptions().len(), 1);
}

#[tokio::test]
async fn a_test_is_sent_at_once_and_kept_nowhere() {
    let receiver = Receiver::answering(Some(Outcome::Taken));
    let w = World::new().await.announcing(receiver.clone()).await;
    subscribe(&w, &draft()).await;
    assert_eq!(w.service.test_subscription(&name()).await.unwrap(), Outcome::Taken);
    assert_eq!(receiver.sent()[0].event_type, EventType::Test);
    assert!(waiting(&w).await.is_empty());
}
