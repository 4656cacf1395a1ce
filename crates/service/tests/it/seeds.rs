//! Rules of the seeds that need records, registry and device at once, told as small stories.

use model::IfMatch;
use provisioning::draft::DraftError;
use provisioning::registration::RegistrationStatus;
use serde_json::json;
use service::{ApiError, Polled};

use crate::world::{World, call, device_id, group, group_id, host, id, individual, key, keyed};

fn disabled(mut json: serde_json::Value) -> serde_json::Value {
    json["provisioningStatus"] = "disabled".into();
    json
}

fn tpm() -> serde_json::Value {
    json!({"attestation": {"type": "tpm", "tpm": {"endorsementKey": ENDORSEMENT_KEY}}})
}

/// That of Microsoft's samples and of the SDKs' own tests.
pub(crate) const ENDORSEMENT_KEY: &str = "\
    AToAAQALAAMAsgAgg3GXZ0SEs/gakMyNRqXXJP1S124GUgtk8qHaGzMUaaoABgCAAEMAEAgAAAAAAAEAxsj2gUScTk1U\
    juioeTlfGYZrrimExB+bScH75adUMRIi2UOMxG1kw4y+9RW/IVoMl4e620VxZad0ARX2gUqVjYO7KPVt3dyKhZS3dkcv\
    fBisBhP1XH9B33VqHG9SHnbnQXdBUaCgKAfxome8UmBKfe+naTsE5fkvjb/do3/dD6l4sGBwFCnKRdln4XpM03zLpoHF\
    ao8zOwt8l/uP3qUIxmCYv9A7m69Ms+5/pCkTu/rK4mRDsfhZ0QLfbzVI6zQFOKF/rwsfBtFeWlWtcuJMKlXdD8TXWElT\
    zgh7JS4qhFzreL0c1mI0GCj+Aws0usZh7dLIVPnlgZcBhgy1SSDQMQ==";

async fn refused_individual(w: &World, json: &serde_json::Value) -> ApiError {
    let draft = individual("dev", json);
    let put = w.service.put_individual(&call(), &w.dps, &draft, &IfMatch::Any).await;
    put.unwrap_err()
}

/// A symmetric group with one assigned member, `dev`.
async fn member() -> (World, provisioning::view::Evidence) {
    let w = World::new().await;
    w.put_group("g", &keyed(2)).await;
    let evidence = w.token("dev", &key(2).derive("dev"));
    assert_eq!(w.outcome("dev", &evidence).await, "assigned");
    (w, evidence)
}

#[tokio::test]
async fn s_17_a_whole_group_goes_step_by_step() {
    let w = World::new().await;
    w.put_group("g", &keyed(2)).await;
    for name in ["a", "b", "c"] {
        w.outcome(name, &w.token(name, &key(2).derive(name))).await;
    }
    w.put_group("g", &disabled(keyed(2))).await;
    let g = group_id("g");
    let first = w.records_of(&g, None, 2).await;
    let after = first.next.clone();
    let rest = w.records_of(&g, after.as_deref(), 2).await;
    assert_eq!((first.rows.len(), rest.rows.len(), rest.next), (2, 1, None));
    for row in first.rows.iter().chain(&rest.rows) {
        let place = row.value.assignment.clone().unwrap();
        w.service
            .delete_device(&call(), &place.hub, &place.device_id, &IfMatch::Any)
            .await
            .unwrap();
        let record = row.value.registration_id.clone();
        w.service.delete_registration(&call(), &w.dps, &record, &IfMatch::Absent).await.unwrap();
    }
    w.delete_group("g").await;
    for name in ["a", "b", "c"] {
        assert!(w.record(name).await.is_none());
        assert!(w.device(name).await.is_none());
        assert_eq!(w.outcome(name, &w.token(name, &key(2).derive(name))).await, "401");
    }
}

#[tokio::test]
async fn s_20_s_89_records_outlive_their_group() {
    let (w, _) = member().await;
    w.delete_group("g").await;
    assert!(w.record("dev").await.is_some());
}

#[tokio::test]
async fn s_21_s_90_orphans_count_toward_the_quota() {
    let (w, _) = member().await;
    w.set_quota(1).await;
    w.delete_group("g").await;
    w.put_group("h", &keyed(3)).await;
    let evidence = w.token("new", &key(3).derive("new"));
    assert_eq!(w.outcome("new", &evidence).await, "403");
}

#[tokio::test]
async fn s_22_s_91_records_are_counted_not_enrollments() {
    let w = World::new().await;
    w.set_quota(2).await;
    for name in ["a", "b", "c"] {
        w.put(name, &keyed(1)).await;
    }
    assert_eq!(w.outcome("a", &w.token("a", &key(1))).await, "assigned");
    assert_eq!(w.outcome("b", &w.token("b", &key(1))).await, "assigned");
    assert_eq!(w.outcome("c", &w.token("c", &key(1))).await, "403");
}

