//! Calls of an operator, signed with a shared access policy.

use attestation::{SymmetricKey, sas};
use model::{HostName, Timestamp};
use serde_json::Value;

use super::World;

pub(crate) const DPS: &str = "dps.localhost";
pub(crate) const HUB: &str = "hub1.localhost";

/// What an operator was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Value,
}

impl Answer {
    /// A header's value; `name` in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// The texts of one member of all rows, joined.
    pub(crate) fn ids(&self, member: &str) -> String {
        let rows = self.body.as_array().unwrap_or_else(|| panic!("{}", self.body));
        rows.iter().map(|row| row[member].as_str().unwrap_or("-")).collect::<Vec<_>>().join(" ")
    }
}

impl World {
    /// A token of a service's first policy for its host.
    pub(crate) fn owner(&self, host: &str) -> String {
        let directory = self.gateway.service.directory();
        let name = HostName::parse(host).unwrap();
        let token = |name: &str, key| {
            let expires = self.gateway.service.now().unix_seconds() + 3600;
            sas::create(host, key, Timestamp::from_unix_seconds(expires), Some(name))
        };
        match directory.hub(&name) {
            Some(hub) => {
                let policy = hub.policies.first().unwrap();
                token(policy.name.as_str(), &policy.primary)
            }
            None => {
                let policy = directory.dps.first().unwrap().policies.first().unwrap();
                token(policy.name.as_str(), &policy.primary)
            }
        }
    }

    /// A token of a device for its hub.
    pub(crate) fn device_token(&self, id: &str, key: &str) -> String {
        let key = SymmetricKey::from_base64(key).unwrap();
        let expires = self.gateway.service.now().unix_seconds() + 3600;
        let expires = Timestamp::from_unix_seconds(expires);
        sas::create(&format!("{HUB}/devices/{id}"), &key, expires, None)
    }

    /// One request to a host, signed by its owner.
    pub(crate) async fn operate(
        &self,
        host: &str,
        request: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let token = self.owner(host);
        let mut signed = vec![("Authorization", token.as_str())];
        signed.extend_from_slice(headers);
        self.ask(host, request, &signed, body).await
    }

    /// One request, `GET /path`; the api-version is added where the path has no query.
    pub(crate) async fn ask(
        &self,
        host: &str,
        request: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let (method, path) = request.split_once(' ').unwrap();
        let version = if path.contains('?') { "" } else { "?api-version=2021-10-01" };
        let mut head = format!(
            "{method} {path}{version} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
             Content-Length: {}\r\n",
            body.len()
        );
        let has_type = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if !body.is_empty() && !has_type {
            head.push_str("Content-Type: application/json; charset=utf-8\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let request = format!("{head}\r\n{body}");
        let response = self.exchange(host, request.as_bytes()).await;
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() };
        Answer { status, head: head.to_owned(), body }
    }
}
