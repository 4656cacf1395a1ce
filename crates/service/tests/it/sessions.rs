//! A no reaches whoever is connected before the operator's call returns (D-24, D-32, D-33).

use std::sync::Arc;
use std::time::Duration;

use attestation::sas::{self, SasToken};
use hub::permit::{Denied, Evidence};
use model::{IfMatch, Timestamp};
use serde_json::json;
use service::access::sessions::{Closing, Session};
use service::{ConnectError, Connecting, Message, SendError};

use crate::world::{World, call, device_id, host, key, keyed};

const HUB: &str = "hub1.localhost";

async fn assigned() -> World {
    let w = World::new().await;
    let mut json = keyed(1);
    json["allocationPolicy"] = "static".into();
    json["iotHubs"] = json!([HUB]);
    w.put("dev", &json).await;
    w.outcome("dev", &w.token("dev", &key(1))).await;
    w
}

fn connecting(w: &World, name: &str, seed: u8) -> Connecting {
    let expires = Timestamp::from_unix_seconds(w.service.now().unix_seconds() + 3600);
    let resource = format!("{HUB}/devices/{name}");
    let text = sas::create(&resource, &key(seed), expires, None);
    Connecting {
        hub: host(HUB),
        named: host(HUB),
        device_id: device_id(name),
        from: "127.0.0.1".parse().unwrap(),
        evidence: Evidence::Sas(SasToken::parse(&text).unwrap()),
    }
}

/// A driver: holds the session until it is told to end.
fn drive(session: Session) -> tokio::task::JoinHandle<Closing> {
    tokio::spawn(async move {
        let why = session.closing().await;
        drop(session);
        why
    })
}

async fn put(w: &World, body: serde_json::Value) {
    let body = serde_json::to_vec(&body).unwrap();
    let draft = dialect::rest::hub::draft(&device_id("dev"), &body).unwrap();
    w.service.put_device(&call(), &host(HUB), &draft, &IfMatch::Any).await.unwrap();
}

#[tokio::test]
async fn s_07_a_disabled_identity_is_signed_out_and_can_not_sign_in() {
    let w = assigned().await;
    let (session, _) = w.service.connect(connecting(&w, "dev", 1)).await.unwrap();
    let driver = drive(session);
    put(&w, json!({"deviceId": "dev", "status": "disabled"})).await;
    // The call has returned: the session is gone already.
    assert_eq!(w.service.sessions().count(), 0);
    assert_eq!(driver.await.unwrap(), Closing::Denied);
    let refused = w.service.connect(connecting(&w, "dev", 1)).await;
    assert!(matches!(refused, Err(ConnectError::Denied(Denied::DeviceDisabled))));
    put(&w, json!({"deviceId": "dev", "status": "enabled"})).await;
    assert!(w.service.connect(connecting(&w, "dev", 1)).await.is_ok());
}

#[tokio::test]
async fn s_08_a_deleted_identity_is_signed_out() {
    let w = assigned().await;
    let (session, _) = w.service.connect(connecting(&w, "dev", 1)).await.unwrap();
    let driver = drive(session);
    let id = device_id("dev");
    w.service.delete_device(&call(), &host(HUB), &id, &IfMatch::Any).await.unwrap();
    assert_eq!(w.service.sessions().count(), 0);
    assert_eq!(driver.await.unwrap(), Closing::Denied);
    let refused = w.service.connect(connecting(&w, "dev", 1)).await;
    assert!(matches!(refused, Err(ConnectError::Denied(Denied::UnknownDevice))));
}

#[tokio::test]
async fn d_24_only_the_session_of_a_replaced_key_ends() {
    let w = assigned().await;
    let (session, _) = w.service.connect(connecting(&w, "dev", 1)).await.unwrap();
    let driver = drive(session);
    let primary = key(1).to_base64();
    let keys = |secondary: u8| {
        json!({"deviceId": "dev", "authentication": {"type": "sas", "symmetricKey":
            {"primaryKey": primary, "secondaryKey": key(secondary).to_base64()}}})
    };
    put(&w, keys(50)).await;
    assert_eq!(w.service.sessions().count(), 1);
    let other = json!({"deviceId": "dev", "authentication": {"type": "sas", "symmetricKey":
        {"primaryKey": key(60).to_base64(), "secondaryKey": key(61).to_base64()}}});
    put(&w, other).await;
    assert_eq!(w.service.sessions().count(), 0);
    assert_eq!(driver.await.unwrap(), Closing::Denied);
}

