//! What tests of bad input share: a server with a healthy fleet, and ways to say anything to it.

use e2e::mqtt::{Connect, Sent, publish, subscribe};
use e2e::{
    DPS, HUB1, Reply, Rest, Server, Tls, Wire, World, derived_key, escape, in_seconds, sas_token,
};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::scene::{generated_keys, group, keys};

pub(crate) const HTTPS: u16 = 443;
pub(crate) const MQTT: u16 = 8883;

/// How long a healthy device's whole registration may take while others misbehave. An idle
/// server takes some ten milliseconds; the rest is for a busy disk.
const PROMPT: Duration = Duration::from_secs(10);
/// How much memory one test's bad input may leave the server holding. What it grows by is its
/// allocator's slack and warm caches; a leak of what is sent would be larger.
const GROWTH_MAX: u64 = 32 * 1024 * 1024;

/// A server with one group, of which one device is registered.
pub(crate) struct Hostile {
    pub(crate) server: Server,
    pub(crate) dps: Rest,
    pub(crate) scope: String,
    /// Shows no certificate.
    pub(crate) tls: Tls,
    pub(crate) ca: PathBuf,
    pub(crate) group_key: String,
    /// What must stay as it is: path and answer.
    kept: Vec<(&'static str, Value)>,
    resident: u64,
}

impl Hostile {
    pub(crate) fn new(world: &World) -> Self {
        let server = Server::start(world);
        let (dps, scope, ca) = (server.dps(), server.id_scope(), server.ca());
        let fleet = group("fleet", &generated_keys(), "enabled");
        let fleet = dps.put("/enrollmentGroups/fleet", &fleet).expect(200);
        let group_key = keys(&fleet).0.to_owned();
        let tls = Tls::trusting(&ca);
        let mut scene =
            Self { server, dps, scope, tls, ca, group_key, kept: Vec::new(), resident: 0 };
        scene.assert_registers("witness");
        scene.kept = ["/registrations/witness", "/enrollmentGroups/fleet"]
            .map(|path| (path, scene.dps.get(path).expect(200)))
            .into();
        scene.resident = scene.server.resident_bytes();
        scene
    }

    /// The server is as good as before: it serves others promptly, forgot nothing, and holds
    /// little more memory.
    #[track_caller]
    pub(crate) fn assert_unharmed(&self) {
        self.assert_unharmed_but_for(GROWTH_MAX);
    }

    /// As [`Hostile::assert_unharmed`], holding at most so many bytes more.
    #[track_caller]
    pub(crate) fn assert_unharmed_but_for(&self, growth_max: u64) {
        self.assert_registers("after");
        for (path, before) in &self.kept {
            assert_eq!(self.dps.get(path).expect(200), *before, "{path}");
        }
        let grown = self.server.resident_bytes().saturating_sub(self.resident);
        println!("the server grew by {} KiB", grown / 1024);
        assert!(grown < growth_max, "the server grew by {grown} bytes");
    }

    /// A device of the group registers with all its calls, promptly.
    #[track_caller]
    pub(crate) fn assert_registers(&self, id: &str) {
        let begun = Instant::now();
        let mut device = self.sign_in(&self.tls, id, Some(&self.token(id)));
        let (status, accepted) = self.call(&mut device, REGISTER);
        assert_eq!(status, 202, "{accepted}");
        let poll = format!("{POLL}&operationId={}", accepted["operationId"].as_str().unwrap());
        let (status, done) = self.call(&mut device, &poll);
        assert_eq!((status, done["status"].as_str()), (200, Some("assigned")), "{done}");
        assert_eq!(done["registrationState"]["assignedHub"], HUB1, "{done}");
        let took = begun.elapsed();
        println!("{id} registered in {took:?}");
        assert!(took < PROMPT, "{id} took {took:?}");
    }

    /// Nothing is known of this device.
    #[track_caller]
    pub(crate) fn assert_no_record(&self, id: &str) {
        assert_eq!(self.dps.get(&format!("/registrations/{id}")).status, 404, "{id}");
        let hub = self.server.hub("hub1").get(&format!("/devices/{id}"));
        assert_eq!(hub.status, 404, "{id}");
    }
}

/// Devices at the provisioning service.
impl Hostile {
    /// The key of a device of the group.
    pub(crate) fn key(&self, id: &str) -> String {
        derived_key(&self.group_key, id)
    }

    /// What a device's token is for, as most SDKs write it.
    pub(crate) fn resource(&self, id: &str) -> String {
        escape(&format!("{}/registrations/{id}", self.scope))
    }

    /// A good token of a device of the group.
    pub(crate) fn token(&self, id: &str) -> String {
        sas_token(&self.resource(id), &self.key(id), in_seconds(600), Some("registration"))
    }

    pub(crate) fn username(&self, id: &str) -> String {
        format!("{}/registrations/{id}/api-version=2019-03-31", self.scope)
    }

    /// Signs in by MQTT and subscribes to the answers.
    #[track_caller]
    pub(crate) fn sign_in(&self, tls: &Tls, id: &str, password: Option<&str>) -> Wire {
        let mut wire = tls.connect(DPS, MQTT);
        let username = self.username(id);
        let connect = Connect { client_id: id, username: Some(&username), password, will: None };
        assert_eq!(connack(&mut wire, connect), Some(0), "{id} connects");
        assert_eq!(suback(&mut wire, RESPONSES, 1), 1);
        wire
    }

