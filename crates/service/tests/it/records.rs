//! What becomes of records (D-10 to D-16, R-01 to R-16, S-20 to S-35).

use model::IfMatch;
use provisioning::enrollment::ProvisioningStatus::{Disabled, Enabled};
use provisioning::registration::RegistrationStatus;
use provisioning::view::Evidence;
use serde_json::json;
use service::{PollError, Polled};

use crate::world::{World, call, group_id, id, key, keyed};

#[tokio::test]
async fn r_01_r_02_a_record_is_made_with_hub_and_device() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    let evidence = w.token("dev", &key(1));
    assert_eq!(w.outcome("dev", &evidence).await, "assigned");
    let record = w.record("dev").await.unwrap();
    assert_eq!(record.assignment.unwrap().device_id.as_str(), "dev");
    assert!(w.device("dev").await.is_some());
}

#[tokio::test]
async fn s_72_enrolling_creates_nothing_in_the_hub() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    assert!(w.device("dev").await.is_none());
    assert!(w.record("dev").await.is_none());
}

#[tokio::test]
async fn s_33_the_initial_twin_is_on_the_hub() {
    let w = World::new().await;
    let mut json = keyed(1);
    json["initialTwin"] = json!({"tags": {"site": "a"}, "properties": {"desired": {"rate": 5}}});
    w.put("dev", &json).await;
    w.outcome("dev", &w.token("dev", &key(1))).await;
    let twin = w.device("dev").await.unwrap().twin.value;
    assert_eq!(twin.tags["site"], "a");
    assert_eq!(twin.for_device()["desired"]["rate"], 5);
}

#[tokio::test]
async fn m_11_r_05_a_stranger_leaves_no_record() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    assert_eq!(w.outcome("dev", &w.token("dev", &key(9))).await, "401");
    assert!(w.record("dev").await.is_none());
}

#[tokio::test]
async fn d_10_s_29_a_refusal_keeps_owner_hub_and_device_for_the_operator() {
    let w = World::new().await;
    w.put_group("g", &keyed(2)).await;
    let evidence = w.token("dev", &key(2).derive("dev"));
    assert_eq!(w.outcome("dev", &evidence).await, "assigned");
    let before = w.record("dev").await.unwrap();
    let mut block = keyed(7);
    block["provisioningStatus"] = "disabled".into();
    w.put("dev", &block).await;
    assert_eq!(w.outcome("dev", &evidence).await, "disabled");
    let after = w.record("dev").await.unwrap();
    assert_eq!(after.status, RegistrationStatus::Disabled);
    assert_eq!(after.owner, before.owner);
    assert_eq!(after.assignment, before.assignment);
    assert_ne!(after.etag, before.etag);
    assert_eq!(after.created, before.created);
}

#[tokio::test]
async fn s_01_m_28_a_disable_leaves_the_hub_identity_as_it_is() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    let evidence = w.token("dev", &key(1));
    w.outcome("dev", &evidence).await;
    let before = serde_json::to_string(&w.device("dev").await.unwrap().device.value).unwrap();
    w.status("dev", 1, Disabled).await;
    assert_eq!(w.outcome("dev", &evidence).await, "disabled");
    let after = serde_json::to_string(&w.device("dev").await.unwrap().device.value).unwrap();
    assert_eq!(before, after);
    w.delete("dev").await;
    let after = serde_json::to_string(&w.device("dev").await.unwrap().device.value).unwrap();
    assert_eq!(before, after);
}

#[tokio::test]
async fn s_37_s_03_disable_and_enable_several_times() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    let evidence = w.token("dev", &key(1));
    for _ in 0..3 {
        assert_eq!(w.outcome("dev", &evidence).await, "assigned");
        w.status("dev", 1, Disabled).await;
        assert_eq!(w.outcome("dev", &evidence).await, "disabled");
        w.status("dev", 1, Enabled).await;
    }
    assert_eq!(w.outcome("dev", &evidence).await, "assigned");
}

#[tokio::test]
async fn d_13_a_poll_after_a_disable_never_says_assigned() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    let evidence = w.token("dev", &key(1));
    let accepted = w.register("dev", &evidence).await.unwrap();
    w.status("dev", 1, Disabled).await;
    let polled = w.poll("dev", &accepted.operation_id, &evidence).await.unwrap();
    assert!(matches!(polled, Polled::Disabled(_)));
    w.delete("dev").await;
    let polled = w.poll("dev", &accepted.operation_id, &evidence).await;
    assert!(matches!(polled, Err(PollError::Stranger(_))), "{polled:?}");
}

#[tokio::test]
async fn d_03_of_what_has_no_record_strangers_are_told_nothing() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    let looked_up = async |evidence| w.service.current(&w.dps, &id("dev"), evidence).await;
    let (own, other) = (w.token("dev", &key(1)), w.token("dev", &key(9)));
    let told = looked_up(&own).await;
    assert!(matches!(told, Err(PollError::UnknownRegistration)), "{told:?}");
    let told = w.poll("dev", "5.0.0", &own).await;
    assert!(matches!(told, Err(PollError::UnknownOperation)), "{told:?}");
    for stranger in [&other, &Evidence::None] {
        let told = looked_up(stranger).await;
        assert!(matches!(told, Err(PollError::Stranger(_))), "{told:?}");
        let told = w.poll("dev", "5.0.0", stranger).await;
        assert!(matches!(told, Err(PollError::Stranger(_))), "{told:?}");
    }
}

