//! A device at a provisioning service: register, poll.

use std::sync::Arc;
use std::time::Duration;

use dialect::mqtt::dps::{self, Claim, Operation};
use dialect::mqtt::{Grant, Message};
use dialect::rest::device;
use dialect::rest::error::{ApiFault, WireError};
use model::{ServiceName, limits};
use mqtt::{Connection, Guarantee, Qos, ReceivedPublish, RequestedFilter, SubackCode};
use provisioning::view::{Evidence, RegistrationRequest};
use service::Call;
use tokio::time::Instant;
use tracing::Instrument;

use super::Transport;
use super::sign_in::Shown;
use crate::metrics::{self, Outcome};
use crate::peer::Peer;
use crate::{Gateway, diagnostics, faults, log};

/// How long answers to Java are held back: it loses one that comes before it waits (D-21).
const JAVA_DELAY: Duration = Duration::from_millis(75);

/// A signed-in device; every call is judged anew.
pub(super) struct Device {
    service: ServiceName,
    claim: Claim,
    evidence: Evidence,
    peer: Arc<Peer>,
    transport: Transport,
    subscribed: Option<Guarantee>,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It goes on.
    GoOn,
    /// It ends.
    Close,
}

impl Device {
    pub(super) fn new(
        service: ServiceName,
        claim: Claim,
        shown: Shown,
        peer: Arc<Peer>,
        transport: Transport,
    ) -> Self {
        let evidence = match shown {
            Shown::Nothing | Shown::Unreadable => Evidence::None,
            Shown::Token(token) => Evidence::Sas(token),
            Shown::Chain(chain) => Evidence::X509(chain),
        };
        Self { service, claim, evidence, peer, transport, subscribed: None }
    }

    pub(super) fn subscribe(&mut self, filter: &RequestedFilter) -> SubackCode {
        let grant = dps::grant(&filter.filter, filter.qos.level());
        let (code, guarantee) = granted(grant);
        self.subscribed = guarantee.or(self.subscribed);
        code
    }

    pub(super) fn unsubscribe(&mut self, filter: &str) {
        if dps::grant(filter, 0) != Grant::Refused {
            self.subscribed = None;
        }
    }

    /// Handles a message: the acknowledgement leaves before the answer, as C# needs it.
    pub(super) async fn publish(
        &mut self,
        gateway: &Gateway,
        connection: &mut Connection,
        message: ReceivedPublish,
    ) -> After {
        let Some(operation) = dps::operation(&message.topic) else { return After::Close };
        // The rules may have changed since it signed in.
        if let Err(because) = gateway.admit_device(&self.service, self.peer.address.ip()) {
            tracing::info!(dps.name = %self.service, "{because}");
            return After::Close;
        }
        if let Some(Err(error)) = message.delivery.packet_id().map(|id| connection.acknowledge(id))
        {
            tracing::warn!(%error, "a request was acknowledged twice");
        }
        let call = Call {
            actor: format!("device {}", self.claim.registration_id),
            tracking_id: gateway.service.tracking_id(),
            protocol: self.transport.protocol(),
            from: Some(self.peer.address.ip()),
        };
        diagnostics::tracked(&call.tracking_id);
        let answering = self.answer(gateway, &call, &operation, &message.payload);
        let response = answering.instrument(log::call(&call)).await;
        if self.claim.is_java() {
            tokio::time::sleep(JAVA_DELAY).await;
        }
        self.respond(connection, &response)
    }

    /// Asks the service, counts the call, and writes the answer.
    async fn answer(
        &self,
        gateway: &Gateway,
        call: &Call,
        operation: &Operation,
        payload: &[u8],
    ) -> Message {
        let started = Instant::now();
        log::registration(&self.service, &self.claim.registration_id);
        let (class, answer) = match operation {
            Operation::Register { .. } => {
                (metrics::Operation::Register, self.register(gateway, call, payload).await)
            }
            Operation::Poll { operation_id, .. } => {
                (metrics::Operation::Poll, self.poll(gateway, operation_id).await)
            }
        };
        let outcome = Outcome::of_answer(&answer);
        let protocol = self.transport.counted();
        gateway.metrics.request(class, protocol, outcome, started.elapsed());
        let rid = operation.rid();
        match answer {
            Ok(answer) => dps::response(rid, answer),
            Err(error) => {
                crate::log_refusal(call, &error);
                dps::refusal(rid, &error, &call.tracking_id, gateway.service.now())
            }
        }
    }

    fn respond(&self, connection: &mut Connection, response: &Message) -> After {
        // A device that did not subscribe gets no answer.
        let Some(guarantee) = self.subscribed else { return After::GoOn };
        match connection.publish(&response.topic, &response.payload, guarantee) {
            Ok(_) => After::GoOn,
            Err(error) => {
                tracing::debug!(%error, "an answer could not be sent");
                After::Close
            }
        }
    }

    async fn register(
        &self,
        gateway: &Gateway,
        call: &Call,
        payload: &[u8],
    ) -> Result<device::Answer, WireError> {
        let bytes_max = limits::DPS_MESSAGE_BYTES_MAX;
        if payload.len() > bytes_max {
            return Err(faults::dps(&ApiFault::BodyTooLarge { bytes_max }));
        }
        let Claim { registration_id, api_version, .. } = &self.claim;
        let body = device::register_body(registration_id, api_version, payload)
            .map_err(|fault| faults::dps(&fault))?;
        let request = RegistrationRequest {
            registration_id: self.claim.registration_id.clone(),
            api_version: self.claim.api_version.as_str().to_owned(),
            payload: body.payload,
            csr: body.csr,
            from: Some(self.peer.address.ip()),
        };
        let accepted =
            gateway.service.register(call, &self.service, &request, &self.evidence).await;
        gateway.registered(&accepted, &self.peer);
        match accepted {
            Ok(accepted) => Ok(device::accepted(&accepted.operation_id)),
            Err(error) => Err(faults::register(&error)),
        }
    }

    async fn poll(
        &self,
        gateway: &Gateway,
        operation_id: &str,
    ) -> Result<device::Answer, WireError> {
        let id = &self.claim.registration_id;
        let polled = gateway.service.poll(&self.service, id, operation_id, &self.evidence).await;
        gateway.polled(&polled, &self.peer);
        let polled = polled.map_err(|error| faults::poll(&error))?;
        let (record, shown) = gateway.told(polled, self.peer.server_name.as_deref());
        Ok(device::polled(&record, operation_id, id, shown))
    }
}

/// A granted quality of service, as the codec says it.
pub(super) const fn granted(grant: Grant) -> (SubackCode, Option<Guarantee>) {
    match grant {
        Grant::AtMostOnce => (SubackCode::Granted(Qos::AtMostOnce), Some(Guarantee::AtMostOnce)),
        Grant::AtLeastOnce => (SubackCode::Granted(Qos::AtLeastOnce), Some(Guarantee::AtLeastOnce)),
        Grant::Refused => (SubackCode::Failure, None),
    }
}
