//! A CONNECT: whom the client speaks for, and whether its claim agrees with SNI (D-22).

use std::fmt;
use std::sync::Arc;

use attestation::sas::SasToken;
use attestation::x509::Certificate;
use dialect::mqtt::{Addressee, Credential, Refusal, SignIn, addressee};
use model::{HostName, IdScope, limits};
use mqtt::{ConnectRefusal, ConnectRequest, SessionPresent};
use service::Endpoint;
use tokio::time::Instant;
use tracing::Instrument;

use super::{Client, Driver, dps, hub};
use crate::Intermediates;
use crate::metrics::{Operation, Outcome};
use crate::peer::Peer;
use crate::presented::Presented;

/// What a client shows: a token before a certificate, as it is the more deliberate.
pub(super) enum Shown {
    /// Neither.
    Nothing,
    /// Something that is neither a token nor a certificate that can be read.
    Unreadable,
    /// A token.
    Token(SasToken),
    /// A chain, leaf first.
    Chain(Vec<Certificate>),
}

impl Shown {
    fn of(request: &ConnectRequest, peer: &Peer, intermediates: &Intermediates) -> Self {
        match &request.password {
            Some(password) if !password.0.is_empty() => {
                let token = std::str::from_utf8(&password.0)
                    .ok()
                    .and_then(|text| SasToken::parse(text).ok());
                token.map_or(Self::Unreadable, Self::Token)
            }
            Some(_) | None => match peer.presented(intermediates) {
                Presented::Nothing => Self::Nothing,
                Presented::Unreadable => Self::Unreadable,
                Presented::Chain(chain) => Self::Chain(chain.clone()),
            },
        }
    }

    const fn credential(&self) -> Credential {
        match self {
            Self::Nothing => Credential::Missing,
            Self::Unreadable | Self::Token(_) | Self::Chain(_) => Credential::Shown,
        }
    }
}

impl Driver {
    /// Decides about a CONNECT and answers it.
    pub(super) async fn sign_in(&mut self, request: ConnectRequest) {
        let started = Instant::now();
        let span = crate::log::operation(&self.gateway, self.transport.protocol(), None, None);
        let client = self.client_of(&request).instrument(span.clone()).await;
        let outcome = if client.is_ok() { Outcome::Answered } else { Outcome::Refused };
        let (protocol, took) = (self.transport.counted(), started.elapsed());
        span.in_scope(|| {
            self.gateway.metrics.request(Operation::SignIn, protocol, outcome, took);
        });
        let answered = match client {
            Ok(client) => {
                match client {
                    Client::Hub(_) => self.peer.standing.let_in(),
                    Client::Dps(_) => {
                        self.connection.limit_packets(limits::DPS_PACKET_BYTES_MAX);
                        self.judged_at = Some(Instant::now() + limits::STRANGER_STAYS_MAX);
                    }
                    Client::Nobody => {}
                }
                self.client = client;
                let now = self.epoch.elapsed();
                // No state is ever kept: C# aborts on a session that is present.
                self.connection.accept(now, SessionPresent::No)
            }
            Err(refusal) => {
                self.peer.standing.refused();
                tracing::debug!(peer.address = %self.peer.address, ?refusal, "CONNECT refused");
                self.connection.refuse(connect_refusal(refusal))
            }
        };
        if let Err(error) = answered {
            tracing::warn!(%error, "a CONNECT was answered twice");
        }
    }

