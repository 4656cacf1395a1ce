//! Calls the registries of hubs that live elsewhere, over HTTPS, with a token of their connection
//! string's key.

use std::sync::Arc;

use async_trait::async_trait;
use attestation::sas;
use dialect::rest::{JSON, registry};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, header};
use model::{DeviceId, limits};
use provisioning::instance::RemoteHub;
use provisioning::remote::{Call, Found, Miss};
use rustls::ClientConfig;
use service::{Clock, Registries};
use tokio::time::timeout;

use crate::https;

const HTTPS: u16 = 443;

/// A client of registries.
pub struct Client {
    tls: Arc<ClientConfig>,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// A client that believes the certificates that it is told to.
    pub fn new(tls: Arc<ClientConfig>, clock: Arc<dyn Clock>) -> Self {
        Self { tls, clock }
    }

    async fn ask(&self, hub: &RemoteHub, request: registry::Request) -> Result<(u16, Bytes), Miss> {
        let RemoteHub { authority, policy, key } = hub;
        let expires = self.clock.now().plus(limits::REMOTE_HUB_TOKEN_LIFETIME);
        let token = sas::create(authority, key, expires, Some(policy.as_str()));
        let registry::Request { method, path, if_match, body } = request;
        let mut asked = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, authority)
            .header(header::AUTHORIZATION, token)
            .header(header::ACCEPT, "application/json")
            .header(header::CONNECTION, "close");
        if let Some(etag) = if_match {
            asked = asked.header(header::IF_MATCH, etag);
        }
        if body.is_some() {
            asked = asked.header(header::CONTENT_TYPE, JSON);
        }
        let asked = asked
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|_| Miss::Refused("its etag or address can not be sent".to_owned()))?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().unwrap_or(HTTPS)),
            None => (authority.as_str(), HTTPS),
        };
        let connecting = async {
            let addresses = https::addresses(host, port).await?;
            https::connect(&self.tls, host, &addresses).await
        };
        let late = |what: &str| Miss::Unreachable(what.to_owned());
        let stream = timeout(limits::REMOTE_HUB_CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| late("it took no connection"))?
            .map_err(missed)?;
        let exchange = https::exchange(stream, asked, limits::REMOTE_HUB_ANSWER_BYTES_MAX);
        timeout(limits::REMOTE_HUB_TIMEOUT, exchange)
            .await
            .map_err(|_| late("it gave no answer in time"))?
            .map(|(head, body)| (head.status.as_u16(), body))
            .map_err(missed)
    }
}

fn missed(miss: https::Miss) -> Miss {
    match miss {
        https::Miss::Hopeless(because) | https::Miss::NoTls { because, refused: true } => {
            Miss::Refused(because)
        }
        // What can not be read may have been carried out.
        https::Miss::NoTls { because, refused: false }
        | https::Miss::Passing(because)
        | https::Miss::Unreadable(because) => Miss::Unreachable(because),
    }
}

#[async_trait]
impl Registries for Client {
    async fn call(
        &self,
        hub: &RemoteHub,
        device_id: &DeviceId,
        call: &Call<'_>,
    ) -> Result<Option<Found>, Miss> {
        if !matches!(call, Call::Read) {
            let (status, body) = self.ask(hub, registry::request(device_id, call)).await?;
            return registry::written(call, status, &body).map(|()| None);
        }
        let (status, body) = self.ask(hub, registry::read_device(device_id)).await?;
        let Some(device) = registry::device(status, &body)? else { return Ok(None) };
        let (status, body) = self.ask(hub, registry::read_twin(device_id)).await?;
        registry::found(device, status, &body)
    }
}

#[cfg(test)]
mod tests;
