//! Calls whose credential is withdrawn while they are under way (I9).

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use model::{HostName, PolicyName, ServiceName};
use serde_json::{Value, json};
use service::Entropy;

use crate::Gateway;
use crate::tests::operator::{DPS, HUB};
use crate::tests::{World, call};

/// Something to be done once.
type Deed = Box<dyn FnOnce() + Send>;

/// Randomness in which something happens when an item of a bulk has its keys made.
#[derive(Default)]
struct Meanwhile {
    bytes: AtomicU8,
    keys: AtomicUsize,
    at: Mutex<Option<(usize, Deed)>>,
}

impl Entropy for Meanwhile {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.bytes.fetch_add(41, Ordering::SeqCst));
        let mut at = self.at.lock().unwrap();
        let is_due =
            |due: usize| bytes.len() >= 32 && self.keys.fetch_add(1, Ordering::SeqCst) == due;
        if at.as_ref().is_some_and(|(due, _)| is_due(*due)) {
            let deed = at.take().unwrap().1;
            drop(at);
            deed();
        }
    }
}

/// The items that are made before the policy goes.
const MADE: usize = 4;

/// A world whose policy is to be deleted when the keys of the last of so many items are made: it
/// waits for that item, and goes before the next one.
async fn world<F: Future<Output = ()> + Send + 'static>(
    items: usize,
    deletion: impl FnOnce(Arc<Gateway>) -> F + Send + 'static,
) -> World {
    let meanwhile = Arc::new(Meanwhile::default());
    let world = World::with(meanwhile.clone()).await;
    let gateway = Arc::clone(&world.gateway);
    let deed = move || {
        let mut deletion = Box::pin(deletion(gateway));
        let begun = deletion.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(begun.is_pending(), "it returned before what rested on the policy was done");
        tokio::spawn(deletion);
    };
    // Each item has two.
    *meanwhile.at.lock().unwrap() = Some((2 * items - 1, Box::new(deed)));
    world
}

async fn without_dps_policy(gateway: Arc<Gateway>) {
    let (dps, owner) = (ServiceName::parse("dps"), PolicyName::parse("provisioningserviceowner"));
    let (dps, owner) = (dps.unwrap(), owner.unwrap());
    gateway.service.delete_dps_policy(&call(), &dps, &owner).await.unwrap();
}

async fn without_hub_policy(gateway: Arc<Gateway>) {
    let (hub, owner) = (ServiceName::parse("hub1"), PolicyName::parse("iothubowner"));
    let (hub, owner) = (hub.unwrap(), owner.unwrap());
    gateway.service.delete_hub_policy(&call(), &hub, &owner).await.unwrap();
}

fn items(count: usize, item: impl Fn(String) -> Value) -> Vec<Value> {
    (0..count).map(|at| item(format!("i-{at}"))).collect()
}

#[tokio::test]
async fn i9_a_bulk_ends_where_its_policy_is_deleted() {
    let world = world(MADE, without_hub_policy).await;
    let all = items(10, |id| json!({"id": id, "importMode": "create"}));
    let bulk = Value::Array(all).to_string();
    let answer = world.operate(HUB, "POST /devices", &[], &bulk).await.expect(400);
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 10 - MADE, "{answer}");
    assert!(
        errors.iter().all(|error| error["errorCode"] == "IotHubUnauthorizedAccess"),
        "{answer}"
    );
    let hub = HostName::parse(HUB).unwrap();
    let made = world.gateway.service.device_count(&hub).await.unwrap().total;
    assert_eq!(made, MADE as u64);
}

#[tokio::test]
async fn i9_a_bulk_of_enrollments_ends_where_its_policy_is_deleted() {
    for (address, members, id) in [
        ("/enrollments", "enrollments", "registrationId"),
        ("/enrollmentGroups", "enrollmentGroups", "enrollmentGroupId"),
    ] {
        let world = world(MADE, without_dps_policy).await;
        let all = items(10, |name| json!({id: name, "attestation": {"type": "symmetricKey"}}));
        let bulk = json!({"mode": "create", members: all}).to_string();
        let answer = world.operate(DPS, &format!("POST {address}"), &[], &bulk).await.expect(200);
        let errors = answer["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 10 - MADE, "{answer}");
        assert!(errors.iter().all(|error| error["errorCode"] == 401_002), "{answer}");
    }
}

#[tokio::test]
async fn i9_a_load_ends_where_its_policy_is_deleted() {
    let world = world(MADE, without_dps_policy).await;
    // An id is in a commit only once.
    let entry = |id: String| {
        format!(r#"{{"registrationId": "{id}", "attestation": {{"type": "symmetricKey"}}}}"#)
    };
    let lines: Vec<String> = (0..10).map(|at| entry(format!("i-{}", at % MADE))).collect();
    let load = "POST /muster/v1/enrollments/load";
    let typed = [("Content-Type", "application/x-ndjson")];
    let answer = world.operate(DPS, load, &typed, &lines.join("\n")).await.expect(200);
    let lines = answer["lines"].as_array().unwrap();
    let created = lines.iter().filter(|line| line["result"] == "created").count();
    let refused = lines.iter().filter(|line| line["errorCode"] == 401_002).count();
    assert_eq!((created, refused), (MADE, 10 - MADE), "{answer}");
}

#[tokio::test]
async fn i9_one_write_is_done_when_the_deletion_of_its_policy_returns() {
    let enrolling = world(1, without_dps_policy).await;
    let registering = world(1, without_hub_policy).await;
    for (world, host, path) in [(enrolling, DPS, "enrollments"), (registering, HUB, "devices")] {
        let token = world.owner(host);
        let signed = [("Authorization", token.as_str())];
        for (id, status) in [("first", 200), ("second", 401)] {
            let member = if host == DPS { "registrationId" } else { "deviceId" };
            let mut body = json!({member: id});
            if host == DPS {
                body["attestation"] = json!({"type": "symmetricKey"});
            }
            let put = format!("PUT /{path}/{id}");
            world.ask(host, &put, &signed, &body.to_string()).await.expect(status);
        }
    }
}