#[tokio::test]
async fn s_23_records_are_deleted_one_by_one_and_a_stale_etag_is_refused() {
    let (w, evidence) = member().await;
    let stale = IfMatch::Etag(w.record("dev").await.unwrap().etag);
    w.outcome("dev", &evidence).await;
    let delete = |if_match: IfMatch| {
        let (service, dps) = (w.service.clone(), w.dps.clone());
        async move { service.delete_registration(&call(), &dps, &id("dev"), &if_match).await }
    };
    assert!(matches!(delete(stale).await, Err(ApiError::PreconditionFailed)));
    let fresh = IfMatch::Etag(w.record("dev").await.unwrap().etag);
    assert!(delete(fresh).await.is_ok());
    assert!(matches!(delete(IfMatch::Absent).await, Err(ApiError::NotFound)));
}

#[tokio::test]
async fn s_31_every_path_out_that_needs_no_tpm() {
    // An individual, a whole group, one device of a group; each by a key here, by a certificate in
    // `provisioning`'s table.
    let w = World::new().await;
    w.put("single", &keyed(1)).await;
    w.put_group("g", &keyed(2)).await;
    let single = w.token("single", &key(1));
    let a = w.token("a", &key(2).derive("a"));
    let b = w.token("b", &key(2).derive("b"));
    w.replace("single", &disabled(keyed(1))).await;
    assert_eq!(w.outcome("single", &single).await, "disabled");
    w.put("a", &disabled(keyed(9))).await;
    assert_eq!(w.outcome("a", &a).await, "disabled");
    assert_eq!(w.outcome("b", &b).await, "assigned");
    w.put_group("g", &disabled(keyed(2))).await;
    assert_eq!(w.outcome("b", &b).await, "disabled");
}

#[tokio::test]
async fn s_34_a_disenrolled_device_keeps_its_hub_until_the_hub_step() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    let evidence = w.token("dev", &key(1));
    w.outcome("dev", &evidence).await;
    w.delete("dev").await;
    assert_eq!(w.outcome("dev", &evidence).await, "401");
    assert!(w.device("dev").await.is_some());
}

#[tokio::test]
async fn s_36_s_81_s_99_individuals_attest_by_certificate_key_or_tpm() {
    let w = World::new().await;
    w.put("keyed", &keyed(1)).await;
    w.put("tpm", &tpm()).await;
    for name in ["keyed", "tpm"] {
        assert!(w.service.individual(&w.dps, &id(name)).await.is_ok());
    }
}

#[tokio::test]
async fn s_39_s_107_a_removed_entry_is_gone_from_every_page() {
    let w = World::new().await;
    for name in ["a", "b", "c", "d"] {
        w.put(name, &keyed(1)).await;
    }
    let first = w.entries(None, 2).await;
    let after = first.next.unwrap();
    w.delete("b").await;
    w.delete("c").await;
    let rest = w.entries(Some(&after), 10).await;
    let names: Vec<_> = rest.rows.iter().map(|row| row.value.registration_id.to_string()).collect();
    assert_eq!(names, ["d"]);
    assert_eq!(w.outcome("b", &w.token("b", &key(1))).await, "401");
}

#[tokio::test]
async fn s_41_s_27_a_changed_group_serves_later_registrations_only() {
    let w = World::new().await;
    let on = |hub: &str| {
        let mut json = keyed(2);
        json["allocationPolicy"] = "static".into();
        json["iotHubs"] = json!([hub]);
        json["initialTwin"] = json!({"tags": {"hub": hub}, "properties": {"desired": {}}});
        json
    };
    w.put_group("g", &on("hub1.localhost")).await;
    w.outcome("early", &w.token("early", &key(2).derive("early"))).await;
    w.put_group("g", &on("hub2.localhost")).await;
    w.outcome("late", &w.token("late", &key(2).derive("late"))).await;
    let place = |name: &str| {
        let name = name.to_owned();
        let w = &w;
        async move { w.record(&name).await.unwrap().assignment.unwrap().hub }
    };
    assert_eq!(place("early").await, host("hub1.localhost"));
    assert_eq!(place("late").await, host("hub2.localhost"));
    assert_eq!(w.device("early").await.unwrap().twin.value.tags["hub"], "hub1.localhost");
}

#[tokio::test]
async fn s_50_the_id_to_block_is_the_device_id_of_the_record() {
    let (w, evidence) = member().await;
    let record = w.record("dev").await.unwrap();
    let shown = record.assignment.unwrap().device_id;
    assert_eq!(shown.as_str(), record.registration_id.as_str());
    w.put(shown.as_str(), &disabled(keyed(9))).await;
    assert_eq!(w.outcome("dev", &evidence).await, "disabled");
}

