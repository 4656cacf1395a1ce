//! Asks the custom allocation webhooks of operators, over HTTPS (W-01 to W-10).
//!
//! A request goes to the very address that was judged, so that a name can not be pointed elsewhere
//! in between; a redirection is an answer like any other refusal and is not followed.

mod address;
mod events;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use attestation::SymmetricKey;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dialect::rest::{JSON, webhook};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::http::request::Builder;
use hyper::http::response::Parts;
use hyper::{Method, Request, Uri, header};
use model::limits;
use provisioning::allocation::custom::{Answer, NoAnswer};
use rustls::ClientConfig;
use service::{Clock, Inquiry, Webhooks};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;

use crate::https;

const HTTPS: u16 = 443;
/// The waits between the tries of one question; a try more than waits.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];

/// What an operator sets for all webhooks.
pub struct Trust {
    /// Which certificates a webhook may show.
    pub tls: Arc<ClientConfig>,
    /// Whether one may be asked at an address that is not of the public Internet.
    pub private_addresses: bool,
    /// What requests are signed with, by the Standard Webhooks specification.
    pub signing_keys: SigningKeys,
}

/// The secrets that are shared with webhooks; each request is signed with every one of its host's.
#[derive(Clone, Debug, Default)]
pub struct SigningKeys {
    /// Of these hosts alone, in lower case, so that none of them can sign for another one.
    pub of_hosts: Vec<(String, SymmetricKey)>,
    /// Of all other hosts.
    pub of_others: Vec<SymmetricKey>,
}

impl SigningKeys {
    fn of(&self, host: &str) -> Vec<&SymmetricKey> {
        let own = self.of_hosts.iter().filter(|(of, _)| of.eq_ignore_ascii_case(host));
        let own: Vec<_> = own.map(|(_, key)| key).collect();
        if own.is_empty() { self.of_others.iter().collect() } else { own }
    }
}

/// A client of webhooks.
pub struct Client {
    trust: Trust,
    patience: Duration,
    clock: Arc<dyn Clock>,
}

/// Why a try came to nothing.
enum Miss {
    /// Another one would come to the same.
    Final(String),
    /// Another one may do better.
    Passing(String),
}

impl From<https::Miss> for Miss {
    fn from(miss: https::Miss) -> Self {
        match miss {
            https::Miss::Passing(because) => Self::Passing(because),
            // A certificate that is not trusted now is not in a second either.
            https::Miss::Hopeless(because)
            | https::Miss::NoTls { because, .. }
            | https::Miss::Unreadable(because) => Self::Final(because),
        }
    }
}

impl Client {
    /// A client that trusts as it is told.
    pub fn new(trust: Trust, clock: Arc<dyn Clock>) -> Self {
        Self { trust, patience: limits::WEBHOOK_TIMEOUT, clock }
    }

    /// Sends a request once; gives the head of the answer and its body.
    async fn tried(
        &self,
        url: &Uri,
        request: Request<Full<Bytes>>,
    ) -> Result<(Parts, Bytes), Miss> {
        let host = url.host().ok_or_else(|| Miss::Final("its address names no host".to_owned()))?;
        let connecting = timeout(limits::WEBHOOK_CONNECT_TIMEOUT, self.connect(url, host));
        let stream =
            connecting.await.map_err(|_| Miss::Passing("it took no connection".to_owned()))??;
        let exchanged = https::exchange(stream, request, limits::WEBHOOK_ANSWER_BYTES_MAX).await;
        exchanged.map_err(Miss::from)
    }

