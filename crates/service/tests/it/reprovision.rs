//! A device registers again: where it goes, what it finds there, what it is told.

use std::sync::Arc;

use attestation::x509::Certificate;
use hub::identity::{Authentication, Thumbprint};
use model::IfMatch;
use provisioning::registration::Substatus;
use provisioning::reprovision::DeviceData;
use provisioning::view::{Evidence, RegistrationRequest};
use serde_json::{Value, json};
use service::{ApiError, Extent, Polled, Reprovision, Search};
use store::memory::Memory;

use crate::world::{World, call, device_id, group_id, host, id, key, keyed, self_signed};

/// The version of the SDKs of Python and Node.
const OLD: &str = "2019-03-31";
/// The version of the C SDK.
const NEW: &str = "2021-06-01";

fn on_hub(hub: &str, policy: Value) -> Value {
    let mut json = keyed(1);
    json["allocationPolicy"] = "static".into();
    json["iotHubs"] = json!([hub]);
    json["reprovisionPolicy"] = policy;
    json["initialTwin"] = json!({"tags": {"site": "a"}, "properties": {"desired": {"rate": 1}}});
    json
}

fn migrate() -> Value {
    json!({"updateHubAssignment": true, "migrateDeviceData": true})
}

/// Registers with an api-version, and gives the substatus that the device is told.
async fn told(w: &World, name: &str, version: &str, evidence: &Evidence) -> Substatus {
    let request = RegistrationRequest {
        registration_id: id(name),
        api_version: version.to_owned(),
        payload: None,
        csr: None,
        from: None,
    };
    let accepted = w.service.register(&call(), &w.dps, &request, evidence).await.unwrap();
    match w.poll(name, &accepted.operation_id, evidence).await.unwrap() {
        Polled::Record(record) => record.substatus.unwrap(),
        Polled::Disabled(_) => panic!("disabled"),
    }
}

#[tokio::test]
async fn r_24_a_device_that_stays_is_told_so_from_2019_04_15_on() {
    let w = World::new().await;
    w.put("dev", &on_hub("hub1.localhost", migrate())).await;
    let evidence = w.token("dev", &key(1));
    assert_eq!(told(&w, "dev", NEW, &evidence).await, Substatus::InitialAssignment);
    for (version, substatus) in [
        ("2018-04-01", Substatus::InitialAssignment),
        (OLD, Substatus::InitialAssignment),
        ("2019-04-15", Substatus::ReprovisionedToInitialAssignment),
        (NEW, Substatus::ReprovisionedToInitialAssignment),
    ] {
        assert_eq!(told(&w, "dev", version, &evidence).await, substatus, "{version}");
        assert_eq!(w.record("dev").await.unwrap().substatus, Some(substatus), "{version}");
    }
}

/// The identity is what counts, not the record: iotedge configures itself anew by it.
#[tokio::test]
async fn r_24_s_08_an_identity_that_was_made_anew_is_an_initial_assignment() {
    let w = World::new().await;
    w.put("dev", &on_hub("hub1.localhost", migrate())).await;
    let evidence = w.token("dev", &key(1));
    told(&w, "dev", NEW, &evidence).await;
    let hub = host("hub1.localhost");
    w.service.delete_device(&call(), &hub, &device_id("dev"), &IfMatch::Any).await.unwrap();
    assert_eq!(told(&w, "dev", NEW, &evidence).await, Substatus::InitialAssignment);
    // The record goes, the identity stays.
    let absent = IfMatch::Absent;
    w.service.delete_registration(&call(), &w.dps, &id("dev"), &absent).await.unwrap();
    let back = told(&w, "dev", NEW, &evidence).await;
    assert_eq!(back, Substatus::ReprovisionedToInitialAssignment);
    let explained = w.record("dev").await.unwrap().explanation;
    assert!(format!("{:?}", explained.outcome).contains("ReprovisionedToInitialAssignment"));
}

