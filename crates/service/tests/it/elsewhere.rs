//! Hubs that live elsewhere (L-11, L-13, R-21 to R-28): a device's way there and back.

use std::sync::Arc;

use attestation::network::Target;
use model::IfMatch;
use provisioning::enrollment::ProvisioningStatus;
use provisioning::registration::{FailureKind, RegistrationStatus, Substatus};
use provisioning::remote::{Credential, Miss};
use provisioning::reprovision::DeviceData;
use provisioning::view::RegistrationRequest;
use serde_json::{Value, json};
use service::{Call, Connection, DpsRequest, LinkRequest, Polled, Reprovision};

use crate::far::{Far, Fate, Line, disabled, link};
use crate::world::{Outside, World, call, host, key, keyed};

const FAR: &str = "far.example.com";
const FARTHER: &str = "farther.example.com";

fn lost() -> Miss {
    Miss::Unreachable("nobody is there".to_owned())
}

/// The enrollment `dev`, which goes to this hub.
fn going_to(hub: &str) -> Value {
    let mut entry = keyed(1);
    entry["allocationPolicy"] = "static".into();
    entry["iotHubs"] = json!([hub]);
    entry["initialTwin"] = json!({"tags": {"site": "a"}, "properties": {"desired": {"rate": 5}}});
    entry
}

fn with(mut entry: Value, policy: [bool; 2]) -> Value {
    entry["reprovisionPolicy"] =
        json!({"updateHubAssignment": policy[0], "migrateDeviceData": policy[1]});
    entry
}

const MIGRATE: [bool; 2] = [true, true];
const RESET: [bool; 2] = [true, false];
const NEVER: [bool; 2] = [false, false];

/// A world with two hubs elsewhere, and `dev`, which goes to the first.
async fn world(line: &Arc<Line>) -> World {
    let world = World::calling(line.clone()).await;
    link(&world, FAR, 9).await;
    link(&world, FARTHER, 9).await;
    world.put("dev", &going_to(FAR)).await;
    world
}

async fn begin(world: &World) -> String {
    let evidence = world.token("dev", &key(1));
    world.register("dev", &evidence).await.unwrap().operation_id
}

async fn told(world: &World, operation: &str) -> String {
    let evidence = world.token("dev", &key(1));
    match world.poll("dev", operation, &evidence).await.unwrap() {
        Polled::Record(record) => format!("{:?}", record.status).to_lowercase(),
        Polled::Disabled(_) => "disabled".to_owned(),
    }
}

/// Polls as a device does, until it is told something else than `assigning`.
async fn concluded(world: &World, operation: &str) -> String {
    loop {
        match told(world, operation).await.as_str() {
            "assigning" => tokio::time::sleep(std::time::Duration::from_millis(2)).await,
            told => return told.to_owned(),
        }
    }
}

async fn registered(world: &World) -> String {
    let operation = begin(world).await;
    concluded(world, &operation).await
}

/// Waits until nothing is left to be done.
async fn settled(world: &World) {
    while !world.service.jobs(&world.dps).await.unwrap().is_empty() {
        world.service.sweep().await.unwrap();
        tokio::task::yield_now().await;
    }
}

async fn status(world: &World) -> RegistrationStatus {
    world.record("dev").await.unwrap().status
}

async fn substatus(world: &World) -> Substatus {
    world.record("dev").await.unwrap().substatus.unwrap()
}

