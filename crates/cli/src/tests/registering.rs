//! A device that registers, and keys that are derived for one.

use serde_json::{Value, json};

use super::{KEY, LOGIN, reply, run};
use crate::failure::Kind;
use crate::transport::{Identity, Reply};

fn assigning() -> Reply {
    let mut reply = reply(202, &json!({"operationId": "5.0/1", "status": "assigning"}));
    reply.headers.push(("retry-after".into(), "0".into()));
    reply
}

fn concluded(status: &str) -> Reply {
    let state = json!({"registrationId": "r", "status": status, "assignedHub": "hub1.localhost",
        "deviceId": "r", "errorCode": 400208, "errorMessage": "no hub"});
    reply(200, &json!({"operationId": "5.0/1", "status": status, "registrationState": state}))
}

const SCOPED: [&str; 10] = [
    "iot",
    "device",
    "registration",
    "create",
    "--id-scope",
    "0ne00000001",
    "--rid",
    "r",
    "--host",
    "dps.localhost:8443",
];

#[tokio::test]
async fn a_device_registers_with_its_key_and_polls() {
    let words = [&SCOPED[..], &["--key", KEY, "--payload", r#"{"m":1}"#, "-o", "json"]].concat();
    let ran = run(&words, vec![assigning(), assigning(), concluded("assigned")]).await.ok();
    assert_eq!(
        ran.lines(),
        [
            "PUT /0ne00000001/registrations/r/register?api-version=2021-06-01",
            "GET /0ne00000001/registrations/r/operations/5.0%2F1?api-version=2021-06-01",
            "GET /0ne00000001/registrations/r/operations/5.0%2F1?api-version=2021-06-01",
        ]
    );
    assert_eq!(ran.body(0), json!({"registrationId": "r", "payload": {"m": 1}}));
    let token = ran.header(0, "authorization").unwrap();
    assert!(token.contains("sr=0ne00000001%2Fregistrations%2Fr&"), "{token}");
    assert!(token.ends_with("&skn=registration"), "{token}");
    let out: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(out["registrationState"]["assignedHub"], "hub1.localhost");
    let target = &ran.asked[0].0;
    assert_eq!((target.host.as_str(), target.port), ("dps.localhost", 8443));
}

#[tokio::test]
async fn outcomes_are_told_as_az_tells_them() {
    let denied = json!({"errorCode": 401002, "trackingId": "t", "message": "Unauthorized"});
    for (replies, told, hint) in [
        (
            vec![assigning(), concluded("disabled")],
            "Created registration is disabled",
            "`muster explain r` tells which enrollment",
        ),
        (
            vec![assigning(), concluded("failed")],
            "Registration failed: no hub (400208)",
            "`muster explain r` tells why",
        ),
        (
            vec![reply(401, &denied)],
            "Unauthorized (401002) [tracking id t]",
            "`muster explain r` tells why",
        ),
    ] {
        let ran = run(&[&SCOPED[..], &["--key", KEY]].concat(), replies).await;
        let (kind, text) = ran.failure();
        assert_eq!(kind, Kind::Failed);
        assert!(text.contains(told) && text.contains(hint), "{text}");
        assert_eq!(ran.out, "");
    }
}

#[tokio::test]
async fn a_certificate_goes_with_the_connection() {
    let words = [&SCOPED[..], &["--cp", "chain.pem", "--kp", "key.pem"]].concat();
    let ran = run(&words, vec![concluded("assigned")]).await.ok();
    assert_eq!(ran.header(0, "authorization"), None);
    let identity = Identity { chain: "chain.pem".into(), key: "key.pem".into() };
    assert_eq!(ran.asked[0].0.identity, Some(identity));
}

#[tokio::test]
async fn scope_and_host_are_looked_up() {
    let all = json!({"value": [{"name": "dps1", "properties": {"idScope": "0ne00000001",
        "serviceOperationsHostName": "dps1.localhost"}}]});
    let words = ["device", "register", "--rid", "r", "--key", KEY];
    let ran = run(&words, vec![reply(200, &all), concluded("assigned")]).await.ok();
    assert!(ran.lines()[1].starts_with("PUT /0ne00000001/registrations/r/register"));
    let target = &ran.asked[1].0;
    assert_eq!((target.host.as_str(), target.port), ("dps1.localhost", 8443));
    assert_eq!(target.address.as_deref(), Some("muster.localhost"));
    let words = ["device", "register", "--rid", "r", "--key", KEY, "--id-scope", "0ne0000000F"];
    let ran = run(&words, vec![reply(200, &all)]).await;
    assert!(ran.failure().1.contains("for another server give --host"));
}

#[tokio::test]
async fn keys_are_read_from_the_service_when_none_is_given() {
    let keys = json!({"type": "symmetricKey", "symmetricKey": {"primaryKey": KEY}});
    let words = [&SCOPED[..], &["--login", LOGIN, "--gid", "g"]].concat();
    let ran = run(&words, vec![reply(200, &keys), concluded("assigned")]).await.ok();
    assert_eq!(
        ran.lines()[0],
        "POST /enrollmentGroups/g/attestationmechanism?api-version=2021-10-01"
    );
    let words = [&SCOPED[..], &["--login", LOGIN]].concat();
    let ran = run(&words, vec![reply(200, &json!({"type": "x509", "x509": {}}))]).await;
    assert!(ran.failure().1.contains("hint: give the device's certificate with --cp"));
}

#[tokio::test]
async fn compute_device_key_is_offline_with_a_key() {
    let words =
        ["iot", "dps", "enrollment-group", "compute-device-key", "--key", KEY, "--rid", "Dev-1"];
    let ran = run(&words, Vec::new()).await.ok();
    assert_eq!(ran.out, "GkFHJHrTwJ7AfqTb3UTgwGK11Zu6L2tOjMLnOl+M2w4=\n");
    let ran = run(&[&words[..], &["-o", "json"]].concat(), Vec::new()).await.ok();
    assert_eq!(ran.out, "\"GkFHJHrTwJ7AfqTb3UTgwGK11Zu6L2tOjMLnOl+M2w4=\"\n");
    let keys = json!({"type": "symmetricKey", "symmetricKey": {"primaryKey": KEY}});
    let words = ["iot", "dps", "compute-device-key", "-l", LOGIN, "--gid", "g", "--rid", "dev-1"];
    let ran = run(&words, vec![reply(200, &keys)]).await.ok();
    assert_eq!(ran.out, "uPrGCZtSCJ9Nt+iY0r7te47dbsu7OCYEU9tz7kQloUs=\n");
}

#[tokio::test]
async fn telemetry_is_posted_as_the_device() {
    let words =
        ["device", "send", "--host", "hub1.localhost", "-d", "d", "--key", KEY, "--count", "2"];
    let replies = vec![reply(204, &Value::Null), reply(204, &Value::Null)];
    let ran = run(&words, replies).await.ok();
    assert_eq!(ran.lines(), vec!["POST /devices/d/messages/events?api-version=2021-04-12"; 2]);
    let token = ran.header(0, "authorization").unwrap();
    assert!(token.contains("sr=hub1.localhost%2Fdevices%2Fd&"), "{token}");
    assert!(!token.contains("skn="), "{token}");
}
