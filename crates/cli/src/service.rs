//! A service's REST API under one policy's key: signed requests, pages, refusals.

use std::sync::Arc;
use std::time::Duration;

use attestation::{SymmetricKey, sas};
use model::Timestamp;
use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::transport::{Method, Reply, Request, Target, Transport};

/// How long a token is good for; the one of `az` over HTTP (K-05).
const TOKEN_LIFE: Duration = Duration::from_secs(600);

/// The version of the DPS service API; what `az` sends.
pub(crate) const DPS_API: &str = "2021-10-01";
/// The version of the hub service API; what the Python and Node SDKs send.
pub(crate) const HUB_API: &str = "2021-04-12";
/// The version of Muster's own API.
pub(crate) const ADMIN_API: &str = "2026-11-01";

/// What every service says of an address that it does not know; the code stands for more.
const NOTHING_THERE: &str = "There is nothing at this address";

/// The media type of a body.
const JSON: &str = "application/json; charset=utf-8";
/// The media type of JSON lines.
const JSON_LINES: &str = "application/x-ndjson";

/// What opens a service.
#[derive(Clone)]
pub(crate) enum Credential {
    /// A policy's key.
    Key {
        /// What tokens are made for: the host, with a port where the operator gave one.
        resource: String,
        /// The policy.
        policy: String,
        /// Its key.
        key: SymmetricKey,
    },
    /// A bearer token.
    Token(String),
}

/// One service, and a key to it.
#[derive(Clone)]
pub(crate) struct Service {
    /// Carries the requests.
    pub(crate) transport: Arc<dyn Transport>,
    /// Tells the time, for tokens.
    pub(crate) clock: fn() -> Timestamp,
    /// Where it is.
    pub(crate) target: Target,
    /// What it is opened with.
    pub(crate) credential: Credential,
    /// `api-version` of every request.
    pub(crate) api_version: &'static str,
}

/// One call of a service.
pub(crate) struct Call {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
    doing: String,
}

impl Call {
    fn new(method: Method, path: String, doing: String) -> Self {
        Self { method, path, headers: Vec::new(), body: None, doing }
    }

    /// Reads; `doing` completes the sentence "can not …".
    pub(crate) fn get(path: String, doing: impl Into<String>) -> Self {
        Self::new(Method::Get, path, doing.into())
    }

    /// Asks.
    pub(crate) fn post(path: String, doing: impl Into<String>) -> Self {
        Self::new(Method::Post, path, doing.into())
    }

    /// Creates or replaces.
    pub(crate) fn put(path: String, body: Value, doing: impl Into<String>) -> Self {
        Self { body: Some(body), ..Self::new(Method::Put, path, doing.into()) }
    }

    /// Deletes.
    pub(crate) fn delete(path: String, doing: impl Into<String>) -> Self {
        Self::new(Method::Delete, path, doing.into())
    }

    /// Demands that the thing exists, and in this version if one is given.
    pub(crate) fn if_match(mut self, etag: Option<&str>) -> Self {
        let etag = match etag {
            None | Some("*") => "*".to_owned(),
            Some(etag) if etag.starts_with('"') => etag.to_owned(),
            Some(etag) => format!("\"{etag}\""),
        };
        self.headers.push(("if-match", etag));
        self
    }

    /// Adds a body.
    pub(crate) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
}

impl Service {
    /// The service's name in messages.
    pub(crate) fn place(&self) -> &str {
        &self.target.host
    }

    /// Calls, and reads the answer's JSON; `null` for an empty one.
    pub(crate) async fn call(&self, call: Call) -> Result<Value> {
        let doing = call.doing.clone();
        let reply = self.send(call).await?;
        self.read(&reply, &doing)
    }

    /// Calls for a list that comes in pages, and hands on each as it comes.
    ///
    /// `top` bounds the items; a negative one does not, as with `az`. Source: Z-06, Q-02, Q-03.
    pub(crate) async fn pages(
        &self,
        call: impl Fn() -> Call,
        top: Option<i64>,
        page_items: Option<u64>,
        mut each: impl FnMut(&[Value]) -> Result,
    ) -> Result {
        let mut left = top.and_then(|top| u64::try_from(top).ok());
        let mut continuation: Option<String> = None;
        while left != Some(0) {
            let mut call = call();
            let items = [left, page_items].into_iter().flatten().min();
            if let Some(items) = items {
                call.headers.push(("x-ms-max-item-count", items.to_string()));
            }
            if let Some(token) = continuation.take() {
                call.headers.push(("x-ms-continuation", token));
            }
            let doing = call.doing.clone();
            let reply = self.send(call).await?;
            let Value::Array(mut page) = self.read(&reply, &doing)? else {
                return Err(Failure::new(format!("can not {doing}: the answer is not a list")));
            };
            if let Some(left) = &mut left {
                page.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left = left.saturating_sub(u64::try_from(page.len()).unwrap_or(u64::MAX));
            }
            each(&page)?;
            match reply.header("x-ms-continuation").filter(|token| !token.is_empty()) {
                Some(token) => continuation = Some(token.to_owned()),
                None => break,
            }
        }
        Ok(())
    }

