//! Sockets: listeners, TLS, drivers.
//!
//! What it is: the only place with sockets. Every port is accepted, handshaken and bounded by
//! [`listener`]; [`mqtt_driver`] and [`http`] move bytes between a connection and `service`, in
//! the words of `dialect`.
//!
//! What it is not: rules, statuses, storage.
//!
//! Invariants: TLS proves possession and remembers nothing; a connection's place, its deadline and
//! its end are owned by one task; an operator's host never asks for a client certificate.

pub mod diagnostics;
mod faults;
pub mod http;
mod https;
pub mod issuers;
pub mod listener;
mod log;
pub mod metrics;
pub mod monitoring;
pub mod mqtt_driver;
pub mod peer;
mod presented;
pub mod registries;
#[cfg(test)]
mod tests;
pub mod tls;
mod told;
pub mod webhooks;
pub mod websocket;

use std::net::IpAddr;
use std::sync::Arc;

use attestation::access::Policy;
use attestation::network::{Api, NetworkAccess, Refused};
use model::{HostName, ServiceName};
use service::{Endpoint, Service};

pub use http::AdminRight;
pub use presented::Intermediates;

pub(crate) use log::refusal as log_refusal;

use issuers::Issuers;
use listener::{Accepted, Handler};
use metrics::Metrics;
use mqtt_driver::Transport;

/// What the drivers work on.
pub struct Gateway {
    /// Everything that can be asked.
    pub service: Arc<Service>,
    /// Who may administer.
    pub admin_policies: Vec<Policy<AdminRight>>,
    /// From where; loopback always may.
    pub admin_network: NetworkAccess,
    /// Whose bearer tokens are taken.
    pub issuers: Arc<dyn Issuers>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What clients present beside their own certificates.
    pub intermediates: Intermediates,
}

impl Gateway {
    /// What a host name stands for; none for an unknown or absent one.
    pub(crate) fn endpoint_of(&self, host: Option<&str>) -> Option<Endpoint> {
        let host = HostName::parse(host?).ok()?;
        self.service.directory().endpoint(&host).cloned()
    }

    /// Whether a device may call a provisioning service from an address.
    pub(crate) fn admit_device(&self, dps: &ServiceName, from: IpAddr) -> Result<(), Refused> {
        let directory = self.service.directory();
        let Some(dps) = directory.dps(dps) else { return Ok(()) };
        dps.network.admit(from, Api::Device, self.service.private_networks())
    }

    /// Serves MQTT connections.
    pub fn mqtt_handler(self: &Arc<Self>) -> Handler {
        let gateway = Arc::clone(self);
        Arc::new(move |accepted: Accepted| {
            let Accepted { stream, peer, shutdown } = accepted;
            let gateway = Arc::clone(&gateway);
            let peer = Arc::new(peer);
            Box::pin(mqtt_driver::serve(gateway, stream, peer, Transport::Tls, shutdown))
        })
    }

    /// Serves HTTPS connections and the WebSockets that they become.
    pub fn https_handler(self: &Arc<Self>) -> Handler {
        let gateway = Arc::clone(self);
        Arc::new(move |accepted: Accepted| {
            let Accepted { stream, peer, shutdown } = accepted;
            let gateway = Arc::clone(&gateway);
            Box::pin(http::serve(gateway, stream, Arc::new(peer), shutdown))
        })
    }
}