    async fn connect(&self, url: &Uri, host: &str) -> Result<TlsStream<TcpStream>, Miss> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = self.addresses(host, url.port_u16().unwrap_or(HTTPS)).await?;
        https::connect(&self.trust.tls, host, &addresses).await.map_err(Miss::from)
    }

    /// The addresses of a host that may be asked.
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Miss> {
        let found = https::addresses(host, port).await.map_err(Miss::from)?;
        let (allowed, refused): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|address| self.trust.private_addresses || address::is_public(address.ip()));
        match (allowed.is_empty(), refused.first()) {
            (false, _) => Ok(allowed),
            (true, Some(private)) => Err(Miss::Final(format!(
                "{host} is at {}, which is no public address: webhooks.private_addresses = true \
                 allows it",
                private.ip()
            ))),
            (true, None) => Err(Miss::Passing(format!("{host} has no address"))),
        }
    }

    /// A signed POST.
    fn post(
        &self,
        url: &Uri,
        media_type: &str,
        id: &str,
        body: &Bytes,
    ) -> Result<Request<Full<Bytes>>, Miss> {
        let mut request = addressed(Method::POST, url)?.header(header::CONTENT_TYPE, media_type);
        let keys = self.trust.signing_keys.of(url.host().unwrap_or_default());
        if !keys.is_empty() {
            for (name, value) in signature(&keys, id, self.clock.now().unix_seconds(), body) {
                request = request.header(name, value);
            }
        }
        whole(request, body.clone())
    }

    /// Tries until there is an answer that another try would not better.
    async fn answered(&self, url: &Uri, id: &str, body: &Bytes) -> Result<(u16, Bytes), String> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let tried = match self.post(url, JSON, id, body) {
                Ok(request) => self.tried(url, request).await,
                Err(miss) => Err(miss),
            };
            let tried = tried.map(|(head, body)| (head.status.as_u16(), body));
            let pause = match &tried {
                Ok((429 | 500..=599, _)) | Err(Miss::Passing(_)) => pauses.next(),
                Ok(_) | Err(Miss::Final(_)) => None,
            };
            match (pause, tried) {
                (Some(pause), _) => sleep(pause).await,
                (None, Ok(answer)) => return Ok(answer),
                (None, Err(Miss::Final(because) | Miss::Passing(because))) => return Err(because),
            }
        }
    }
}

#[async_trait]
impl Webhooks for Client {
    async fn ask(&self, inquiry: &Inquiry<'_>) -> Result<Answer, NoAnswer> {
        let Inquiry { question, operation_id, registration_id, entry, evidence } = *inquiry;
        let none = |because| NoAnswer { status: None, because };
        let url: Uri = question
            .webhook
            .webhook_url
            .parse()
            .map_err(|error| none(format!("its address is none: {error}")))?;
        let body = Bytes::from(webhook::request(registration_id, entry, question, evidence));
        let asking = timeout(self.patience, self.answered(&url, operation_id, &body));
        match asking.await {
            Ok(Ok((status, body))) => webhook::answer(status, &body),
            Ok(Err(because)) => Err(none(because)),
            Err(_) => Err(none(format!("it gave no answer in {:?}", self.patience))),
        }
    }
}

/// A request to an address, on a connection of its own.
fn addressed(method: Method, url: &Uri) -> Result<Builder, Miss> {
    let (Some(authority), Some(path)) = (url.authority(), url.path_and_query()) else {
        return Err(Miss::Final("its address has no path".to_owned()));
    };
    Ok(Request::builder()
        .method(method)
        .uri(path.as_str())
        .header(header::HOST, authority.as_str())
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close"))
}

fn whole(request: Builder, body: Bytes) -> Result<Request<Full<Bytes>>, Miss> {
    request
        .body(Full::new(body))
        .map_err(|error| Miss::Final(format!("its address can not be asked: {error}")))
}

/// The headers of the Standard Webhooks specification, version 1, symmetric.
fn signature(
    keys: &[&SymmetricKey],
    id: &str,
    at: i64,
    body: &[u8],
) -> [(&'static str, String); 3] {
    let signed = [format!("{id}.{at}.").as_bytes(), body].concat();
    let macs = keys.iter().map(|key| format!("v1,{}", STANDARD.encode(key.sign(&signed))));
    [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", at.to_string()),
        ("webhook-signature", macs.collect::<Vec<_>>().join(" ")),
    ]
}

#[cfg(test)]
mod tests;