#[tokio::test]
async fn s_51_s_53_disabling_ahead_of_first_contact_works() {
    let w = World::new().await;
    w.put_group("g", &keyed(2)).await;
    w.put("dev", &disabled(keyed(9))).await;
    let evidence = w.token("dev", &key(2).derive("dev"));
    assert_eq!(w.outcome("dev", &evidence).await, "disabled");
    assert!(w.device("dev").await.is_none());
}

#[tokio::test]
async fn s_60_the_groups_list_shows_each_devices_hub() {
    let w = World::new().await;
    w.put_group("g", &keyed(2)).await;
    for number in 0..20 {
        let name = format!("d{number}");
        w.outcome(&name, &w.token(&name, &key(2).derive(&name))).await;
    }
    let page = w.records_of(&group_id("g"), None, 100).await;
    for row in &page.rows {
        let place = row.value.assignment.clone().unwrap();
        assert!(w.service.device(&place.hub, &place.device_id).await.is_ok());
    }
    let hubs: std::collections::BTreeSet<_> =
        page.rows.iter().map(|row| row.value.assignment.clone().unwrap().hub).collect();
    assert_eq!(hubs.len(), 2);
}

#[tokio::test]
async fn s_63_s_70_a_refused_device_is_told_neither_hub_nor_device_id() {
    let (w, evidence) = member().await;
    w.put("dev", &disabled(keyed(9))).await;
    let accepted = w.register("dev", &evidence).await.unwrap();
    let polled = w.poll("dev", &accepted.operation_id, &evidence).await.unwrap();
    let (Polled::Record(record) | Polled::Disabled(record)) = polled;
    let shown = dialect::rest::device::Shown::AsStored;
    let answer = dialect::rest::device::polled(&record, &accepted.operation_id, &id("dev"), shown);
    assert_eq!(answer.status, 200);
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["status"], "disabled");
    assert_eq!(body["registrationState"]["status"], "disabled");
    assert!(body["registrationState"].get("assignedHub").is_none());
    assert!(body["registrationState"].get("deviceId").is_none());
}

#[tokio::test]
async fn s_68_s_59_without_the_entry_the_device_is_the_groups_once_more() {
    let (w, evidence) = member().await;
    w.put("dev", &disabled(keyed(9))).await;
    assert_eq!(w.outcome("dev", &evidence).await, "disabled");
    w.delete("dev").await;
    assert_eq!(w.outcome("dev", &evidence).await, "assigned");
    let page = w.records_of(&group_id("g"), None, 10).await;
    assert_eq!(page.rows[0].value.status, RegistrationStatus::Assigned);
}

#[tokio::test]
async fn s_76_s_80_v_07_a_tpm_is_no_attestation_for_a_group() {
    let w = World::new().await;
    let draft = group("g", &tpm());
    let put = w.service.put_group(&call(), &w.dps, &draft, &IfMatch::Absent).await;
    assert!(matches!(put, Err(ApiError::Draft(DraftError::TpmGroup))), "{put:?}");
}

#[tokio::test]
async fn s_82_an_individual_serves_one_device() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    assert_eq!(w.outcome("dev", &w.token("dev", &key(1))).await, "assigned");
    assert_eq!(w.outcome("other", &w.token("other", &key(1))).await, "401");
}

#[tokio::test]
async fn s_86_everything_but_the_mechanism_can_be_edited() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    let mut json = keyed(1);
    json["deviceId"] = "named".into();
    json["capabilities"] = json!({"iotEdge": true});
    json["allocationPolicy"] = "static".into();
    json["iotHubs"] = json!(["hub2.localhost"]);
    json["reprovisionPolicy"] = json!({"updateHubAssignment": false, "migrateDeviceData": false});
    json["initialTwin"] = json!({"tags": {"a": 1}, "properties": {"desired": {"b": 2}}});
    w.replace("dev", &json).await;
    w.outcome("dev", &w.token("dev", &key(1))).await;
    let hub = host("hub2.localhost");
    let device = w.service.device(&hub, &device_id("named")).await.unwrap();
    assert!(device.device.value.iot_edge);
}

#[tokio::test]
async fn s_87_v_28_the_mechanism_stays_and_credentials_can_be_replaced() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    assert!(matches!(refused_individual(&w, &tpm()).await, ApiError::Draft(_)));
    w.replace("dev", &keyed(5)).await;
    assert_eq!(w.outcome("dev", &w.token("dev", &key(1))).await, "401");
    assert_eq!(w.outcome("dev", &w.token("dev", &key(5))).await, "assigned");
}

#[tokio::test]
async fn s_96_an_entry_may_name_its_hub_in_the_old_way() {
    let w = World::new().await;
    let mut json = keyed(1);
    json["iotHubHostName"] = "hub2.localhost".into();
    w.put("dev", &json).await;
    w.outcome("dev", &w.token("dev", &key(1))).await;
    assert!(w.service.device(&host("hub2.localhost"), &device_id("dev")).await.is_ok());
}
