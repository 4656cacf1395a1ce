//! A device on its hub: telemetry, twin.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use ::hub::permit::{Evidence, Permit};
use ::hub::twin::Twin;
use dialect::mqtt::hub::{self, Claim, Mark, Operation, Properties, Subscription};
use dialect::mqtt::{Message, Refusal};
use dialect::rest::error::{ApiFault, Missing, WireError};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use model::{HostName, Timestamp, limits};
use mqtt::{Connection, Guarantee, PacketId, ReceivedPublish, RequestedFilter, SubackCode};
use service::access::sessions::Session;
use service::{Call, ConnectError, Connecting, TelemetryError};
use tokio::time::Instant;
use tracing::Instrument;

use super::Transport;
use super::dps::granted;
use super::sign_in::Shown;
use crate::diagnostics::{self, Connected};
use crate::metrics::{Operation as Counted, Outcome};
use crate::{Gateway, faults, log};

pub(super) use super::dps::After;

/// An append under way: what to acknowledge when it is durable.
type Append = Pin<Box<dyn Future<Output = Result<Option<PacketId>, TelemetryError>> + Send>>;

/// A signed-in device; it lives as long as its permit.
pub(super) struct Device {
    gateway: Arc<Gateway>,
    session: Arc<Session>,
    claim: Claim,
    expires: Instant,
    appends: FuturesUnordered<Append>,
    twin_responses: Option<Guarantee>,
    transport: Transport,
    _connected: Option<Connected>,
}

/// What a device's connection wakes up for.
pub(super) enum Woken {
    /// A message is durable: acknowledge it, if it asked for that.
    Kept(Option<PacketId>),
    /// The permit is gone, or a message could not be kept: the device must see no more of us.
    MustEnd,
}

impl Device {
    /// Signs the device in.
    pub(super) async fn connect(
        gateway: &Arc<Gateway>,
        host: HostName,
        from: IpAddr,
        claim: Claim,
        shown: Shown,
        transport: Transport,
    ) -> Result<Self, Refusal> {
        let evidence = match shown {
            Shown::Nothing | Shown::Unreadable => Evidence::None,
            Shown::Token(token) => Evidence::Sas(token),
            Shown::Chain(chain) => match chain.into_iter().next() {
                Some(leaf) => Evidence::X509(Box::new(leaf)),
                None => Evidence::None,
            },
        };
        if claim.module_id.is_some() {
            // Module identities come with the hub's later parts; until then there are none.
            return Err(Refusal::NotAuthorized);
        }
        let device_id = claim.device_id.clone();
        diagnostics::hub(&host);
        diagnostics::device(&device_id);
        let (hub, id, protocol) = (host.clone(), device_id.clone(), transport.protocol());
        let named = claim.host.clone();
        let connecting = Connecting { hub: host, named, device_id, from, evidence };
        match gateway.service.connect(connecting).await {
            Ok((session, permit)) => Ok(Self {
                gateway: Arc::clone(gateway),
                session: Arc::new(session),
                claim,
                expires: expiry(&permit, gateway.service.now()),
                appends: FuturesUnordered::new(),
                twin_responses: None,
                transport,
                _connected: Connected::new(gateway, hub, id, from, protocol),
            }),
            Err(error) => {
                let call = call(gateway, &claim, transport);
                log::call(&call).in_scope(|| {
                    log::device(&claim.host, &claim.device_id);
                    crate::log_refusal(&call, &faults::connect(&error));
                });
                Err(match error {
                    ConnectError::Fault(_) => Refusal::Unavailable,
                    ConnectError::UnknownHub
                    | ConnectError::Denied(_)
                    | ConnectError::Closed(_) => Refusal::NotAuthorized,
                })
            }
        }
    }

    /// Waits for the end of the permit, or for an append; the end comes first.
    pub(super) async fn woken(&mut self) -> Woken {
        let session = Arc::clone(&self.session);
        tokio::select! {
            biased;
            _ = session.closing() => Woken::MustEnd,
            () = tokio::time::sleep_until(self.expires) => Woken::MustEnd,
            Some(kept) = self.appends.next() => match kept {
                Ok(packet_id) => Woken::Kept(packet_id),
                Err(error) => {
                    let call = call(&self.gateway, &self.claim, self.transport);
                    log::call(&call).in_scope(|| {
                        log::device(&self.claim.host, &self.claim.device_id);
                        crate::log_refusal(&call, &faults::telemetry(&error));
                    });
                    Woken::MustEnd
                }
            },
        }
    }

    pub(super) fn subscribe(&mut self, filter: &RequestedFilter) -> SubackCode {
        let (code, guarantee) =
            granted(hub::grant(&filter.filter, filter.qos.level(), &self.claim));
        if hub::subscription(&filter.filter, &self.claim) == Some(Subscription::TwinResponses) {
            self.twin_responses = guarantee;
        }
        code
    }

    pub(super) fn unsubscribe(&mut self, filter: &str) {
        if hub::subscription(filter, &self.claim) == Some(Subscription::TwinResponses) {
            self.twin_responses = None;
        }
    }

