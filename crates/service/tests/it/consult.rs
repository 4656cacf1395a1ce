//! Registrations that wait for a webhook (L-07, W-04, W-06).

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use attestation::SymmetricKey;
use model::limits;
use provisioning::allocation::custom::{Answer, NoAnswer};
use provisioning::enrollment::ProvisioningStatus;
use provisioning::explain::Outcome;
use provisioning::registration::{FailureKind, Registration, RegistrationStatus};
use provisioning::reprovision::DeviceData;
use provisioning::view::RegistrationRequest;
use serde_json::{Value, json};
use service::{Foretelling, Inquiry, PollError, Polled, Reprovision, Webhooks};
use tokio::sync::Semaphore;

use crate::tpm;
use crate::world::{World, call, id, key, keyed};

/// Answers with hub2 and a payload, as often as it was let to; notes whom it was asked about.
struct TestWebhook {
    gate: Semaphore,
    status: Option<u16>,
    asked: Mutex<Vec<String>>,
}

impl TestWebhook {
    fn new(answers: usize, status: Option<u16>) -> Arc<Self> {
        Arc::new(Self { gate: Semaphore::new(answers), status, asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Webhooks for TestWebhook {
    async fn ask(&self, inquiry: &Inquiry<'_>) -> Result<Answer, NoAnswer> {
        self.asked.lock().unwrap().push(inquiry.registration_id.to_string());
        if inquiry.question.address().starts_with("https://slow") {
            std::future::pending::<()>().await;
        }
        self.gate.acquire().await.unwrap().forget();
        match self.status {
            Some(status) => {
                Err(NoAnswer { status: Some(status), because: format!("status {status}") })
            }
            None => Ok(Answer {
                hub: "hub2.localhost".to_owned(),
                initial_twin: None,
                payload: Some(json!({"zone": 4})),
            }),
        }
    }
}

fn custom(host: &str) -> Value {
    let mut entry = keyed(1);
    entry["allocationPolicy"] = "custom".into();
    entry["customAllocationDefinition"] =
        json!({"webhookUrl": format!("https://{host}/"), "apiVersion": "2021-10-01"});
    entry
}

/// A world with the enrollment `dev`, which asks.
async fn world(webhook: &Arc<TestWebhook>) -> World {
    let world = World::asking(webhook.clone()).await;
    world.put("dev", &custom("a.test")).await;
    world
}

/// What a poll tells, in a word; whatever goes on beside goes on first.
async fn told(world: &World, name: &str, operation: &str) -> String {
    let evidence = world.token(name, &key(1));
    match world.poll(name, operation, &evidence).await.unwrap() {
        Polled::Record(record) => format!("{:?}", record.status).to_lowercase(),
        Polled::Disabled(_) => "disabled".to_owned(),
    }
}

/// Polls as a device does, until it is told something else than `assigning`.
async fn concluded(world: &World, name: &str, operation: &str) -> String {
    loop {
        let told = told(world, name, operation).await;
        if told != "assigning" {
            return told;
        }
        tokio::task::yield_now().await;
    }
}

async fn begin(world: &World, name: &str) -> String {
    let evidence = world.token(name, &key(1));
    world.register(name, &evidence).await.unwrap().operation_id
}

#[tokio::test]
async fn l_07_w_04_a_device_polls_until_the_webhook_has_answered() {
    let webhook = TestWebhook::new(0, None);
    let world = world(&webhook).await;
    let operation = begin(&world, "dev").await;
    assert_eq!(told(&world, "dev", &operation).await, "assigning");
    assert!(world.device("dev").await.is_none());
    webhook.gate.add_permits(1);
    assert_eq!(concluded(&world, "dev", &operation).await, "assigned");
    let record = world.record("dev").await.unwrap();
    assert_eq!(record.assignment.unwrap().hub.as_str(), "hub2.localhost");
    assert_eq!(record.payload, Some(json!({"zone": 4})));
    assert_eq!(record.operation_id, operation);
    assert!(record.pending.is_none() && record.earlier_operation_ids.is_empty());
    assert!(world.device("dev").await.is_some());
}

/// An order goes before the policy of an entry that never moves its devices, and stands until the
/// device has moved.
#[tokio::test]
async fn r_25_a_device_is_assigning_while_it_moves_and_its_order_stands_until_it_has() {
    let webhook = TestWebhook::new(0, None);
    let world = World::asking(webhook.clone()).await;
    let mut on_hub1 = keyed(1);
    on_hub1["allocationPolicy"] = "static".into();
    on_hub1["iotHubs"] = json!(["hub1.localhost"]);
    world.put("dev", &on_hub1).await;
    assert_eq!(world.outcome("dev", &world.token("dev", &key(1))).await, "assigned");
    let mut asks = custom("a.test");
    asks["reprovisionPolicy"] = json!({"updateHubAssignment": false, "migrateDeviceData": false});
    world.replace("dev", &asks).await;
    let said = Reprovision::Order(DeviceData::Migrate);
    let dev = id("dev");
    world.service.reprovision_registration(&call(), &world.dps, &dev, said).await.unwrap();
    let operation = begin(&world, "dev").await;
    assert_eq!(told(&world, "dev", &operation).await, "assigning");
    let record = world.record("dev").await.unwrap();
    assert_eq!(record.assignment.unwrap().hub.as_str(), "hub1.localhost");
    assert!(record.reprovision.is_some());
    webhook.gate.add_permits(1);
    assert_eq!(concluded(&world, "dev", &operation).await, "assigned");
    let record = world.record("dev").await.unwrap();
    assert_eq!(record.assignment.unwrap().hub.as_str(), "hub2.localhost");
    assert!(record.reprovision.is_none());
}

#[tokio::test]
async fn w_06_a_webhook_without_an_answer_fails_the_registration() {
    let world = world(&TestWebhook::new(9, Some(500))).await;
    let operation = begin(&world, "dev").await;
    assert_eq!(concluded(&world, "dev", &operation).await, "failed");
    let failure = world.record("dev").await.unwrap().failure.unwrap();
    assert_eq!(failure.kind, FailureKind::CustomAllocation);
    assert!(failure.message.ends_with("status code: 500"), "{}", failure.message);
    assert!(world.device("dev").await.is_none());
}

#[tokio::test]
async fn d_13_a_disable_while_the_webhook_is_asked_is_told_at_once_and_stays() {
    let webhook = TestWebhook::new(0, None);
    let world = world(&webhook).await;
    let operation = begin(&world, "dev").await;
    while webhook.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    world.status("dev", 1, ProvisioningStatus::Disabled).await;
    assert_eq!(told(&world, "dev", &operation).await, "disabled");
    webhook.gate.add_permits(1);
    while world.record("dev").await.unwrap().status == RegistrationStatus::Assigning {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.record("dev").await.unwrap().status, RegistrationStatus::Disabled);
    assert!(world.device("dev").await.is_none());
}

#[tokio::test]
async fn a_device_that_calls_again_meanwhile_asks_no_second_time() {
    let webhook = TestWebhook::new(0, None);
    let world = world(&webhook).await;
    let operation = begin(&world, "dev").await;
    while webhook.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        assert_eq!(begin(&world, "dev").await, operation);
    }
    webhook.gate.add_permits(20);
    assert_eq!(concluded(&world, "dev", &operation).await, "assigned");
    assert_eq!(webhook.asked(), ["dev"]);
    // W-07: a later registration asks again.
    let next = begin(&world, "dev").await;
    assert_ne!(next, operation);
    assert_eq!(concluded(&world, "dev", &next).await, "assigned");
    assert_eq!(webhook.asked().len(), 2);
}

#[tokio::test]
async fn what_a_crash_cut_off_is_taken_up_by_the_devices_poll() {
    let silent = TestWebhook::new(0, None);
    let world = world(&silent).await;
    let operation = begin(&world, "dev").await;
    let webhook = TestWebhook::new(1, None);
    let world = world.restarted(webhook.clone()).await;
    assert_eq!(concluded(&world, "dev", &operation).await, "assigned");
    assert_eq!(webhook.asked(), ["dev"]);
    assert_eq!(world.record("dev").await.unwrap().payload, Some(json!({"zone": 4})));
}

/// A world with the enrollment `tpm`, which asks.
async fn tpm_world(webhook: &Arc<TestWebhook>) -> World {
    let world = World::asking(webhook.clone()).await;
    let mut entry = custom("a.test");
    entry["attestation"] = tpm::enrollment()["attestation"].clone();
    world.put("tpm", &entry).await;
    world
}

/// What a TPM's poll tells, which shows nothing but its token, once that is not `assigning`.
async fn tpm_concluded(world: &World, key: &SymmetricKey, operation: &str) -> Registration {
    loop {
        let polls = world.token("tpm", key);
        let Polled::Record(record) = world.poll("tpm", operation, &polls).await.unwrap() else {
            panic!("disabled")
        };
        if record.status != RegistrationStatus::Assigning {
            return *record;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_a_crash_cut_off_of_a_tpm_is_taken_up_by_its_poll() {
    let world = tpm_world(&TestWebhook::new(0, None)).await;
    let key = world.challenged().await;
    let operation = world.register("tpm", &world.shown(Some(&key))).await.unwrap().operation_id;
    let webhook = TestWebhook::new(1, None);
    let world = world.restarted(webhook.clone()).await;
    let record = tpm_concluded(&world, &key, &operation).await;
    assert_eq!(record.status, RegistrationStatus::Assigned);
    assert!(record.tpm.unwrap().authentication_key.is_some(), "its hub's key is wrapped for it");
    assert!(record.pending.is_none());
    assert_eq!(webhook.asked(), ["tpm"]);
}

/// Each call answers a challenge of its own, and polls with it.
#[tokio::test]
async fn a_tpm_that_calls_again_while_the_webhook_is_asked_polls_its_latest_call() {
    let webhook = TestWebhook::new(0, None);
    let world = tpm_world(&webhook).await;
    let first = world.challenged().await;
    world.register("tpm", &world.shown(Some(&first))).await.unwrap();
    let key = world.challenged().await;
    let operation = world.register("tpm", &world.shown(Some(&key))).await.unwrap().operation_id;
    webhook.gate.add_permits(2);
    let record = tpm_concluded(&world, &key, &operation).await;
    assert_eq!(record.status, RegistrationStatus::Assigned);
}

#[tokio::test]
async fn a_stranger_takes_nothing_up() {
    let world = world(&TestWebhook::new(0, None)).await;
    let operation = begin(&world, "dev").await;
    let webhook = TestWebhook::new(9, None);
    let world = world.restarted(webhook.clone()).await;
    let stranger = world.token("dev", &key(9));
    assert!(world.poll("dev", &operation, &stranger).await.is_err());
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(webhook.asked().is_empty());
}

/// D-03: whoever can not prove who it is any more is told nothing, not even that it is refused.
#[tokio::test]
async fn s_c5_a_device_whose_key_was_replaced_meanwhile_is_a_stranger() {
    let webhook = TestWebhook::new(0, None);
    let world = world(&webhook).await;
    let operation = begin(&world, "dev").await;
    while webhook.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut entry = custom("a.test");
    entry["attestation"] = keyed(5)["attestation"].clone();
    world.replace("dev", &entry).await;
    webhook.gate.add_permits(1);
    while world.record("dev").await.unwrap().status == RegistrationStatus::Assigning {
        tokio::task::yield_now().await;
    }
    assert!(world.device("dev").await.is_none());
    let evidence = world.token("dev", &key(1));
    let polled = world.poll("dev", &operation, &evidence).await;
    assert!(matches!(polled, Err(PollError::Stranger(_))), "{polled:?}");
}

#[tokio::test]
async fn a_slow_webhook_holds_up_its_own_devices_alone() {
    let webhook = TestWebhook::new(1, None);
    let world = world(&webhook).await;
    for at in 0..=limits::CONSULTATIONS_PER_WEBHOOK_MAX {
        let name = format!("slow-{at}");
        world.put(&name, &custom("slow.test")).await;
        begin(&world, &name).await;
    }
    let operation = begin(&world, "dev").await;
    assert_eq!(concluded(&world, "dev", &operation).await, "assigned");
    let slow = webhook.asked().iter().filter(|name| name.starts_with("slow")).count();
    assert_eq!(slow, limits::CONSULTATIONS_PER_WEBHOOK_MAX);
}

#[tokio::test]
async fn an_allocation_test_asks_the_webhook_if_that_is_wanted() {
    let webhook = TestWebhook::new(1, None);
    let world = world(&webhook).await;
    let mut asked = Foretelling {
        request: RegistrationRequest {
            registration_id: id("dev"),
            api_version: "2021-06-01".to_owned(),
            payload: None,
            csr: None,
            from: None,
        },
        group: None,
        ask_webhook: false,
    };
    let told = world.service.foretell(&world.dps, &asked).await.unwrap();
    assert_eq!(told.outcome, Outcome::Consulting);
    asked.ask_webhook = true;
    let told = world.service.foretell(&world.dps, &asked).await.unwrap();
    assert!(matches!(told.outcome, Outcome::Assigned { .. }), "{told:?}");
    assert!(world.record("dev").await.is_none() && world.device("dev").await.is_none());
}