#[tokio::test]
async fn l_11_a_device_is_made_on_a_hub_elsewhere_with_its_twin() {
    let far = Arc::default();
    let line = Line::with(&far, 1, Fate::Held);
    let world = world(&line).await;
    let operation = begin(&world).await;
    line.waits.notified().await;
    assert_eq!(told(&world, &operation).await, "assigning");
    let shown = world.service.jobs(&world.dps).await.unwrap();
    assert_eq!(shown.len(), 1);
    line.gate.add_permits(1);
    assert_eq!(concluded(&world, &operation).await, "assigned");
    let record = world.record("dev").await.unwrap();
    assert_eq!(record.assignment.unwrap().hub.as_str(), FAR);
    assert_eq!(record.operation_id, operation);
    assert!(record.pending.is_none());
    let made = far.found(FAR, "dev").unwrap();
    assert_eq!(json!(made.twin.tags), json!({"site": "a"}));
    assert_eq!(json!(made.twin.desired), json!({"rate": 5}));
    assert_eq!(line.calls(), ["read", "create", "read"].map(|word| format!("{word} {FAR}")));
    settled(&world).await;
}

/// No step may leave a device half-provisioned: whoever goes on from the store alone finishes it.
#[tokio::test]
async fn a_crash_at_any_call_is_finished_after_the_restart() {
    for at in 0..3 {
        for fate in [Fate::Held, Fate::HeldAfter] {
            let far: Arc<Far> = Arc::default();
            let line = Line::with(&far, at, fate.clone());
            let world = world(&line).await;
            let operation = begin(&world).await;
            line.waits.notified().await;
            // The first server hangs there for ever; nobody polls at the second one.
            let registries: Arc<Line> = Line::new(&far);
            let outside = Outside { webhooks: None, registries: Some(registries) };
            let world = world.anew(outside).await;
            settled(&world).await;
            assert_eq!(status(&world).await, RegistrationStatus::Assigned, "{at} {fate:?}");
            assert_eq!(world.record("dev").await.unwrap().operation_id, operation);
            assert_eq!(far.count(), 1, "{at} {fate:?}");
            assert_eq!(json!(far.found(FAR, "dev").unwrap().twin.desired), json!({"rate": 5}));
        }
    }
}

#[tokio::test]
async fn a_disable_or_delete_while_a_hub_elsewhere_is_written_to_takes_it_back() {
    for at in 0..3 {
        for fate in [Fate::Held, Fate::HeldAfter] {
            for is_deleted in [false, true] {
                let far: Arc<Far> = Arc::default();
                let line = Line::with(&far, at, fate.clone());
                let world = world(&line).await;
                let operation = begin(&world).await;
                line.waits.notified().await;
                match is_deleted {
                    true => world.delete("dev").await,
                    false => {
                        let mut entry = going_to(FAR);
                        entry["provisioningStatus"] = "disabled".into();
                        world.replace("dev", &entry).await;
                    }
                }
                line.gate.add_permits(1);
                settled(&world).await;
                assert_eq!(far.count(), 0, "{at} {fate:?} {is_deleted}: {:?}", line.calls());
                match is_deleted {
                    true => assert!(world.record("dev").await.is_none()),
                    false => assert_eq!(concluded(&world, &operation).await, "disabled"),
                }
            }
        }
    }
}

/// The same after a crash: what a disabled entry has left elsewhere is found and removed.
#[tokio::test]
async fn a_disable_that_a_crash_follows_takes_back_what_was_written() {
    for fate in [Fate::Held, Fate::HeldAfter] {
        let far: Arc<Far> = Arc::default();
        let line = Line::with(&far, 1, fate);
        let world = world(&line).await;
        begin(&world).await;
        line.waits.notified().await;
        world.status("dev", 1, ProvisioningStatus::Disabled).await;
        let outside = Outside { webhooks: None, registries: Some(Line::new(&far)) };
        let world = world.anew(outside).await;
        settled(&world).await;
        assert_eq!(far.count(), 0);
        assert_eq!(status(&world).await, RegistrationStatus::Disabled);
    }
}

