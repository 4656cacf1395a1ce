//! The upgrade request and its answer. Source: RFC 6455 §4.2.

use std::fmt;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};

/// What the accept value is a hash of, after the client's key. Source: RFC 6455 §1.3.
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The one version of the protocol. Source: RFC 6455 §4.1.
const VERSION: &str = "13";
/// The sub-protocol that is spoken, compared without case: the C SDK offers `MQTT`, the others
/// `mqtt`. Source: `dps-device-api` §4.5.
const MQTT: &str = "mqtt";

/// An upgrade request that can be granted.
///
/// The path doesn't matter: `/`, `/mqtt` (Java) and `/$iothub/websocket` are all in use, and
/// hubs and DPS share the last. Source: `dps-device-api` §4.5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    accept: HeaderValue,
    subprotocol: HeaderValue,
}

impl Handshake {
    /// Reads an upgrade request.
    ///
    /// # Errors
    /// Every variant of [`Refusal`], for the first rule that the request breaks.
    pub fn of<B>(request: &Request<B>) -> Result<Self, Refusal> {
        let headers = request.headers();
        let is_http_1_1 = request.version() == Version::HTTP_11;
        if request.method() != Method::GET || !is_http_1_1 || !asks_for_websocket(headers) {
            return Err(Refusal::NotAnUpgrade);
        }
        let version = headers.get(header::SEC_WEBSOCKET_VERSION);
        if version.is_none_or(|value| value.as_bytes().trim_ascii() != VERSION.as_bytes()) {
            return Err(Refusal::Version);
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
        let key = key.unwrap_or_default().trim_ascii();
        if key.is_empty() {
            return Err(Refusal::Key);
        }
        let subprotocol = offered(headers, &header::SEC_WEBSOCKET_PROTOCOL)
            .find(|name| name.eq_ignore_ascii_case(MQTT))
            .and_then(|name| HeaderValue::from_str(name).ok())
            .ok_or(Refusal::Subprotocol)?;
        let accept = accept_value(key).ok_or(Refusal::Key)?;
        Ok(Self { accept, subprotocol })
    }

    /// The sub-protocol, spelled as the client spelled it.
    pub fn subprotocol(&self) -> &HeaderValue {
        &self.subprotocol
    }

    /// The answer, 101, after which the connection is a [`WebSocket`](super::WebSocket).
    ///
    /// The client of the Java SDK lower-cases header names, so hyper's way of writing them does;
    /// of the values it needs `Upgrade` behind a colon and a space, and a sub-protocol. It fails
    /// on any header with an empty value. Source: eclipse/paho.mqtt.java,
    /// `…/internal/websocket/WebSocketHandshake.java`, `receiveHandshakeResponse`.
    pub fn response<B: Default>(&self) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept.clone());
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, self.subprotocol.clone());
        response
    }
}

/// Why an upgrade request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not a GET of HTTP/1.1 with `Connection: Upgrade` and `Upgrade: websocket`.
    NotAnUpgrade,
    /// `Sec-WebSocket-Version` is missing or not 13.
    Version,
    /// `Sec-WebSocket-Key` is missing or empty.
    Key,
    /// No sub-protocol that is spoken here is offered.
    Subprotocol,
}

impl Refusal {
    /// 426 for what another kind of request would mend, 400 for the rest.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotAnUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key | Self::Subprotocol => StatusCode::BAD_REQUEST,
        }
    }

    /// The answer: the status and `{"message": …}`.
    ///
    /// A 426 names what would be accepted, as RFC 9110 §15.5.22 and RFC 6455 §4.2.2 want it.
    pub fn response<B: From<String>>(self) -> Response<B> {
        let body = serde_json::json!({ "message": self.to_string() });
        let mut response = Response::new(B::from(body.to_string()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status() == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        }
        response
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnUpgrade => "a WebSocket upgrade by HTTP/1.1 is needed here",
            Self::Version => "Sec-WebSocket-Version must be 13",
            Self::Key => "Sec-WebSocket-Key is missing",
            Self::Subprotocol => "Sec-WebSocket-Protocol must offer mqtt",
        })
    }
}

impl std::error::Error for Refusal {}

/// Whether a request wants to become a WebSocket, by its `Connection` and `Upgrade` headers.
pub fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let has = |name, word: &str| offered(headers, name).any(|one| one.eq_ignore_ascii_case(word));
    has(&header::CONNECTION, "upgrade") && has(&header::UPGRADE, "websocket")
}

/// The elements of a comma-separated header, which may also be spread over lines.
fn offered<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
}

/// Hashes the key as it came: what it decodes to is nobody's business. Source: RFC 6455 §4.2.2.
fn accept_value(key: &[u8]) -> Option<HeaderValue> {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, ACCEPT_SUFFIX].concat());
    HeaderValue::try_from(STANDARD.encode(hash)).ok()
}

#[cfg(test)]
mod tests;