    pub(super) async fn publish(
        &mut self,
        gateway: &Gateway,
        connection: &mut Connection,
        message: ReceivedPublish,
    ) -> After {
        let started = Instant::now();
        let (host, id) = self.session.key();
        diagnostics::hub(host);
        diagnostics::device(id);
        match hub::operation(&message.topic, &self.claim) {
            Operation::Telemetry(properties)
                if counted_bytes(&message.payload, &properties)
                    > limits::TELEMETRY_MESSAGE_BYTES_MAX =>
            {
                After::Close
            }
            Operation::Telemetry(properties) => {
                self.telemetry(message, properties);
                After::GoOn
            }
            Operation::TwinGet { rid } => {
                acknowledge(connection, &message);
                let span = self.span();
                let told = twin(gateway, Arc::clone(&self.session)).instrument(span.clone()).await;
                span.in_scope(|| {
                    self.count(Counted::TwinGet, Outcome::of_answer(&told), started);
                });
                let told = told.map(|twin| hub::twin(&rid, &twin));
                self.respond(gateway, connection, &rid, told)
            }
            Operation::TwinReport { rid } => {
                let span = self.span();
                let reporting = report(gateway, Arc::clone(&self.session), &message.payload);
                let told = reporting.instrument(span.clone()).await;
                acknowledge(connection, &message);
                span.in_scope(|| {
                    self.count(Counted::TwinReport, Outcome::of_answer(&told), started);
                });
                let told = told.map(|version| hub::report_taken(&rid, version));
                self.respond(gateway, connection, &rid, told)
            }
            // Methods are not invoked yet, so that no response is waited for.
            Operation::MethodResponse { .. } => {
                acknowledge(connection, &message);
                self.count(Counted::MethodResponse, Outcome::Answered, started);
                After::GoOn
            }
            Operation::Unknown => {
                self.count(Counted::Unknown, Outcome::Refused, started);
                After::Close
            }
        }
    }

    /// Starts an append; its acknowledgement waits until it is durable.
    fn telemetry(&mut self, message: ReceivedPublish, mut properties: Properties) {
        if message.retain {
            properties.mark(Mark::Retain);
        }
        let packet_id = message.delivery.packet_id();
        let kept = service::Message {
            system_properties: properties.system,
            properties: properties.application,
            body: message.payload,
        };
        let (gateway, session) = (Arc::clone(&self.gateway), Arc::clone(&self.session));
        let (protocol, started) = (self.transport.counted(), Instant::now());
        let append = async move {
            // Without a permit there is no acknowledgement: the closing signal ends the rest.
            let Some((_operation, permit)) = session.begin().await else {
                return std::future::pending().await;
            };
            let kept = gateway.service.telemetry(&session, &permit, kept).await;
            let outcome = if kept.is_ok() { Outcome::Answered } else { Outcome::Error };
            gateway.metrics.request(Counted::Telemetry, protocol, outcome, started.elapsed());
            kept.map(|()| packet_id)
        };
        self.appends.push(Box::pin(append.instrument(self.span())));
    }

    /// The span of an operation of this device.
    fn span(&self) -> tracing::Span {
        let (host, id) = (&self.claim.host, &self.claim.device_id);
        log::operation(&self.gateway, self.transport.protocol(), Some(host), Some(id))
    }

    fn count(&self, operation: Counted, outcome: Outcome, started: Instant) {
        let (protocol, took) = (self.transport.counted(), started.elapsed());
        self.gateway.metrics.request(operation, protocol, outcome, took);
    }

    fn respond(
        &self,
        gateway: &Gateway,
        connection: &mut Connection,
        rid: &str,
        told: Result<Message, WireError>,
    ) -> After {
        let Some(guarantee) = self.twin_responses else { return After::GoOn };
        let response = told.unwrap_or_else(|error| {
            let call = call(gateway, &self.claim, self.transport);
            log::call(&call).in_scope(|| {
                log::device(&self.claim.host, &self.claim.device_id);
                crate::log_refusal(&call, &error);
            });
            hub::twin_refusal(rid, &error, &call.tracking_id, gateway.service.now())
        });
        match connection.publish(&response.topic, &response.payload, guarantee) {
            Ok(_) => After::GoOn,
            Err(error) => {
                tracing::debug!(%error, "an answer could not be sent");
                After::Close
            }
        }
    }
}

async fn twin(gateway: &Gateway, session: Arc<Session>) -> Result<Twin, WireError> {
    let (host, id) = session.key();
    let Some(_operation) = session.begin().await else {
        return Err(faults::hub(&ApiFault::Unauthorized));
    };
    let twin = gateway.service.twin(host, id).await;
    twin.map_err(|error| faults::hub_api(&error, Missing::Device { id: id.to_string() }))
}

async fn report(
    gateway: &Gateway,
    session: Arc<Session>,
    payload: &[u8],
) -> Result<u64, WireError> {
    let (host, id) = session.key();
    let patch = hub::reported(payload).map_err(|fault| faults::hub(&fault))?;
    let Some(_operation) = session.begin().await else {
        return Err(faults::hub(&ApiFault::Unauthorized));
    };
    let reported = gateway.service.report(host, id, &patch).await;
    reported.map_err(|error| faults::hub_api(&error, Missing::Device { id: id.to_string() }))
}

/// What a message's bound counts: the body, the system properties' values, the application's
/// names and values. Source: `iot-hub` §7.2.
fn counted_bytes(body: &[u8], properties: &Properties) -> usize {
    let system = properties.system.iter().map(|(_, value)| value.len());
    let application = properties
        .application
        .iter()
        .map(|(name, value)| name.len() + value.as_ref().map_or(0, String::len));
    body.len() + system.chain(application).sum::<usize>()
}

fn acknowledge(connection: &mut Connection, message: &ReceivedPublish) {
    if let Some(Err(error)) = message.delivery.packet_id().map(|id| connection.acknowledge(id)) {
        tracing::warn!(%error, "a message was acknowledged twice");
    }
}

fn call(gateway: &Gateway, claim: &Claim, transport: Transport) -> Call {
    Call {
        actor: format!("device {}", claim.device_id),
        tracking_id: gateway.service.tracking_id(),
        protocol: transport.protocol(),
        from: None,
    }
}

/// When the evidence itself expires, by the monotonic clock; far off is never.
fn expiry(permit: &Permit, now: Timestamp) -> Instant {
    const FAR: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);
    Instant::now() + permit.until.since(now).min(FAR)
}