#[tokio::test]
async fn an_identity_that_was_there_before_is_put_back() {
    for at in 1..5 {
        for fate in [Fate::Held, Fate::HeldAfter] {
            let far: Arc<Far> = Arc::default();
            let before = json!({"tags": {"old": 1}, "desired": {"x": 2}, "reported": {"y": 3}});
            far.put(FAR, "dev", 50, &before);
            let old = far.found(FAR, "dev").unwrap();
            let line = Line::new(&far);
            let world = world(&line).await;
            world.replace("dev", &with(going_to(FAR), RESET)).await;
            // A first registration keeps the twin; the second one resets it, and is disabled.
            assert_eq!(registered(&world).await, "assigned");
            let first = far.found(FAR, "dev").unwrap();
            assert_eq!(first.twin.tags, old.twin.tags);
            far.identities.lock().unwrap().insert((FAR.to_owned(), "dev".to_owned()), old.clone());
            let next = line.calls().len() + at;
            line.fates.lock().unwrap().insert(next, fate.clone());
            begin(&world).await;
            line.waits.notified().await;
            let mut entry = with(going_to(FAR), RESET);
            entry["provisioningStatus"] = "disabled".into();
            world.replace("dev", &entry).await;
            line.gate.add_permits(1);
            settled(&world).await;
            let now = far.found(FAR, "dev").unwrap();
            assert_eq!(now.document, old.document, "{at} {fate:?}: {:?}", line.calls());
            assert_eq!((now.twin.tags, now.twin.desired), (old.twin.tags, old.twin.desired));
            assert_eq!(json!(now.twin.reported), json!({"y": 3}));
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_does_no_harm() {
    for at in 0..3 {
        for fate in [Fate::Lost, Fate::Miss(lost()), Fate::Miss(Miss::Busy("429".to_owned()))] {
            let far: Arc<Far> = Arc::default();
            let line = Line::with(&far, at, fate.clone());
            let world = world(&line).await;
            assert_eq!(registered(&world).await, "assigned", "{at} {fate:?}");
            assert_eq!(far.count(), 1);
            settled(&world).await;
        }
    }
}

#[tokio::test]
async fn what_others_write_meanwhile_is_met_with_another_look() {
    for (at, miss) in [(1, Miss::Exists), (1, Miss::Changed), (1, Miss::Absent)] {
        let far: Arc<Far> = Arc::default();
        let world = world(&Line::with(&far, at, Fate::Miss(miss))).await;
        assert_eq!(registered(&world).await, "assigned");
        settled(&world).await;
    }
    // Somebody makes the identity between the look and the write.
    let far: Arc<Far> = Arc::default();
    let line = Line::with(&far, 1, Fate::Held);
    let world = world(&line).await;
    let operation = begin(&world).await;
    line.waits.notified().await;
    far.put(FAR, "dev", 50, &json!({"tags": {"mine": true}}));
    line.gate.add_permits(1);
    assert_eq!(concluded(&world, &operation).await, "assigned");
    assert_eq!(json!(far.found(FAR, "dev").unwrap().twin.tags), json!({"mine": true}));
}

#[tokio::test]
async fn l_13_a_hub_elsewhere_that_refuses_fails_the_registration() {
    for miss in
        [Miss::Unauthorized("401".to_owned()), Miss::Refused("403 IotHubQuotaExceeded".to_owned())]
    {
        let far: Arc<Far> = Arc::default();
        let line = Line::new(&far);
        *line.always.lock().unwrap() = Some(miss.clone());
        let world = world(&line).await;
        assert_eq!(registered(&world).await, "failed");
        let record = world.record("dev").await.unwrap();
        assert_eq!(record.failure.unwrap().kind, FailureKind::HubRefused);
        let story = serde_json::to_string(&record.explanation).unwrap();
        assert!(story.contains("\"provisioned\""), "{story}");
        assert_eq!(line.calls().len(), 1, "{miss:?} is not tried again");
        settled(&world).await;
        // Once the hub believes again, the device's next call goes well.
        *line.always.lock().unwrap() = None;
        assert_eq!(registered(&world).await, "assigned");
    }
}

#[tokio::test]
async fn l_13_a_key_that_was_changed_there_is_renewed_by_the_link() {
    let far: Arc<Far> = Arc::default();
    *far.key.lock().unwrap() = Some(key(8));
    let world = world(&Line::new(&far)).await;
    assert_eq!(registered(&world).await, "failed");
    link(&world, FAR, 8).await;
    assert_eq!(registered(&world).await, "assigned");
}

#[tokio::test]
async fn a_hub_elsewhere_that_is_silent_fails_the_registration_and_is_cleared_later() {
    for at in 0..3 {
        let far: Arc<Far> = Arc::default();
        let line = Line::new(&far);
        {
            let mut fates = line.fates.lock().unwrap();
            // From the call `at` on nobody answers, though that one is carried out.
            fates.insert(at, Fate::Lost);
            fates.extend((at + 1..at + 40).map(|at| (at, Fate::Miss(lost()))));
        }
        let world = world(&line).await;
        assert_eq!(registered(&world).await, "failed", "{at}");
        let jobs = world.service.jobs(&world.dps).await.unwrap();
        assert_eq!(jobs.len(), usize::from(at > 0), "{at}");
        if let [view] = jobs.as_slice() {
            assert!(view.trouble.as_ref().unwrap().contains("can not be reached"));
        }
        line.fates.lock().unwrap().clear();
        settled(&world).await;
        assert_eq!(far.count(), 0, "{at}");
        assert_eq!(registered(&world).await, "assigned");
    }
}

#[tokio::test]
async fn a_repeated_call_joins_the_operation_that_is_under_way() {
    let far = Arc::default();
    let line = Line::with(&far, 1, Fate::Held);
    let world = world(&line).await;
    let first = begin(&world).await;
    line.waits.notified().await;
    assert_eq!(begin(&world).await, first);
    line.gate.add_permits(1);
    assert_eq!(concluded(&world, &first).await, "assigned");
    assert_eq!(line.calls().len(), 3);
}

#[tokio::test]
async fn an_entry_that_is_changed_meanwhile_is_followed() {
    let far: Arc<Far> = Arc::default();
    let line = Line::with(&far, 1, Fate::HeldAfter);
    let world = world(&line).await;
    let operation = begin(&world).await;
    line.waits.notified().await;
    world.replace("dev", &going_to(FARTHER)).await;
    line.gate.add_permits(1);
    assert_eq!(concluded(&world, &operation).await, "assigned");
    settled(&world).await;
    assert!(far.found(FAR, "dev").is_none());
    assert!(far.found(FARTHER, "dev").is_some());
}

/// D-14: a registration enables nothing; R-28: it refreshes the credential.
#[tokio::test]
async fn r_28_a_device_that_stays_gets_its_credential_anew() {
    for policy in [MIGRATE, NEVER] {
        let far: Arc<Far> = Arc::default();
        let world = world(&Line::new(&far)).await;
        world.replace("dev", &with(going_to(FAR), policy)).await;
        assert_eq!(registered(&world).await, "assigned");
        far.put(FAR, "dev", 60, &json!({"reported": {"y": 3}}));
        {
            let mut identities = far.identities.lock().unwrap();
            let there = identities.get_mut(&(FAR.to_owned(), "dev".to_owned())).unwrap();
            there.disabled = disabled("lost");
        }
        assert_eq!(registered(&world).await, "assigned");
        let now = far.found(FAR, "dev").unwrap();
        let (primary, secondary) = (key(1), key(101));
        assert!(now.has(Credential::Sas(&primary, &secondary)));
        assert_eq!(now.disabled, disabled("lost"));
        assert_eq!(json!(now.twin.reported), json!({"y": 3}));
    }
}

/// Between all kinds of hubs, with the twin or without.
#[tokio::test]
async fn r_21_r_22_r_26_devices_move_between_hubs_here_and_elsewhere() {
    for (from, to) in [("hub1.localhost", FAR), (FAR, "hub1.localhost"), (FAR, FARTHER)] {
        for policy in [MIGRATE, RESET] {
            let far: Arc<Far> = Arc::default();
            let world = world(&Line::new(&far)).await;
            world.replace("dev", &with(going_to(from), policy)).await;
            assert_eq!(registered(&world).await, "assigned");
            let there = (FAR.to_owned(), "dev".to_owned());
            if let Some(found) = far.identities.lock().unwrap().get_mut(&there) {
                found.twin.tags = json!({"site": "b"}).as_object().unwrap().clone();
                found.twin.reported = json!({"y": 3}).as_object().unwrap().clone();
                found.disabled = disabled("lost");
            }
            world.replace("dev", &with(going_to(to), policy)).await;
            assert_eq!(registered(&world).await, "assigned", "{from} {to}");
            settled(&world).await;
            let expected = match policy {
                MIGRATE => Substatus::DeviceDataMigrated,
                _ => Substatus::DeviceDataReset,
            };
            assert_eq!(substatus(&world).await, expected, "{from} {to}");
            let is_far = |hub: &str| hub == FAR || hub == FARTHER;
            match is_far(from) {
                true => assert!(far.found(from, "dev").is_none(), "{from} {to}"),
                false => assert!(world.device("dev").await.is_none(), "{from} {to}"),
            }
            let (tags, reported, is_disabled) = match is_far(to) {
                true => {
                    let found = far.found(to, "dev").unwrap();
                    (found.twin.tags, found.twin.reported, found.disabled.is_some())
                }
                false => {
                    let view = world.device("dev").await.unwrap();
                    let twin = view.twin.value;
                    let status = view.device.value.status;
                    let is_disabled = status == hub::identity::DeviceStatus::Disabled;
                    (twin.tags, twin.reported.values, is_disabled)
                }
            };
            let site = if policy == MIGRATE && is_far(from) { "b" } else { "a" };
            assert_eq!(json!(tags), json!({"site": site}), "{from} {to} {policy:?}");
            let took_along = policy == MIGRATE && is_far(from);
            assert_eq!(reported.is_empty(), !took_along, "{from} {to} {policy:?}");
            // D-14: what an operator has disabled stays so, wherever it goes.
            assert_eq!(is_disabled, is_far(from), "{from} {to} {policy:?}");
        }
    }
}

/// the old identity goes when the device is assigned, and after a crash all the same.
#[tokio::test]
async fn r_26_an_old_identity_whose_hub_is_silent_is_removed_later() {
    let far: Arc<Far> = Arc::default();
    let line = Line::new(&far);
    let world = world(&line).await;
    assert_eq!(registered(&world).await, "assigned");
    world.replace("dev", &going_to(FARTHER)).await;
    // Look back, look, create, look, look back; then look back and remove.
    let leaving = line.calls().len() + 5;
    line.fates.lock().unwrap().extend((leaving..leaving + 9).map(|at| (at, Fate::Miss(lost()))));
    assert_eq!(registered(&world).await, "assigned");
    assert!(far.found(FARTHER, "dev").is_some() && far.found(FAR, "dev").is_some());
    let outside = Outside { webhooks: None, registries: Some(Line::new(&far)) };
    let world = world.anew(outside).await;
    settled(&world).await;
    assert!(far.found(FAR, "dev").is_none());
    assert_eq!(status(&world).await, RegistrationStatus::Assigned);
}

/// A twin that changes while it is copied is copied again: nothing that a device said is lost.
#[tokio::test]
async fn r_21_a_twin_that_changes_meanwhile_is_copied_again() {
    let far: Arc<Far> = Arc::default();
    let line = Line::new(&far);
    let world = world(&line).await;
    world.replace("dev", &going_to("hub1.localhost")).await;
    assert_eq!(registered(&world).await, "assigned");
    world.replace("dev", &going_to(FAR)).await;
    line.fates.lock().unwrap().insert(2, Fate::HeldAfter);
    let operation = begin(&world).await;
    line.waits.notified().await;
    let update = hub::twin::TwinUpdate {
        tags: json!({"site": "late"}).as_object().cloned(),
        ..Default::default()
    };
    let at = (host("hub1.localhost"), crate::world::device_id("dev"));
    let how = hub::twin::How::Merge;
    world.service.put_twin(&call(), &at.0, &at.1, &update, how, &IfMatch::Any).await.unwrap();
    line.gate.add_permits(1);
    assert_eq!(concluded(&world, &operation).await, "assigned");
    assert_eq!(json!(far.found(FAR, "dev").unwrap().twin.tags), json!({"site": "late"}));
    assert!(world.device("dev").await.is_none());
}

#[tokio::test]
async fn a_connection_string_that_comes_back_masked_keeps_its_key() {
    let far: Arc<Far> = Arc::default();
    let world = world(&Line::new(&far)).await;
    let masked = |hub: &str, policy: &str| LinkRequest {
        connection: Some(Connection {
            host: host(hub),
            authority: hub.to_owned(),
            policy: model::PolicyName::parse(policy).unwrap(),
            key: None,
        }),
        allocation_weight: Some(5),
        ..LinkRequest::default()
    };
    let put = |hub: &'static str, request: LinkRequest| {
        let world = &world;
        async move { world.service.put_link(&call(), &world.dps, &host(hub), &request).await }
    };
    let kept = put(FAR, masked(FAR, "registryReadWrite")).await.unwrap();
    assert!(kept.remote(&host(FAR)).unwrap().key.same_as(&key(9)));
    let kept = put(FAR, LinkRequest { allocation_weight: Some(7), ..LinkRequest::default() }).await;
    assert!(kept.unwrap().remote(&host(FAR)).unwrap().key.same_as(&key(9)));
    assert!(put(FAR, masked(FAR, "another")).await.is_err());
    assert!(put("new.example.com", masked("new.example.com", "p")).await.is_err());
    assert!(put(FAR, masked(FARTHER, "registryReadWrite")).await.is_err());
    assert!(put("nowhere.example.com", LinkRequest::default()).await.is_err());
    assert!(put("localhost", masked("localhost", "p")).await.is_err());
}

#[tokio::test]
async fn the_jobs_of_an_instance_that_is_deleted_are_finished() {
    let far: Arc<Far> = Arc::default();
    let line = Line::with(&far, 1, Fate::HeldAfter);
    let world = world(&line).await;
    begin(&world).await;
    line.waits.notified().await;
    world.service.delete_dps(&call(), &world.dps, &IfMatch::Absent).await.unwrap();
    line.gate.add_permits(1);
    while far.count() > 0 {
        tokio::task::yield_now().await;
    }
}

/// D-14: what an operator disables while the device moves is disabled where it comes to.
#[tokio::test]
async fn s_07_an_identity_that_is_disabled_while_its_device_moves_stays_disabled() {
    for (from, to) in [("hub1.localhost", FAR), (FAR, "hub1.localhost"), (FAR, FARTHER)] {
        for policy in [MIGRATE, RESET] {
            let far: Arc<Far> = Arc::default();
            let line = Line::new(&far);
            let world = world(&line).await;
            world.replace("dev", &with(going_to(from), policy)).await;
            assert_eq!(registered(&world).await, "assigned");
            world.replace("dev", &with(going_to(to), policy)).await;
            // The last call before it is concluded but that which looks back.
            let at = line.calls().len() + if to == "hub1.localhost" { 0 } else { 1 };
            line.fates.lock().unwrap().insert(at, Fate::HeldAfter);
            let operation = begin(&world).await;
            line.waits.notified().await;
            match from == FAR {
                true => far.disable(FAR, "dev", "lost"),
                false => {
                    let id = crate::world::device_id("dev");
                    let mut device = world.device("dev").await.unwrap().device.value;
                    device.status = hub::identity::DeviceStatus::Disabled;
                    let hub = host(from);
                    let row = world.store.device(&hub, &id).await.unwrap().unwrap();
                    let commit = store::Commit {
                        conditions: vec![store::Condition::Device {
                            hub: hub.clone(),
                            id,
                            at: Some(row.device.revision),
                        }],
                        writes: vec![store::Write::Device(hub, Box::new(device))],
                        ..store::Commit::default()
                    };
                    world.store.commit(commit).await.unwrap();
                }
            }
            line.gate.add_permits(1);
            assert_eq!(concluded(&world, &operation).await, "assigned", "{from} {to}");
            settled(&world).await;
            let is_disabled = match to == "hub1.localhost" {
                true => {
                    let view = world.device("dev").await.unwrap();
                    view.device.value.status == hub::identity::DeviceStatus::Disabled
                }
                false => far.found(to, "dev").unwrap().disabled.is_some(),
            };
            assert!(is_disabled, "{from} {to} {policy:?}: {:?}", line.calls());
        }
    }
}

/// What is taken back does not enable what the hub's operator has disabled meanwhile.
#[tokio::test]
async fn s_07_an_identity_that_is_disabled_while_it_is_put_back_stays_disabled() {
    for was_there in [true, false] {
        let far: Arc<Far> = Arc::default();
        if was_there {
            far.put(FAR, "dev", 50, &json!({}));
        }
        let line = Line::with(&far, 1, Fate::HeldAfter);
        let world = world(&line).await;
        let operation = begin(&world).await;
        line.waits.notified().await;
        far.disable(FAR, "dev", "lost");
        world.status("dev", 1, ProvisioningStatus::Disabled).await;
        line.gate.add_permits(1);
        settled(&world).await;
        assert_eq!(concluded(&world, &operation).await, "disabled");
        let now = far.found(FAR, "dev").unwrap();
        assert_eq!(now.disabled, disabled("lost"), "{was_there}: {:?}", line.calls());
        let (primary, secondary) = (key(50), key(50));
        assert_eq!(now.has(Credential::Sas(&primary, &secondary)), was_there);
    }
}

/// The flags of an identity that was there are put back as well, though its credential is the same.
#[tokio::test]
async fn an_edge_flag_that_was_written_is_put_back() {
    let far: Arc<Far> = Arc::default();
    let line = Line::new(&far);
    let world = world(&line).await;
    assert_eq!(registered(&world).await, "assigned");
    let mut edge = going_to(FAR);
    edge["capabilities"] = json!({"iotEdge": true});
    world.replace("dev", &edge).await;
    line.fates.lock().unwrap().insert(line.calls().len() + 1, Fate::HeldAfter);
    begin(&world).await;
    line.waits.notified().await;
    assert!(far.found(FAR, "dev").unwrap().iot_edge);
    edge["provisioningStatus"] = "disabled".into();
    world.replace("dev", &edge).await;
    line.gate.add_permits(1);
    settled(&world).await;
    assert!(!far.found(FAR, "dev").unwrap().iot_edge, "{:?}", line.calls());
}

/// An order is kept until the device was assigned by it.
#[tokio::test]
async fn r_25_an_order_is_kept_while_a_hub_elsewhere_is_written_to() {
    for policy in [MIGRATE, NEVER] {
        let far: Arc<Far> = Arc::default();
        let world = world(&Line::new(&far)).await;
        world.replace("dev", &with(going_to(FAR), policy)).await;
        assert_eq!(registered(&world).await, "assigned");
        {
            let mut identities = far.identities.lock().unwrap();
            let there = identities.get_mut(&(FAR.to_owned(), "dev".to_owned())).unwrap();
            there.twin.tags = json!({"site": "b"}).as_object().unwrap().clone();
        }
        let said = Reprovision::Order(DeviceData::Reset);
        let dev = crate::world::id("dev");
        world.service.reprovision_registration(&call(), &world.dps, &dev, said).await.unwrap();
        assert_eq!(registered(&world).await, "assigned");
        assert_eq!(json!(far.found(FAR, "dev").unwrap().twin.tags), json!({"site": "a"}));
        assert_eq!(substatus(&world).await, Substatus::DeviceDataReset);
        assert_eq!(world.record("dev").await.unwrap().reprovision, None, "it is done");
    }
}

/// A hub that is gone for ever is no obstacle once it is unlinked.
#[tokio::test]
async fn what_can_not_be_cleared_is_forgotten_with_the_link() {
    let far: Arc<Far> = Arc::default();
    let line = Line::new(&far);
    let world = world(&line).await;
    assert_eq!(registered(&world).await, "assigned");
    world.replace("dev", &going_to(FARTHER)).await;
    let leaving = line.calls().len() + 5;
    line.fates.lock().unwrap().extend((leaving..leaving + 99).map(|at| (at, Fate::Miss(lost()))));
    assert_eq!(registered(&world).await, "assigned");
    world.service.sweep().await.unwrap();
    assert_eq!(world.service.jobs(&world.dps).await.unwrap().len(), 1);
    world.service.delete_link(&call(), &world.dps, &host(FAR), &IfMatch::Absent).await.unwrap();
    settled(&world).await;
    assert!(far.found(FAR, "dev").is_some(), "it stays as it was left");
}

/// A rule that is made while the far hub is written to takes the device back.
#[tokio::test]
async fn s_75_a_device_that_may_not_come_any_more_is_taken_back() {
    let far: Arc<Far> = Arc::default();
    let line = Line::with(&far, 1, Fate::HeldAfter);
    let world = world(&line).await;
    let from = "203.0.113.7".parse().unwrap();
    let request = RegistrationRequest {
        registration_id: crate::world::id("dev"),
        api_version: "2021-06-01".to_owned(),
        payload: None,
        csr: None,
        from: Some(from),
    };
    let there = Call { from: Some(from), ..call() };
    let evidence = world.token("dev", &key(1));
    world.service.register(&there, &world.dps, &request, &evidence).await.unwrap();
    line.waits.notified().await;
    let network = crate::network::reject("203.0.113.0/24", Target::DeviceApi);
    let request = DpsRequest { network, ..DpsRequest::default() };
    world.service.put_dps(&call(), &world.dps, request).await.unwrap();
    line.gate.add_permits(1);
    settled(&world).await;
    assert_eq!(far.count(), 0, "{:?}", line.calls());
    assert_ne!(status(&world).await, RegistrationStatus::Assigned);
}

/// What was written elsewhere is taken back, however many others are refused meanwhile.
#[tokio::test]
async fn s_35_a_storm_does_not_keep_what_was_written_elsewhere() {
    let far: Arc<Far> = Arc::default();
    let line = Line::with(&far, 1, Fate::HeldAfter);
    let world = world(&line).await;
    let operation = begin(&world).await;
    line.waits.notified().await;
    let mut disabled = keyed(2);
    disabled["provisioningStatus"] = "disabled".into();
    world.put_group("storm", &disabled).await;
    for number in 0..crate::records::REFUSALS_AT_ONCE {
        let name = format!("storm-{number}");
        let evidence = world.token(&name, &key(2).derive(&name));
        assert!(world.register(&name, &evidence).await.unwrap().is_refused);
    }
    world.status("dev", 1, ProvisioningStatus::Disabled).await;
    let before = line.calls().len();
    line.gate.add_permits(1);
    settled(&world).await;
    assert_eq!(far.count(), 0, "{:?}", line.calls());
    assert_eq!(concluded(&world, &operation).await, "disabled");
    assert!(line.calls().len() < before + 8, "and at once: {:?}", line.calls());
}
