use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::mqtt_driver::{self, Transport};
use crate::tests::operator::{DPS, HUB};
use crate::tests::{KEY, World};

#[test]
fn what_a_message_quotes_is_not_logged() {
    let told = "invalid type: string \"c2Vj\\\"cmV0\", expected struct at line 1 column 9";
    assert_eq!(unquoted(told), "invalid type: string \"…\", expected struct at line 1 column 9");
    assert_eq!(unquoted("unknown field `c2VjcmV0`, expected `a` or `b`"), "unknown field `…`");
    assert_eq!(unquoted("cut short at \"c2Vjcm"), "cut short at …");
    assert_eq!(unquoted("Unauthorized."), "Unauthorized.");
}

/// Log lines in memory.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// While there is one subscriber alone, tracing asks the thread that reaches a line of code first,
/// and a test beside these that has none would switch the line off for all. So there are two.
static ANOTHER: LazyLock<tracing::Dispatch> =
    LazyLock::new(|| tracing::Dispatch::new(tracing_subscriber::registry()));

impl Lines {
    /// Logs this thread's events, of every level, as the server does in JSON.
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        LazyLock::force(&ANOTHER);
        let lines = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(lines.clone())
            .json()
            .flatten_event(true)
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    /// The same, as the server does in text.
    fn start_as_text() -> (Self, tracing::subscriber::DefaultGuard) {
        LazyLock::force(&ANOTHER);
        let lines = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(lines.clone())
            .with_ansi(false)
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// The lines' places in the code are known to tracing from here on: a test beside these, which has
/// no subscriber, can not be the first to reach one and switch it off.
async fn known_to_tracing(world: &World) {
    world.register("nobody", KEY).await;
}

#[tokio::test]
async fn a_refusal_is_one_json_object_with_the_ids_of_the_answer() {
    let world = World::new().await;
    world.enroll("sensor-7").await;
    known_to_tracing(&world).await;
    let (lines, _guard) = Lines::start();
    let refused = world.register("sensor-7", "b3RoZXIta2V5LW9mLWEtdGVzdC0wMTIzNDU2Nzg5MDE=").await;
    let body: serde_json::Value =
        serde_json::from_str(refused.split_once("\r\n\r\n").unwrap().1).unwrap();
    let text = lines.text();
    let objects: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let refusal = objects
        .iter()
        .find(|line| line["message"].as_str().unwrap_or_default().starts_with("refused "))
        .unwrap();
    assert_eq!(refusal["tracking.id"], body["trackingId"], "{text}\n{body}");
    assert!(refusal["tracking.id"].is_string());
    assert_eq!(refusal["span"]["tracking.id"], body["trackingId"]);
    assert_eq!(refusal["span"]["registration.id"], "sensor-7");
    assert_eq!(refusal["span"]["dps.name"], "dps");
}

#[tokio::test]
async fn a_refusal_is_logged_with_who_asked_and_what_was_missing() {
    let world = World::new().await;
    let (lines, _guard) = Lines::start();
    let unknown = "PUT /enrollments/none";
    world
        .operate(DPS, unknown, &[("If-Match", "*")], r#"{"attestation":{"type":"symmetricKey"}}"#)
        .await
        .expect(404);
    world.operate(HUB, "GET /devices/none", &[], "").await.expect(404);
    world.ask(HUB, "GET /devices/none", &[], "").await.expect(401);
    let text = lines.text();
    let refusals: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let refusals: Vec<_> = refusals
        .iter()
        .filter_map(|line| {
            let message = line["message"].as_str()?.strip_prefix("refused ")?;
            let (_, message) = message.split_once(": ")?;
            Some(format!("{} {} {message}", line["actor"].as_str()?, line["error.code"]))
        })
        .collect();
    assert_eq!(
        refusals,
        [
            "provisioningserviceowner 404201 EnrollmentNotFound: Enrollment not found.",
            "iothubowner 404001 DeviceNotFound: none",
            "unknown 401002 IotHubUnauthorizedAccess: Unauthorized",
        ]
    );
}

/// A CONNECT over MQTT of device `dev`; gives the return code.
async fn connect(world: &World, host: &str, user_name: &str, token: &str) -> u8 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut fields = b"\0\x04MQTT\x04\xC2\0\x3C".to_vec();
    for text in ["dev", user_name, token] {
        fields.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        fields.extend(text.as_bytes());
    }
    let length = u8::try_from(fields.len() % 128 + 128).unwrap();
    let mut packet = vec![0x10, length, u8::try_from(fields.len() / 128).unwrap()];
    packet.extend(fields);
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let (gateway, peer) = (Arc::clone(&world.gateway), world.peer(host));
    let serving = mqtt_driver::serve(gateway, server, peer, Transport::Tls, Default::default());
    let asking = async {
        client.write_all(&packet).await.unwrap();
        let mut answer = [0; 4];
        client.read_exact(&mut answer).await.unwrap();
        drop(client);
        answer[3]
    };
    tokio::join!(asking, serving).0
}

#[tokio::test]
async fn why_a_hub_refuses_a_device_is_in_the_log_alone() {
    let world = World::new().await;
    let put = |device: &str, status: &str| {
        json!({"deviceId": device, "status": status, "authentication": {
            "symmetricKey": {"primaryKey": KEY, "secondaryKey": KEY}}})
        .to_string()
    };
    let send = "POST /devices/dev/messages/events";
    let user_name = format!("{HUB}/dev/?api-version=2021-04-12");
    let (good, other) =
        (world.device_token("dev", KEY), "b3RoZXIta2V5LW9mLWEtdGVzdC0wMTIzNDU2Nzg5MDE=");
    let (other, device) = (world.device_token("dev", other), world.device_token("else", KEY));
    for (status, token, why) in [
        (None, &good, "there is no such identity"),
        (Some("enabled"), &other, "neither key of the identity made the token's signature"),
        (None, &device, "the token was made for another resource"),
        (Some("disabled"), &good, "the identity is disabled"),
    ] {
        if let Some(status) = status {
            let any = [("If-Match", "*")];
            let headers = if status == "enabled" { &any[..0] } else { &any[..] };
            world.operate(HUB, "PUT /devices/dev", headers, &put("dev", status)).await.expect(200);
        }
        let (lines, _guard) = Lines::start();
        let signed = [("Authorization", token.as_str())];
        let refused = world.ask(HUB, send, &signed, "{}").await.expect(401);
        assert_eq!(refused["Message"], "ErrorCode:IotHubUnauthorized;Unauthorized");
        assert_eq!(connect(&world, HUB, &user_name, token).await, 5);
        let text = lines.text();
        let told = format!("IotHubUnauthorized: Unauthorized ({why})");
        assert_eq!(text.matches(&told).count(), 2, "{told} in\n{text}");
    }
}

#[tokio::test]
async fn a_device_of_a_wrong_id_scope_or_hub_leaves_a_trace() {
    let world = World::new().await;
    known_to_tracing(&world).await;
    let (lines, _guard) = Lines::start();
    let scope = world.scope();
    for (host, user_name, code, why) in [
        (
            DPS,
            "0ne00000000/registrations/dev/api-version=2021-06-01",
            3,
            "has the id scope 0ne00000000",
        ),
        (
            HUB,
            &format!("{scope}/registrations/dev/api-version=2021-06-01"),
            3,
            "is not of the host in SNI",
        ),
        (
            HUB,
            "hub7.localhost/dev/?api-version=2021-04-12",
            5,
            "no hub has the host hub7.localhost",
        ),
        (
            DPS,
            "hub1.localhost/dev/?api-version=2021-04-12",
            5,
            "hub1.localhost is not the one in SNI",
        ),
    ] {
        assert_eq!(
            connect(&world, host, user_name, "SharedAccessSignature x").await,
            code,
            "{why}"
        );
        let text = lines.text();
        let found =
            text.lines().find(|line| line.contains("refused a CONNECT") && line.contains(why));
        let line: serde_json::Value = serde_json::from_str(found.expect(&text)).unwrap();
        assert_eq!(
            (&line["level"], &line["peer.address"]),
            (&json!("INFO"), &json!("127.0.0.1:4"))
        );
    }
}

#[tokio::test]
async fn a_line_has_each_field_of_its_call_once() {
    let world = World::new().await;
    world.enroll("dev").await;
    known_to_tracing(&world).await;
    let (lines, _guard) = Lines::start_as_text();
    let bulk = json!([{"id": "a", "importMode": "create"}, {"id": "b", "importMode": "delete"}]);
    world.operate(HUB, "POST /devices", &[], &bulk.to_string()).await.expect(400);
    world.register("dev", KEY).await;
    let text = lines.text();
    let ends: Vec<&str> = text.lines().filter(|line| line.contains("answered")).collect();
    assert_eq!(ends.len(), 2, "{text}");
    for field in ["hub.name=", "dps.name=", "registration.id="] {
        assert!(
            text.contains(field) && ends.iter().all(|end| end.matches(field).count() <= 1),
            "{text}"
        );
    }
}

#[tokio::test]
async fn neither_tokens_nor_keys_nor_payloads_are_logged_at_any_level() {
    let world = World::new().await;
    known_to_tracing(&world).await;
    let (lines, _guard) = Lines::start();
    world.enroll("sensor-7").await;
    world.register("sensor-7", KEY).await;
    let other = "b3RoZXIta2V5LW9mLWEtdGVzdC0wMTIzNDU2Nzg5MDE=";
    world.register("sensor-7", other).await;
    // Bodies of the wrong shape, with a key where none belongs.
    let bodies = [
        format!(r#"{{"registrationId":["{KEY}"]}}"#),
        format!(r#""{KEY}""#),
        format!(r#"{{"registrationId":"{KEY}"}}"#),
        format!(r#"{{"registrationId":"sensor-7","payload":"{KEY}", "#),
    ];
    let path = "/registrations/sensor-7/register?api-version=2021-06-01";
    let scope = world.scope();
    for body in &bodies {
        let answer = world.call("PUT", &format!("/{scope}{path}"), None, body).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    // A word that is not known is quoted to the caller.
    let path = format!("/{scope}/registrations/sensor-7/register?api-version={KEY}");
    let answer = world.call("PUT", &path, None, "{}").await;
    assert!(answer.contains(&KEY[..16]), "{answer}");
    let text = lines.text();
    assert!(text.matches("refused ").count() > bodies.len(), "{text}");
    for secret in [&KEY[..16], other, "sig=", "SharedAccessSignature "] {
        assert!(!text.contains(secret), "{secret} in\n{text}");
    }
}