#[tokio::test]
async fn an_unknown_operation_is_not_found_and_an_earlier_one_is() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    let evidence = w.token("dev", &key(1));
    let first = w.register("dev", &evidence).await.unwrap();
    let second = w.register("dev", &evidence).await.unwrap();
    assert_ne!(first.operation_id, second.operation_id);
    for operation in [&first, &second] {
        assert!(w.poll("dev", &operation.operation_id, &evidence).await.is_ok());
    }
    let unknown = w.poll("dev", "5.0.0", &evidence).await;
    assert!(matches!(unknown, Err(PollError::UnknownOperation)));
}

#[tokio::test]
async fn d_12_an_individuals_record_goes_with_it_and_a_groups_stay() {
    let w = World::new().await;
    w.put("own", &keyed(1)).await;
    w.put_group("g", &keyed(2)).await;
    w.outcome("own", &w.token("own", &key(1))).await;
    w.outcome("member", &w.token("member", &key(2).derive("member"))).await;
    w.delete("own").await;
    assert!(w.record("own").await.is_none());
    w.delete_group("g").await;
    assert!(w.record("member").await.is_some());
    let page = w.records_of(&group_id("g"), None, 10).await;
    assert_eq!(page.rows.len(), 1);
}

#[tokio::test]
async fn deleting_a_blocking_entry_keeps_the_record_that_the_group_owns() {
    let w = World::new().await;
    w.put_group("g", &keyed(2)).await;
    let evidence = w.token("dev", &key(2).derive("dev"));
    w.outcome("dev", &evidence).await;
    let mut block = keyed(7);
    block["provisioningStatus"] = "disabled".into();
    w.put("dev", &block).await;
    assert_eq!(w.outcome("dev", &evidence).await, "disabled");
    w.delete("dev").await;
    assert!(w.record("dev").await.is_some());
    assert_eq!(w.outcome("dev", &evidence).await, "assigned");
}

#[tokio::test]
async fn s_c4_quota_and_orphans() {
    let w = World::new().await;
    w.set_quota(3).await;
    w.put_group("g1", &keyed(2)).await;
    w.put_group("g2", &keyed(3)).await;
    for name in ["a", "b", "c"] {
        assert_eq!(w.outcome(name, &w.token(name, &key(2).derive(name))).await, "assigned");
    }
    w.delete_group("g1").await;
    let evidence = w.token("d", &key(3).derive("d"));
    assert_eq!(w.outcome("d", &evidence).await, "403");
    assert!(w.record("d").await.is_none());
    let absent = IfMatch::Absent;
    w.service.delete_registration(&call(), &w.dps, &id("a"), &absent).await.unwrap();
    assert_eq!(w.outcome("d", &evidence).await, "assigned");
}

#[tokio::test]
async fn d_11_never_assigned_refused_records_do_not_count() {
    let w = World::new().await;
    w.set_quota(1).await;
    let mut disabled = keyed(2);
    disabled["provisioningStatus"] = "disabled".into();
    w.put_group("off", &disabled).await;
    w.put_group("on", &keyed(3)).await;
    for name in ["a", "b", "c"] {
        assert_eq!(w.outcome(name, &w.token(name, &key(2).derive(name))).await, "disabled");
        assert_eq!(w.record(name).await.unwrap().status, RegistrationStatus::Disabled);
    }
    assert_eq!(w.outcome("d", &w.token("d", &key(3).derive("d"))).await, "assigned");
}

#[tokio::test]
async fn s_c9_s_35_m_29_a_retry_storm_leaves_one_record() {
    let w = World::new().await;
    let mut disabled = keyed(2);
    disabled["provisioningStatus"] = "disabled".into();
    w.put_group("off", &disabled).await;
    let evidence = w.token("dev", &key(2).derive("dev"));
    for _ in 0..1000 {
        assert_eq!(w.outcome("dev", &evidence).await, "disabled");
    }
    let page = w.records_of(&group_id("off"), None, 10).await;
    assert_eq!(page.rows.len(), 1);
}

/// How many refusals are written down at once by default.
pub const REFUSALS_AT_ONCE: usize = 1_001;