    /// Posts JSON lines, and gives the answer as it is.
    pub(crate) async fn post_lines(&self, path: &str, lines: Vec<u8>) -> Result<Reply> {
        self.deliver(Method::Post, path, Vec::new(), Some((JSON_LINES, lines))).await
    }

    async fn send(&self, call: Call) -> Result<Reply> {
        let body = call.body.map(|body| (JSON, body.to_string().into_bytes()));
        self.deliver(call.method, &call.path, call.headers, body).await
    }

    async fn deliver(
        &self,
        method: Method,
        path: &str,
        more: Vec<(&'static str, String)>,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Reply> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let token = match &self.credential {
            Credential::Key { resource, policy, key } => {
                sas::create(resource, key, (self.clock)().plus(TOKEN_LIFE), Some(policy))
            }
            Credential::Token(token) => format!("Bearer {token}"),
        };
        let mut headers = vec![("accept", "application/json".to_owned()), ("authorization", token)];
        headers.extend(more);
        if let Some((media_type, _)) = &body {
            headers.push(("content-type", (*media_type).to_owned()));
        }
        let request = Request {
            method,
            target: format!("{path}{mark}api-version={}", self.api_version),
            headers,
            body: body.map(|(_, bytes)| bytes),
        };
        self.transport.send(&self.target, &request).await
    }

    /// Whether a service that an operator named was asked what the administration alone knows.
    fn is_no_administration(&self, reply: &Reply) -> bool {
        let named = self.target.address.is_none();
        named
            && self.api_version == ADMIN_API
            && reply.status == 404
            && String::from_utf8_lossy(&reply.body).contains(NOTHING_THERE)
    }

    fn read(&self, reply: &Reply, doing: &str) -> Result<Value> {
        if !reply.is_success() {
            let refused = Failure::refused(doing, self.place(), reply);
            if self.is_no_administration(reply) {
                return Err(Failure::usage(format!(
                    "can not {doing}: {} is a service of a server, not its administration",
                    self.place()
                ))
                .hint(
                    "--login of this command wants the connectionString of admin.json in the \
                     server's data directory; those that `connection-string show` prints are for \
                     a service's enrollments, records and devices",
                ));
            }
            let challenge = reply.header("www-authenticate").unwrap_or_default();
            return Err(match (&self.credential, reply.status) {
                (Credential::Token(_), 401) => refused.hint_instead(
                    "the token has expired, is for another audience, or its issuer is not trusted",
                ),
                (Credential::Token(_), 403) if challenge.contains("insufficient_scope") => refused
                    .hint_instead(
                        "the token's role is not enough: a reader reads, a contributor changes; \
                         policies and their keys want a policy's key or, of the administration, \
                         admin.json",
                    ),
                (Credential::Key { .. } | Credential::Token(_), _) => refused,
            });
        }
        if reply.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&reply.body).map_err(|error| {
            Failure::new(format!(
                "can not {doing}: the answer of {} is not JSON: {error}",
                self.place()
            ))
            .hint("is this the host of a Muster service?")
        })
    }
}

/// An id as one path segment: everything but unreserved characters is percent-encoded.
pub(crate) fn segment(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    // A segment of dots alone would be taken for a step in the path.
    if out == "." || out == ".." { out.replace('.', "%2E") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_03_ids_are_one_segment() {
        for (id, path) in [("a-b._:c", "a-b._%3Ac"), ("a/b?c#d", "a%2Fb%3Fc%23d"), ("..", "%2E%2E")]
        {
            assert_eq!(segment(id), path);
        }
    }

    #[test]
    fn a_29_etags_are_quoted_once() {
        for (given, sent) in
            [(None, "*"), (Some("*"), "*"), (Some("x"), "\"x\""), (Some("\"x\""), "\"x\"")]
        {
            let call = Call::delete("/d".into(), "d").if_match(given);
            assert_eq!(call.headers, [("if-match", sent.to_owned())]);
        }
    }
}
