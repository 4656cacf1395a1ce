//! Which API a call is of.

use std::sync::Arc;

use attestation::network::{self, NetworkAccess};
use dialect::rest::error::{ApiFault, WireError};
use dialect::rest::openapi::{self, Document};
use dialect::rest::service::load::is_load_path;
use dialect::rest::{self, hub::telemetry};
use model::{HostName, ServiceName, limits};
use service::Endpoint;

use super::{Asked, Reply, admin, device, hub, load, operator};
use crate::metrics::Operation;
use crate::{Gateway, faults};

/// An API, by the host and the path of a call.
#[derive(Clone, Debug)]
pub(super) enum Api {
    /// The service API of a provisioning service.
    Operators(ServiceName),
    /// Loads of many enrollments, which Azure has not.
    Loads(ServiceName),
    /// The device API of a provisioning service, or of all of them.
    Devices(Option<ServiceName>),
    /// A hub's.
    Hub(HostName),
    /// The administration.
    Admin,
}

impl Api {
    /// The API of a path on a host.
    pub(super) fn of(endpoint: Endpoint, path: &str) -> Self {
        match endpoint {
            Endpoint::Dps(name) if operator::is_service_path(path) => Self::Operators(name),
            Endpoint::Dps(name) if is_load_path(path) => Self::Loads(name),
            Endpoint::Dps(name) => Self::Devices(Some(name)),
            Endpoint::Alias(Some(host)) if hub::is_hub_path(path) => Self::Hub(host),
            Endpoint::Alias(_) => Self::Devices(None),
            Endpoint::Hub(host) => Self::Hub(host),
            Endpoint::Admin => Self::Admin,
        }
    }

    /// Bytes of a body at the most.
    pub(super) const fn body_bytes_max(&self) -> usize {
        match self {
            Self::Operators(_) | Self::Devices(_) => limits::DPS_MESSAGE_BYTES_MAX,
            Self::Loads(_) | Self::Hub(_) | Self::Admin => limits::SERVICE_BODY_BYTES_MAX,
        }
    }

    /// A fault of the call itself.
    pub(super) fn fault(&self, fault: &ApiFault) -> WireError {
        match self {
            Self::Operators(_) | Self::Loads(_) | Self::Devices(_) | Self::Admin => {
                faults::dps(fault)
            }
            Self::Hub(_) => faults::hub(fault),
        }
    }

    /// Notes what a call is, whatever becomes of it: once, as a span keeps all that it is told.
    pub(super) fn note(&self, gateway: &Gateway, asked: &Asked) {
        if openapi::route(&asked.method, &asked.path).is_some() {
            return asked.note(Operation::OpenApi);
        }
        match self {
            Self::Operators(name) => operator::note(name, asked),
            Self::Loads(name) => load::note(name, asked),
            Self::Devices(at) => device::note(gateway, at.as_ref(), asked),
            Self::Hub(host) => hub::note(host, asked),
            Self::Admin => admin::note(asked),
        }
    }

    /// Whether it may be called from where a call comes: before anything of a path is told, and
    /// before a body is read.
    pub(super) fn admit(&self, gateway: &Gateway, asked: &Asked) -> Result<(), WireError> {
        let from = asked.peer.address.ip();
        let (own, directory) = (&gateway.service, gateway.service.directory());
        let judged = |rules: &NetworkAccess, api| rules.admit(from, api, own.private_networks());
        let admitted = match self {
            Self::Operators(name) | Self::Loads(name) => match directory.dps(name) {
                Some(dps) => judged(&dps.network, network::Api::Service),
                None => Ok(()),
            },
            Self::Devices(Some(name)) => gateway.admit_device(name, from),
            // An alias is every service's: whom none of them lets in is told so on every path.
            Self::Devices(None) => {
                let answers = directory.dps.iter();
                let answers = answers.map(|dps| judged(&dps.network, network::Api::Device));
                answers.reduce(Result::or).unwrap_or(Ok(()))
            }
            Self::Hub(host) => match directory.hub(host) {
                Some(hub) if hub::is_of_devices(asked) => {
                    judged(&hub.network, network::Api::Device)
                }
                Some(hub) => judged(&hub.network, network::Api::Service),
                None => Ok(()),
            },
            // Nobody locks out who sits at the server.
            Self::Admin if from.to_canonical().is_loopback() => Ok(()),
            Self::Admin => judged(&gateway.admin_network, network::Api::Service),
        };
        admitted.map_err(|because| self.fault(&ApiFault::Address(because.to_string())))
    }