#[tokio::test]
async fn s_35_refusals_beyond_a_rate_are_told_and_not_written() {
    let w = World::new().await;
    w.put_group("g", &keyed(2)).await;
    let evidence_of = |name: &str| w.token(name, &key(2).derive(name));
    let known = evidence_of("known");
    assert_eq!(w.outcome("known", &known).await, "assigned");
    let mut disabled = keyed(2);
    disabled["provisioningStatus"] = "disabled".into();
    w.put_group("g", &disabled).await;
    for number in 0..REFUSALS_AT_ONCE {
        let name = format!("dev-{number}");
        assert!(w.register(&name, &evidence_of(&name)).await.unwrap().is_refused);
    }
    let late = evidence_of("late");
    assert_eq!(w.outcome("late", &late).await, "disabled", "told by judging again");
    assert!(w.record("late").await.is_none());
    assert_eq!(w.outcome("known", &known).await, "disabled");
    let record = w.record("known").await.unwrap();
    assert_eq!(record.status, RegistrationStatus::Assigned, "as it was written last");
    w.clock.advance(60);
    assert_eq!(w.outcome("known", &known).await, "disabled");
    assert_eq!(w.record("known").await.unwrap().status, RegistrationStatus::Disabled);
}

#[tokio::test]
async fn m_27_s_35_what_was_not_written_outlives_no_enable_and_tells_no_stranger() {
    let w = World::new().await;
    let mut disabled = keyed(2);
    disabled["provisioningStatus"] = "disabled".into();
    w.put_group("g", &disabled).await;
    let evidence_of = |name: &str| w.token(name, &key(2).derive(name));
    for number in 0..REFUSALS_AT_ONCE {
        let name = format!("dev-{number}");
        w.register(&name, &evidence_of(&name)).await.unwrap();
    }
    let evidence = evidence_of("late");
    let refused = w.register("late", &evidence).await.unwrap();
    assert!(refused.is_refused);
    let stranger = w.token("late", &key(9).derive("late"));
    let polled = w.poll("late", &refused.operation_id, &stranger).await;
    assert!(matches!(polled, Err(PollError::Stranger(_))), "{polled:?}");
    w.put_group("g", &keyed(2)).await;
    let polled = w.poll("late", &refused.operation_id, &evidence).await;
    assert!(matches!(polled, Err(PollError::UnknownOperation)), "it registers again: {polled:?}");
    assert_eq!(w.outcome("late", &evidence).await, "assigned");
}

#[tokio::test]
async fn a_standing_refusal_is_not_written_again_and_again() {
    let w = World::new().await;
    let mut disabled = keyed(1);
    disabled["provisioningStatus"] = "disabled".into();
    w.put("dev", &disabled).await;
    let evidence = w.token("dev", &key(1));
    w.outcome("dev", &evidence).await;
    let first = w.record("dev").await.unwrap();
    w.outcome("dev", &evidence).await;
    assert_eq!(w.record("dev").await.unwrap().etag, first.etag);
    w.clock.advance(60);
    w.outcome("dev", &evidence).await;
    assert_ne!(w.record("dev").await.unwrap().etag, first.etag);
}

#[tokio::test]
async fn r_07_deleting_a_record_keeps_the_hub_identity() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    let evidence = w.token("dev", &key(1));
    w.outcome("dev", &evidence).await;
    let absent = IfMatch::Absent;
    w.service.delete_registration(&call(), &w.dps, &id("dev"), &absent).await.unwrap();
    assert!(w.record("dev").await.is_none());
    assert!(w.device("dev").await.is_some());
    assert_eq!(w.outcome("dev", &evidence).await, "assigned");
}

#[tokio::test]
async fn r_12_etag_and_times_change_with_each_registration() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    let evidence = w.token("dev", &key(1));
    w.outcome("dev", &evidence).await;
    let first = w.record("dev").await.unwrap();
    w.outcome("dev", &evidence).await;
    let second = w.record("dev").await.unwrap();
    assert_eq!(first.created, second.created);
    assert!(first.updated < second.updated);
    assert_ne!(first.etag, second.etag);
}

#[tokio::test]
async fn r_16_r_14_records_are_re_owned_by_the_entry_used_last() {
    let w = World::new().await;
    w.put_group("g", &keyed(2)).await;
    let as_member = w.token("dev", &key(2).derive("dev"));
    w.outcome("dev", &as_member).await;
    w.put("dev", &keyed(1)).await;
    assert_eq!(w.outcome("dev", &w.token("dev", &key(1))).await, "assigned");
    let page = w.records_of(&group_id("g"), None, 10).await;
    assert!(page.rows.is_empty());
}

#[tokio::test]
async fn d_15_explanations_are_kept_for_every_attempt() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    w.outcome("dev", &w.token("dev", &key(9))).await;
    let told = w.service.explain("dev").await.unwrap();
    assert_eq!(told.len(), 1);
    assert!(format!("{:?}", told[0].explanation.outcome).contains("Rejected"));
    w.outcome("dev", &w.token("dev", &key(1))).await;
    assert_eq!(w.service.explain("DEV").await.unwrap().len(), 2);
    assert!(w.service.explain("nobody").await.unwrap().is_empty());
}

#[tokio::test]
async fn l_08_without_a_hub_the_record_says_failed() {
    let w = World::new().await;
    let mut json = keyed(1);
    json["allocationPolicy"] = "static".into();
    w.put("dev", &json).await;
    assert_eq!(w.outcome("dev", &w.token("dev", &key(1))).await, "failed");
    let record = w.record("dev").await.unwrap();
    assert!(record.failure.unwrap().message.contains("names no hub"));
}