#[tokio::test]
async fn a_second_connection_takes_the_first_ones_place() {
    let w = assigned().await;
    let (first, _) = w.service.connect(connecting(&w, "dev", 1)).await.unwrap();
    let driver = drive(first);
    let (_second, _) = w.service.connect(connecting(&w, "dev", 1)).await.unwrap();
    assert_eq!(driver.await.unwrap(), Closing::TakenOver);
    assert_eq!(w.service.sessions().count(), 1);
}

#[tokio::test]
async fn evidence_of_others_does_not_sign_in() {
    let w = assigned().await;
    let denied = |result: Result<_, ConnectError>| match result {
        Err(ConnectError::Denied(denied)) => denied,
        Err(error) => panic!("{error:?}"),
        Ok::<(Session, _), _>(_) => panic!("signed in"),
    };
    let wrong_key = w.service.connect(connecting(&w, "dev", 9)).await;
    assert_eq!(denied(wrong_key), Denied::Signature);
    let unknown = w.service.connect(connecting(&w, "nobody", 1)).await;
    assert_eq!(denied(unknown), Denied::UnknownDevice);
    let mut other = connecting(&w, "de", 1);
    other.device_id = device_id("dev");
    assert_eq!(denied(w.service.connect(other).await), Denied::TokenResource);
    let mut none = connecting(&w, "dev", 1);
    none.evidence = Evidence::None;
    assert_eq!(denied(w.service.connect(none).await), Denied::NoEvidence);
    assert_eq!(w.service.sessions().count(), 0);
}

#[tokio::test]
async fn no_message_is_taken_after_the_disable_has_returned() {
    let w = assigned().await;
    let (session, _) = w.service.connect(connecting(&w, "dev", 1)).await.unwrap();
    let session = Arc::new(session);
    let held = w.log.hold.write().await;
    // A message is under way when the operator disables the identity.
    let sender = {
        let (service, session) = (Arc::clone(&w.service), Arc::clone(&session));
        tokio::spawn(async move {
            let Some((_operation, permit)) = session.begin().await else { return false };
            service.telemetry(&session, &permit, Message::default()).await.is_ok()
        })
    };
    tokio::task::yield_now().await;
    let disable = async { put(&w, json!({"deviceId": "dev", "status": "disabled"})).await };
    let mut disable = std::pin::pin!(disable);
    // The call waits for the message that it overtook …
    let waited = tokio::time::timeout(Duration::from_millis(50), disable.as_mut()).await;
    assert!(waited.is_err());
    drop(held);
    let kept = sender.await.unwrap();
    // … and for the driver to let go.
    let driver = tokio::spawn(async move {
        session.closing().await;
        assert!(session.begin().await.is_none());
    });
    disable.await;
    driver.await.unwrap();
    assert_eq!(w.log.events.lock().unwrap().len(), usize::from(kept));
}

#[tokio::test]
async fn a_recreated_identity_does_not_inherit_a_session() {
    let w = assigned().await;
    let (session, permit) = w.service.connect(connecting(&w, "dev", 1)).await.unwrap();
    let driver = drive(session);
    let id = device_id("dev");
    w.service.delete_device(&call(), &host(HUB), &id, &IfMatch::Any).await.unwrap();
    w.outcome("dev", &w.token("dev", &key(1))).await;
    assert_eq!(driver.await.unwrap(), Closing::Denied);
    let (_again, fresh) = w.service.connect(connecting(&w, "dev", 1)).await.unwrap();
    assert_ne!(permit.generation_id, fresh.generation_id);
}

#[tokio::test]
async fn one_message_without_a_session_is_judged_like_any_other() {
    let w = assigned().await;
    let send = || {
        let (service, connecting) = (Arc::clone(&w.service), connecting(&w, "dev", 1));
        async move { service.send(connecting, Message::default()).await }
    };
    let (_live, _) = w.service.connect(connecting(&w, "dev", 1)).await.unwrap();
    assert!(send().await.is_ok());
    assert_eq!(w.log.events.lock().unwrap().len(), 1);
    // The live session goes on beside it.
    assert_eq!(w.service.sessions().count(), 1);
    drop(_live);
    put(&w, json!({"deviceId": "dev", "status": "disabled"})).await;
    let refused = send().await;
    let disabled = ConnectError::Denied(Denied::DeviceDisabled);
    match refused {
        Err(SendError::Refused(error)) => assert_eq!(format!("{error:?}"), format!("{disabled:?}")),
        other => panic!("{other:?}"),
    }
    assert_eq!(w.log.events.lock().unwrap().len(), 1);
}