    async fn client_of(&mut self, request: &ConnectRequest) -> Result<Client, Refusal> {
        let shown = Shown::of(request, &self.peer, &self.gateway.intermediates);
        let sign_in = SignIn {
            client_id: &request.client_id,
            username: request.username.as_deref(),
            credential: shown.credential(),
        };
        let username = request.username.as_deref().ok_or(Refusal::Username)?;
        match addressee(username).ok_or(Refusal::Username)? {
            Addressee::ProvisioningService { id_scope } => {
                let claim = dialect::mqtt::dps::claim(sign_in)?;
                let service = self.dps_of(&id_scope)?;
                if let Err(because) = self.gateway.admit_device(&service, self.peer.address.ip()) {
                    tracing::info!(dps.name = %service, "{because}");
                    return Err(Refusal::NotAuthorized);
                }
                Ok(Client::Dps(dps::Device::new(
                    service,
                    claim,
                    shown,
                    Arc::clone(&self.peer),
                    self.transport,
                )))
            }
            Addressee::Hub { host } => {
                let claim = dialect::mqtt::hub::claim(sign_in)?;
                let host = self.hub_of(&host)?;
                let from = self.peer.address.ip();
                let device =
                    hub::Device::connect(&self.gateway, host, from, claim, shown, self.transport);
                device.await.map(Client::Hub)
            }
        }
    }

    /// The provisioning service of an id scope; at its own host, no other one's.
    fn dps_of(&self, id_scope: &str) -> Result<model::ServiceName, Refusal> {
        let directory = self.gateway.service.directory();
        let scope = IdScope::parse(id_scope).map_err(|_| Refusal::Username)?;
        let claimed = directory.by_scope(&scope).ok_or_else(|| {
            self.log_stray(format_args!("no provisioning service has the id scope {scope}"));
            Refusal::Unavailable
        })?;
        match self.gateway.endpoint_of(self.peer.server_name.as_deref()) {
            None | Some(Endpoint::Alias(_)) => Ok(claimed.clone()),
            Some(Endpoint::Dps(name)) if name == *claimed => Ok(name),
            Some(Endpoint::Dps(_) | Endpoint::Hub(_) | Endpoint::Admin) => {
                self.log_stray(format_args!("the id scope {scope} is not of the host in SNI"));
                Err(Refusal::Unavailable)
            }
        }
    }

    /// The hub that the user name names; at its own host, no other one's.
    fn hub_of(&self, host: &str) -> Result<HostName, Refusal> {
        let claimed = HostName::parse_authority(host).map_err(|_| Refusal::Username)?;
        let directory = self.gateway.service.directory();
        let hub = match directory.endpoint(&claimed) {
            Some(Endpoint::Hub(host) | Endpoint::Alias(Some(host))) => host.clone(),
            Some(Endpoint::Dps(_) | Endpoint::Admin | Endpoint::Alias(None)) | None => {
                self.log_stray(format_args!("no hub has the host {claimed}"));
                return Err(Refusal::NotAuthorized);
            }
        };
        match self.gateway.endpoint_of(self.peer.server_name.as_deref()) {
            None => Ok(hub),
            Some(Endpoint::Hub(named) | Endpoint::Alias(Some(named))) if named == hub => Ok(hub),
            Some(Endpoint::Hub(_) | Endpoint::Alias(_) | Endpoint::Dps(_) | Endpoint::Admin) => {
                self.log_stray(format_args!("the host {claimed} is not the one in SNI"));
                Err(Refusal::NotAuthorized)
            }
        }
    }

    /// Logs a CONNECT that is for nobody here; how often one address can cause it is bounded as
    /// its connections are (S-35).
    fn log_stray(&self, because: fmt::Arguments<'_>) {
        let (address, protocol) = (self.peer.address, self.transport.protocol());
        tracing::info!(peer.address = %address, protocol, "refused a CONNECT: {because}");
    }
}

const fn connect_refusal(refusal: Refusal) -> ConnectRefusal {
    match refusal {
        Refusal::ProtocolLevel => ConnectRefusal::ProtocolVersion,
        Refusal::ClientId => ConnectRefusal::IdentifierRejected,
        Refusal::Unavailable => ConnectRefusal::ServerUnavailable,
        Refusal::Username => ConnectRefusal::BadUsernameOrPassword,
        Refusal::NotAuthorized => ConnectRefusal::NotAuthorized,
    }
}