#[tokio::test]
async fn r_26_the_old_identity_goes_only_when_the_hub_changes() {
    let w = World::new().await;
    let reset = json!({"updateHubAssignment": true, "migrateDeviceData": false});
    for (name, policy) in [("migrated", migrate()), ("reset", reset)] {
        w.put(name, &on_hub("hub1.localhost", policy.clone())).await;
        let evidence = w.token(name, &key(1));
        told(&w, name, NEW, &evidence).await;
        let before = w.device(name).await.unwrap().device.value.generation_id;
        told(&w, name, NEW, &evidence).await;
        assert_eq!(w.device(name).await.unwrap().device.value.generation_id, before, "{name}");
        w.replace(name, &on_hub("hub2.localhost", policy)).await;
        told(&w, name, NEW, &evidence).await;
        let (hub1, hub2) = (host("hub1.localhost"), host("hub2.localhost"));
        assert!(w.service.device(&hub1, &device_id(name)).await.is_err(), "{name}");
        assert!(w.service.device(&hub2, &device_id(name)).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn r_27_a_changed_entry_moves_nobody_until_the_next_call() {
    let w = World::new().await;
    w.put("dev", &on_hub("hub1.localhost", migrate())).await;
    let evidence = w.token("dev", &key(1));
    told(&w, "dev", NEW, &evidence).await;
    let before = (w.record("dev").await.unwrap().etag, w.device("dev").await.unwrap().device);
    let mut changed = on_hub("hub2.localhost", migrate());
    changed["initialTwin"]["tags"]["site"] = "b".into();
    w.replace("dev", &changed).await;
    assert_eq!(w.record("dev").await.unwrap().etag, before.0);
    let after = w.device("dev").await.unwrap();
    assert_eq!(after.device.revision, before.1.revision);
    assert_eq!(after.twin.value.tags["site"], "a");
    assert_eq!(told(&w, "dev", NEW, &evidence).await, Substatus::DeviceDataMigrated);
}

fn certificates(primary: &str, secondary: &str) -> Value {
    json!({"attestation": {"type": "x509", "x509": {"clientCertificates": {
        "primary": {"certificate": primary}, "secondary": {"certificate": secondary}}}}})
}

fn shown(pem: &str) -> Evidence {
    Evidence::X509(vec![Certificate::from_upload(pem.as_bytes()).unwrap()])
}

#[tokio::test]
async fn r_13_r_28_a_rolled_certificate_keeps_the_record_and_reaches_the_hub() {
    let w = World::new().await;
    let (first, second) = (self_signed("dev"), self_signed("dev"));
    w.put("dev", &certificates(&first, &second)).await;
    told(&w, "dev", NEW, &shown(&first)).await;
    let (record, before) = (w.record("dev").await.unwrap(), w.device("dev").await.unwrap());
    told(&w, "dev", NEW, &shown(&second)).await;
    let (rolled, after) = (w.record("dev").await.unwrap(), w.device("dev").await.unwrap());
    assert_eq!((rolled.created, rolled.assignment), (record.created, record.assignment));
    let thumbprint = |pem: &str| {
        let certificate = Certificate::from_upload(pem.as_bytes()).unwrap();
        Some(Thumbprint::Sha256(certificate.thumbprint()))
    };
    for (view, pem) in [(&before, &first), (&after, &second)] {
        let Authentication::SelfSigned { primary, secondary } = &view.device.value.authentication
        else {
            panic!("not a certificate");
        };
        assert_eq!((*primary, *secondary), (thumbprint(pem), thumbprint(pem)));
    }
    assert_eq!(after.device.value.generation_id, before.device.value.generation_id);
    assert_eq!(after.twin.value, before.twin.value);
}

#[tokio::test]
async fn r_28_rolled_keys_of_a_group_reach_the_hub_when_the_device_registers() {
    let w = World::new().await;
    w.put_group("g", &keyed(1)).await;
    told(&w, "dev", NEW, &w.token("dev", &key(1).derive("dev"))).await;
    w.put_group("g", &keyed(2)).await;
    let is_key = async |seed: u8| match w.device("dev").await.unwrap().device.value.authentication {
        Authentication::Sas { primary, .. } => primary.same_as(&key(seed).derive("dev")),
        _ => false,
    };
    assert!(is_key(1).await);
    told(&w, "dev", NEW, &w.token("dev", &key(2).derive("dev"))).await;
    assert!(is_key(2).await);
    assert_eq!(w.records_of(&group_id("g"), None, 10).await.rows.len(), 1);
}

/// A member of a group that never moves its devices, on hub1; the group says hub2 by now.
async fn member() -> (World, Evidence) {
    let w = World::new().await;
    let never = json!({"updateHubAssignment": false, "migrateDeviceData": false});
    w.put_group("g", &on_hub("hub1.localhost", never.clone())).await;
    let evidence = w.token("dev", &key(1).derive("dev"));
    told(&w, "dev", NEW, &evidence).await;
    w.put_group("g", &on_hub("hub2.localhost", never)).await;
    let report = json!({"battery": 7}).as_object().unwrap().clone();
    w.service.report(&host("hub1.localhost"), &device_id("dev"), &report).await.unwrap();
    (w, evidence)
}

async fn hub_of(w: &World) -> String {
    w.record("dev").await.unwrap().assignment.unwrap().hub.to_string()
}

#[tokio::test]
async fn an_order_to_a_device_moves_it_once_with_its_twin() {
    let (w, evidence) = member().await;
    let (dev, said) = (id("dev"), Reprovision::Order(DeviceData::Migrate));
    let first = w.service.reprovision_registration(&call(), &w.dps, &dev, said).await.unwrap();
    let again = w.service.reprovision_registration(&call(), &w.dps, &dev, said).await.unwrap();
    assert_eq!((&again.etag, again.reprovision), (&first.etag, first.reprovision));
    let record = w.record("dev").await.unwrap();
    assert!(w.service.order_of(&w.dps, &record).await.unwrap().is_some());
    assert_eq!(hub_of(&w).await, "hub1.localhost");
    assert_eq!(told(&w, "dev", NEW, &evidence).await, Substatus::DeviceDataMigrated);
    assert_eq!(hub_of(&w).await, "hub2.localhost");
    assert_eq!(w.device("dev").await.unwrap().twin.value.reported.values["battery"], 7);
    let record = w.record("dev").await.unwrap();
    assert!(record.reprovision.is_none());
    assert!(w.service.order_of(&w.dps, &record).await.unwrap().is_none());
    let stays = told(&w, "dev", NEW, &evidence).await;
    assert_eq!(stays, Substatus::ReprovisionedToInitialAssignment);
}

#[tokio::test]
async fn an_order_to_a_group_resets_each_of_its_devices_once() {
    let (w, evidence) = member().await;
    let (g, said) = (group_id("g"), Reprovision::Order(DeviceData::Reset));
    let first = w.service.reprovision_group(&call(), &w.dps, &g, said).await.unwrap();
    let again = w.service.reprovision_group(&call(), &w.dps, &g, said).await.unwrap();
    assert_eq!(first.stamp, again.stamp);
    // The entry may be edited meanwhile, and its devices come when they like.
    let never = json!({"updateHubAssignment": false, "migrateDeviceData": false});
    w.put_group("g", &on_hub("hub1.localhost", never)).await;
    let told_in_list = async || {
        let search = Search { after: None, extent: Extent::Rows(9), ids: None };
        let found = w.service.search_registrations(&w.dps, &g, &search, |_, order| Some(order));
        found.await.unwrap().rows
    };
    assert_eq!(told_in_list().await, [first.reprovision]);
    assert_eq!(told(&w, "dev", NEW, &evidence).await, Substatus::DeviceDataReset);
    assert_eq!(told_in_list().await, [None]);
    let twin = w.device("dev").await.unwrap().twin.value;
    assert!(twin.reported.values.is_empty());
    // Once each: neither the one that followed nor the one that came later is reset again.
    let later = w.token("later", &key(1).derive("later"));
    told(&w, "later", NEW, &later).await;
    for (name, evidence) in [("dev", &evidence), ("later", &later)] {
        let stays = told(&w, name, NEW, evidence).await;
        assert_eq!(stays, Substatus::ReprovisionedToInitialAssignment, "{name}");
    }
}

#[tokio::test]
async fn an_order_waits_for_a_device_that_is_refused_and_can_be_taken_back() {
    let (w, evidence) = member().await;
    let (dev, g) = (id("dev"), group_id("g"));
    let order = Reprovision::Order(DeviceData::Migrate);
    for said in [order, Reprovision::Withdraw, Reprovision::Withdraw, order] {
        w.service.reprovision_registration(&call(), &w.dps, &dev, said).await.unwrap();
        w.service.reprovision_group(&call(), &w.dps, &g, said).await.unwrap();
        if said == Reprovision::Withdraw {
            let stays = told(&w, "dev", NEW, &evidence).await;
            assert_eq!(stays, Substatus::ReprovisionedToInitialAssignment);
        }
    }
    let mut closed = on_hub("hub2.localhost", json!(null));
    closed["provisioningStatus"] = "disabled".into();
    w.put_group("g", &closed).await;
    assert_eq!(w.outcome("dev", &evidence).await, "disabled");
    let record = w.record("dev").await.unwrap();
    assert!(w.service.order_of(&w.dps, &record).await.unwrap().is_some());
    assert!(record.reprovision.is_some());
    closed["provisioningStatus"] = "enabled".into();
    w.put_group("g", &closed).await;
    assert_eq!(told(&w, "dev", NEW, &evidence).await, Substatus::DeviceDataMigrated);
}

#[tokio::test]
async fn an_order_to_nobody_is_refused() {
    let (w, _) = member().await;
    let said = Reprovision::Order(DeviceData::Reset);
    let nobody = w.service.reprovision_registration(&call(), &w.dps, &id("nobody"), said).await;
    assert!(matches!(nobody, Err(ApiError::NotFound)));
    let none = w.service.reprovision_group(&call(), &w.dps, &group_id("none"), said).await;
    assert!(matches!(none, Err(ApiError::NotFound)));
    let mut closed = keyed(3);
    closed["provisioningStatus"] = "disabled".into();
    w.put("refused", &closed).await;
    assert_eq!(w.outcome("refused", &w.token("refused", &key(3))).await, "disabled");
    let never = w.service.reprovision_registration(&call(), &w.dps, &id("refused"), said).await;
    assert!(matches!(never, Err(ApiError::Invalid(_))));
}

#[tokio::test]
async fn orders_are_in_the_audit_trail_once_each() {
    let store = Arc::new(Memory::default());
    let w = World::over(store.clone()).await;
    w.put_group("g", &keyed(1)).await;
    w.outcome("dev", &w.token("dev", &key(1).derive("dev"))).await;
    let order = Reprovision::Order(DeviceData::Reset);
    for said in [order, order, Reprovision::Withdraw, Reprovision::Withdraw] {
        w.service.reprovision_group(&call(), &w.dps, &group_id("g"), said).await.unwrap();
        w.service.reprovision_registration(&call(), &w.dps, &id("dev"), said).await.unwrap();
    }
    let lines = store.audit_lines();
    let told: Vec<String> = lines
        .iter()
        .filter(|line| line.action.contains(".reprovision."))
        .map(|line| format!("{} {} {}", line.actor, line.action, line.subject))
        .collect();
    assert_eq!(
        told,
        [
            "test enrollmentGroup.reprovision.reset dps/g",
            "test registration.reprovision.reset dps/dev",
            "test enrollmentGroup.reprovision.withdraw dps/g",
            "test registration.reprovision.withdraw dps/dev",
        ]
    );
}