    /// Judges a call by its head, by what is in force now: where it comes from, what it addresses,
    /// what it shows.
    pub(super) fn judge(&self, gateway: &Gateway, asked: &Asked) -> Result<(), WireError> {
        self.admit(gateway, asked)?;
        if let Some(route) = openapi::route(&asked.method, &asked.path) {
            return route.map_err(|fault| self.fault(&fault));
        }
        match self {
            Self::Operators(name) => operator::judge(gateway, name, asked).map(drop),
            Self::Loads(name) => load::judge(gateway, name, asked).map(drop),
            Self::Devices(at) => device::judge(gateway, at.as_ref(), asked).map(drop),
            Self::Hub(host) => hub::judge(gateway, host, asked).map(drop),
            Self::Admin => admin::judge(gateway, asked).map(drop),
        }
    }

    /// Whether a call is one write of an operator's; each item of a bulk is one by itself.
    fn is_one_write(&self, asked: &Asked) -> bool {
        let method = match self {
            Self::Operators(_) => asked.method.as_str(),
            Self::Hub(_) => {
                rest::hub::method(&asked.method, asked.header("x-http-method-override"))
            }
            Self::Loads(_) | Self::Devices(_) | Self::Admin => return false,
        };
        matches!(method, "PUT" | "PATCH" | "DELETE")
    }

    /// Answers a call, which is judged anew: its body may have been long in coming.
    pub(super) async fn answer(
        &self,
        gateway: &Arc<Gateway>,
        asked: Asked,
    ) -> Result<Reply, WireError> {
        let _acting = match self.is_one_write(&asked) {
            true => Some(gateway.service.acting().await),
            false => None,
        };
        self.admit(gateway, &asked)?;
        if let Some(route) = openapi::route(&asked.method, &asked.path) {
            route.map_err(|fault| self.fault(&fault))?;
            return Ok(Reply::json(200, self.document().text().into()));
        }
        match self {
            Self::Operators(name) => operator::answer(gateway, name, asked).await,
            Self::Loads(name) => load::answer(gateway, name, asked).await,
            Self::Devices(at) => device::answer(gateway, at.as_ref(), asked).await,
            Self::Hub(host) => hub::answer(gateway, host, asked).await,
            Self::Admin => admin::answer(gateway, asked).await,
        }
    }

    const fn document(&self) -> Document {
        match self {
            Self::Operators(_) | Self::Loads(_) | Self::Devices(_) => Document::Dps,
            Self::Hub(_) => Document::Hub,
            Self::Admin => Document::Admin,
        }
    }

    /// The methods that a path has.
    pub(super) fn allowed(&self, path: &str) -> String {
        rest::allowed(|method| {
            if let Some(route) = openapi::route(method, path) {
                return route;
            }
            match self {
                Self::Operators(_) => rest::service::route(method, path).map(drop),
                Self::Loads(_) => rest::service::load::route(method, path, "").map(drop),
                Self::Devices(_) => rest::device::route(method, path).map(drop),
                Self::Hub(_) => match telemetry::sender(method, path) {
                    Some(sender) => sender.map(drop),
                    None => rest::hub::route(method, path).map(drop),
                },
                Self::Admin => rest::admin::route(method, path).map(drop),
            }
        })
    }
}
