//! A device registers again: where it goes, what it finds there, what it is told.

use attestation::x509::Certificate;
use hub::identity::{Authentication, Thumbprint};
use model::IfMatch;
use provisioning::registration::Substatus;
use provisioning::view::{Evidence, RegistrationRequest};
use serde_json::{Value, json};
use service::Polled;

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
