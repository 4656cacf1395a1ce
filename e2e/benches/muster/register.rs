//! One registration as an SDK does it, over MQTT or HTTPS, without the SDK's waits.

use crate::fleet::Device;
use crate::server::ID_SCOPE;
use e2e::mqtt::{Connect, Sent, packet, publish, subscribe};
use e2e::{DPS, Reply, Wire};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a server under full load may be silent.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const RESPONSES: &str = "$dps/registrations/res/#";
const REGISTER: &str = "$dps/registrations/PUT/iotdps-register/?$rid=1";
const POLL: &str = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2";
const MQTT_API: &str = "api-version=2019-03-31";
pub(crate) const HTTPS_API: &str = "api-version=2021-06-01";
const DISCONNECT: u8 = 0xe0;

/// How long the steps of a registration took, as the device saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    /// From the connection's beginning to its end.
    pub(crate) whole: Duration,
    /// From the register message to its answer, which is durable.
    pub(crate) register: Duration,
    /// From the poll to its answer, which says *assigned*.
    pub(crate) poll: Duration,
}

impl Took {
    /// The server's part: all but connecting, signing in and saying good-bye.
    pub(crate) fn server_part(&self) -> Duration {
        self.register + self.poll
    }
}

/// Connects, and finishes the handshake.
fn connect(device: &Device, port: u16) -> Wire {
    let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let wire = device.tls.try_over(DPS, tcp).unwrap_or_else(|e| panic!("{}: {e}", device.id));
    wire.patience(PATIENCE);
    wire
}

/// A handshake and nothing else; the server says good-bye when it is through.
pub(crate) fn handshake(device: &Device, port: u16) -> Duration {
    let begun = Instant::now();
    let mut wire = connect(device, port);
    assert!(wire.packet().is_none(), "the yardstick says nothing");
    begun.elapsed()
}

/// Registers over MQTT and polls until assigned, as the SDKs do: at least once both ways.
pub(crate) fn over_mqtt(device: &Device, port: u16) -> Took {
    let begun = Instant::now();
    let mut wire = connect(device, port);
    let username = format!("{ID_SCOPE}/registrations/{}/{MQTT_API}", device.id);
    let sign_in = Connect {
        client_id: &device.id,
        username: Some(&username),
        password: device.token.as_deref(),
        will: None,
    };
    wire.send(&sign_in.bytes());
    assert_eq!(wire.packet().expect("a CONNACK").connack(), 0, "{}", device.id);
    wire.send(&subscribe(1, RESPONSES, 1));
    assert_eq!(wire.packet().expect("a SUBACK").header, 0x90);
    let asked = Instant::now();
    let body = json!({ "registrationId": device.id }).to_string();
    let accepted = request(&mut wire, REGISTER, 2, body.as_bytes());
    let register = asked.elapsed();
    let operation = accepted["operationId"].as_str().unwrap_or_else(|| panic!("{accepted}"));
    let asked = Instant::now();
    let polled = request(&mut wire, &format!("{POLL}&operationId={operation}"), 3, b"");
    let poll = asked.elapsed();
    assert_eq!(polled["status"], "assigned", "{polled}");
    wire.send(&packet(DISCONNECT, b""));
    assert!(wire.packet().is_none(), "good-bye");
    Took { whole: begun.elapsed(), register, poll }
}

/// Registers over MQTT as [`over_mqtt`], but waits for nothing that MQTT lets a client not wait
/// for (MQTT 3.1.1 §3.1.4): neither for CONNACK and SUBACK, nor between what can go together.
pub(crate) fn over_mqtt_at_once(device: &Device, port: u16) -> Took {
    let begun = Instant::now();
    let mut wire = connect(device, port);
    let username = format!("{ID_SCOPE}/registrations/{}/{MQTT_API}", device.id);
    let sign_in = Connect {
        client_id: &device.id,
        username: Some(&username),
        password: device.token.as_deref(),
        will: None,
    };
    let body = json!({ "registrationId": device.id }).to_string();
    let asked = Instant::now();
    let together = [
        sign_in.bytes(),
        subscribe(1, RESPONSES, 1),
        publish(REGISTER, body.as_bytes(), Sent::AtLeastOnce(2)),
    ];
    wire.send(&together.concat());
    assert_eq!(wire.packet().expect("a CONNACK").connack(), 0, "{}", device.id);
    assert_eq!(wire.packet().expect("a SUBACK").header, 0x90);
    let (accepted, acknowledge) = answer(&mut wire);
    let register = asked.elapsed();
    let operation = accepted["operationId"].as_str().unwrap_or_else(|| panic!("{accepted}"));
    let asked = Instant::now();
    let poll = publish(&format!("{POLL}&operationId={operation}"), b"", Sent::AtLeastOnce(3));
    wire.send(&[acknowledge, poll].concat());
    let (polled, acknowledge) = answer(&mut wire);
    let poll = asked.elapsed();
    assert_eq!(polled["status"], "assigned", "{polled}");
    wire.send(&[acknowledge, packet(DISCONNECT, b"")].concat());
    assert!(wire.packet().is_none(), "good-bye");
    Took { whole: begun.elapsed(), register, poll }
}

/// A request and its answer, both acknowledged.
fn request(wire: &mut Wire, topic: &str, packet_id: u16, body: &[u8]) -> Value {
    wire.send(&publish(topic, body, Sent::AtLeastOnce(packet_id)));
    let (answered, acknowledge) = answer(wire);
    wire.send(&acknowledge);
    answered
}

/// The answer to a request that is acknowledged first, and what acknowledges the answer.
fn answer(wire: &mut Wire) -> (Value, Vec<u8>) {
    assert_eq!(wire.packet().expect("a PUBACK").header, 0x40);
    let answer = wire.packet().expect("an answer");
    let (topic, payload) = answer.message();
    assert!(topic.starts_with("$dps/registrations/res/20"), "{topic}: {answer:?}");
    let id_at = 2 + topic.len();
    let acknowledge = packet(0x40, &answer.body[id_at..id_at + 2]);
    (serde_json::from_slice(payload).unwrap(), acknowledge)
}

/// Registers over HTTPS and polls until assigned, on one connection.
pub(crate) fn over_https(device: &Device, port: u16) -> Took {
    let begun = Instant::now();
    let mut wire = connect(device, port);
    let body = json!({ "registrationId": device.id }).to_string();
    let path = format!("/{ID_SCOPE}/registrations/{}", device.id);
    let authorization = device
        .token
        .as_ref()
        .map(|token| format!("Authorization: {token}\r\n"))
        .unwrap_or_default();
    let mut ask = |method: &str, target: &str, connection: &str, body: &str| -> Reply {
        wire.send(
            format!(
                "{method} {path}{target}?{HTTPS_API} HTTP/1.1\r\nHost: {DPS}\r\n{authorization}\
                 Connection: {connection}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
        wire.reply().expect("an answer")
    };
    let asked = Instant::now();
    let accepted = ask("PUT", "/register", "keep-alive", &body).expect(202);
    let register = asked.elapsed();
    let operation = accepted["operationId"].as_str().unwrap();
    let asked = Instant::now();
    let polled = ask("GET", &format!("/operations/{operation}"), "close", "").expect(200);
    let poll = asked.elapsed();
    assert_eq!(polled["status"], "assigned", "{polled}");
    assert!(wire.reply().is_none(), "good-bye");
    Took { whole: begun.elapsed(), register, poll }
}