    /// Publishes a request; status and body of its answer.
    #[track_caller]
    pub(crate) fn call(&self, wire: &mut Wire, topic: &str) -> (u16, Value) {
        wire.send(&publish(topic, b"{}", Sent::AtMostOnce));
        response(wire)
    }

    /// Registers by MQTT; status and body of the answer to the first call.
    #[track_caller]
    pub(crate) fn register(&self, tls: &Tls, id: &str, password: Option<&str>) -> (u16, Value) {
        let mut wire = self.sign_in(tls, id, password);
        self.call(&mut wire, REGISTER)
    }

    /// Registers by HTTPS; the answer to the first call.
    pub(crate) fn register_by_https(&self, tls: &Tls, id: &str, token: Option<&str>) -> Reply {
        let target = format!("/{}/registrations/{id}/register?api-version=2021-06-01", self.scope);
        let headers: Vec<_> = token.map(|token| ("Authorization", token)).into_iter().collect();
        ask(tls, "PUT", &target, &headers, b"{}").expect("an answer")
    }

    /// Registers by HTTPS and by MQTT, and is refused by both with this error.
    #[track_caller]
    pub(crate) fn assert_refused(&self, tls: &Tls, id: &str, token: Option<&str>, code: u32) {
        let (status, body) = self.register(tls, id, token);
        assert_refusal(status, &body, code);
        let reply = self.register_by_https(tls, id, token);
        assert_refusal(reply.status, &reply.body, code);
        self.assert_no_record(id);
    }

    /// Registers by HTTPS and by MQTT, and both accept it.
    #[track_caller]
    pub(crate) fn assert_accepted(&self, tls: &Tls, id: &str, token: Option<&str>) {
        let reply = self.register_by_https(tls, id, token);
        assert_eq!(reply.status, 202, "{}", reply.body);
        let (status, body) = self.register(tls, id, token);
        assert_eq!(status, 202, "{body}");
        let record = self.dps.get(&format!("/registrations/{id}")).expect(200);
        assert_eq!(record["status"], "assigned", "{record}");
    }
}

/// Operators.
impl Hostile {
    /// A request of the service API by its owner, with any body.
    pub(crate) fn operate(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let token = self.owner_token();
        let mut all = vec![("Authorization", token.as_str())];
        all.extend(headers);
        ask(&self.tls, method, target, &all, body).expect("an answer")
    }

    /// A token of the service's owner.
    pub(crate) fn owner_token(&self) -> String {
        let (host, policy, key) = self.dps.owner();
        sas_token(&escape(host), key, in_seconds(600), Some(policy))
    }
}

pub(crate) const RESPONSES: &str = "$dps/registrations/res/#";
pub(crate) const REGISTER: &str = "$dps/registrations/PUT/iotdps-register/?$rid=1";
pub(crate) const POLL: &str = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2";

/// The status of an error is its code's beginning, and its body says who, what and when.
#[track_caller]
pub(crate) fn assert_refusal(status: u16, body: &Value, code: u32) {
    assert_eq!((u32::from(status), &body["errorCode"]), (code / 1000, &json!(code)), "{body}");
    for member in ["message", "trackingId", "timestampUtc"] {
        assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {body}");
    }
}

/// Sends a CONNECT; the CONNACK's return code, or none if the connection ends.
pub(crate) fn connack(wire: &mut Wire, connect: Connect<'_>) -> Option<u8> {
    wire.send(&connect.bytes());
    wire.packet().map(|packet| packet.connack())
}

/// Sends a SUBSCRIBE; the SUBACK's return code.
#[track_caller]
pub(crate) fn suback(wire: &mut Wire, filter: &str, qos: u8) -> u8 {
    wire.send(&subscribe(7, filter, qos));
    let packet = wire.packet().expect("a SUBACK");
    assert_eq!((packet.header, &packet.body[..2], packet.body.len()), (0x90, &[0, 7][..], 3));
    packet.body[2]
}

/// Status and body of the next answer, from a provisioning service or of a twin.
#[track_caller]
pub(crate) fn response(wire: &mut Wire) -> (u16, Value) {
    let packet = wire.packet().expect("an answer");
    let (topic, payload) = packet.message();
    let status = topic.split('/').nth(3).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{topic}")), serde_json::from_slice(payload).unwrap())
}

/// One HTTPS request on a connection of its own; none if that ends without an answer.
pub(crate) fn ask(
    tls: &Tls,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Reply> {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    let own = [("Host", DPS), ("Connection", "close")];
    for (name, value) in own.iter().chain(headers) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    let mut wire = tls.connect(DPS, HTTPS);
    // A server that has read enough may answer and close before it has everything.
    let sent = wire.try_send(head.as_bytes()).and_then(|()| wire.try_send(body));
    let reply = wire.reply();
    println!("{method} {target}: {:?} {:?}", sent.err(), reply.as_ref().map(|reply| reply.status));
    reply
}
