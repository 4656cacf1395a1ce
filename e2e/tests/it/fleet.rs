//! Devices of one symmetric-key group, which register as fast as one connection lets them.

use e2e::{DPS, Reply, Rest, Server, Tls, Wire, derived_key, escape, in_seconds, sas_token};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;

use crate::scene::{generated_keys, keys};

/// A group, and how its devices speak to the server.
pub(crate) struct Fleet {
    pub(crate) dps: Rest,
    tls: Tls,
    scope: String,
    key: String,
    owner: (String, String),
}

/// What devices have been told: id and hub of each that heard `assigned`.
pub(crate) type Acknowledged = BTreeMap<String, String>;

impl Fleet {
    /// Makes the group; its devices are spread over both hubs.
    pub(crate) fn new(server: &Server) -> Self {
        let dps = server.dps();
        let group = json!({
            "enrollmentGroupId": "fleet",
            "attestation": generated_keys(),
            "allocationPolicy": "hashed",
        });
        let made = dps.put("/enrollmentGroups/fleet", &group).expect(200);
        let (_, policy, key) = dps.owner();
        let owner = (policy.to_owned(), key.to_owned());
        Self {
            tls: Tls::trusting(&server.ca()),
            scope: server.id_scope(),
            key: keys(&made).0.to_owned(),
            owner,
            dps,
        }
    }

    /// A connection for any number of calls.
    pub(crate) fn connect(&self) -> io::Result<Wire> {
        self.tls.try_connect(DPS, 443)
    }

    /// One whole registration: the register call's answer, or the hub that the poll told.
    pub(crate) fn register(&self, wire: &mut Wire, id: &str) -> io::Result<Result<String, Reply>> {
        let resource = format!("{}/registrations/{id}", self.scope);
        let token = sas_token(
            &escape(&resource),
            &derived_key(&self.key, id),
            in_seconds(600),
            Some("registration"),
        );
        let accepted = call(wire, "PUT", &format!("/{resource}/register"), &token, b"{}")?;
        if accepted.status != 202 {
            return Ok(Err(accepted));
        }
        let operation = accepted.body["operationId"].as_str().unwrap();
        let poll = format!("/{resource}/operations/{operation}");
        let done = call(wire, "GET", &poll, &token, b"")?;
        match done.body["registrationState"]["assignedHub"].as_str() {
            Some(hub) if done.body["status"] == "assigned" => Ok(Ok(hub.to_owned())),
            _ => Ok(Err(done)),
        }
    }

    /// A record, by the service API.
    pub(crate) fn record(&self, wire: &mut Wire, id: &str) -> io::Result<Reply> {
        let (policy, key) = &self.owner;
        let token = sas_token(DPS, key, in_seconds(600), Some(policy));
        call(wire, "GET", &format!("/registrations/{id}"), &token, b"")
    }

    /// Every acknowledged registration is there, at the hub that the device was told.
    #[track_caller]
    pub(crate) fn assert_kept(&self, acknowledged: &Acknowledged) {
        let mut wire = self.connect().unwrap();
        for (id, hub) in acknowledged {
            let reply = self.record(&mut wire, id).unwrap();
            let state = (&reply.body["status"], &reply.body["assignedHub"]);
            assert_eq!(state, (&json!("assigned"), &json!(hub)), "{id}: {}", reply.body);
        }
    }

    /// The same of each device identity, at its hub.
    #[track_caller]
    pub(crate) fn assert_identities(&self, server: &Server, acknowledged: &Acknowledged) {
        for name in ["hub1", "hub2"] {
            let hub = server.hub(name);
            let host = format!("{name}.localhost");
            let there = |id: &str| hub.get(&format!("/devices/{id}")).status;
            for (id, _) in acknowledged.iter().filter(|(_, at)| **at == host).take(20) {
                assert_eq!(there(id), 200, "{id} at {host}");
            }
        }
    }
}

/// One request on a connection that stays open.
pub(crate) fn call(
    wire: &mut Wire,
    method: &str,
    path: &str,
    token: &str,
    body: &[u8],
) -> io::Result<Reply> {
    let mut request = format!(
        "{method} {path}?api-version=2021-06-01 HTTP/1.1\r\nHost: {DPS}\r\n\
         Authorization: {token}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(body);
    wire.try_send(&request)?;
    wire.try_reply()
}

/// How a refusal of a server that has no room looks.
#[track_caller]
pub(crate) fn assert_says_full(reply: &Reply) {
    assert_eq!((reply.status, &reply.body["errorCode"]), (503, &json!(503_001)), "{}", reply.body);
    assert!(reply.header("retry-after").is_some(), "{:?}", reply.headers);
    assert_ne!(reply.body["message"], Value::Null);
}
