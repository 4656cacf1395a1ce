//! The device API of the provisioning service.

use std::sync::Arc;

use dialect::rest::device::{self, Address, Answer, Route};
use dialect::rest::error::{ApiFault, Missing, WireError};
use model::ServiceName;
use provisioning::view::{Evidence, RegistrationRequest, TpmEvidence};
use service::{Call, PollError, Polled, RegisterError};

use super::{Asked, Reply};
use crate::metrics::Operation;
use crate::presented::Presented;
use crate::{Gateway, faults, log};

/// Notes what a call is, at the service's own host (`at`) or at an alias.
pub(super) fn note(gateway: &Gateway, at: Option<&ServiceName>, asked: &Asked) {
    let Ok(route) = device::route(&asked.method, &asked.path) else { return };
    asked.note(operation(&route));
    if let Ok(dps) = service_of(gateway, at, of(&route)) {
        log::registration(&dps, &of(&route).registration_id);
    }
}

const fn of(route: &Route) -> &Address {
    let (Route::Register(address) | Route::Poll(address, _) | Route::Lookup(address)) = route;
    address
}

/// Judges a call by its head: its credential is for the service to judge, by the record.
///
/// At its own host (`at`) a service answers for its own id scope alone.
pub(super) fn judge(
    gateway: &Gateway,
    at: Option<&ServiceName>,
    asked: &Asked,
) -> Result<(Route, ServiceName), WireError> {
    let route = device::route(&asked.method, &asked.path).map_err(|fault| faults::dps(&fault))?;
    let dps = service_of(gateway, at, of(&route)).map_err(|fault| faults::dps(&fault))?;
    gateway
        .admit_device(&dps, asked.peer.address.ip())
        .map_err(|because| faults::dps(&ApiFault::Address(because.to_string())))?;
    Ok((route, dps))
}

/// Answers a device.
pub(super) async fn answer(
    gateway: &Arc<Gateway>,
    at: Option<&ServiceName>,
    asked: Asked,
) -> Result<Reply, WireError> {
    let fault = |fault: ApiFault| faults::dps(&fault);
    let (route, dps) = judge(gateway, at, &asked)?;
    let version = asked.api_version().map_err(fault)?;
    let evidence = evidence(gateway, &asked);
    let id = &of(&route).registration_id;
    let told = |polled: Result<Polled, PollError>| {
        gateway.polled(&polled, &asked.peer);
        let polled = polled.map_err(|error| faults::poll(&error))?;
        Ok::<_, WireError>(gateway.told(polled, Some(asked.host.as_str())))
    };
    let answer = match &route {
        Route::Register(_) => {
            let body = device::register_body(id, &version, asked.json_body().map_err(fault)?);
            let body = body.map_err(fault)?;
            let evidence = match &body.tpm {
                Some(tpm) => {
                    let (endorsement_key, storage_root_key) = tpm.keys().map_err(fault)?;
                    Evidence::Tpm(Box::new(TpmEvidence {
                        endorsement_key,
                        storage_root_key,
                        certificates: tpm.certificates().map_err(fault)?,
                        token: asked.token(),
                    }))
                }
                None => evidence,
            };
            let request = RegistrationRequest {
                registration_id: id.clone(),
                api_version: version.as_str().to_owned(),
                payload: body.payload,
                csr: body.csr,
                from: Some(asked.peer.address.ip()),
            };
            let call = Call { actor: format!("device {id}"), ..asked.call.clone() };
            let accepted = gateway.service.register(&call, &dps, &request, &evidence).await;
            gateway.registered(&accepted, &asked.peer);
            match accepted {
                Ok(accepted) => device::accepted(&accepted.operation_id),
                Err(RegisterError::Challenge { authentication_key }) => {
                    device::challenged(&authentication_key)
                }
                Err(error) => return Err(faults::register(&error)),
            }
        }
        Route::Poll(_, operation) => {
            let polled = gateway.service.poll(&dps, id, operation, &evidence).await;
            let (record, shown) = told(polled)?;
            device::polled(&record, operation, id, shown)
        }
        Route::Lookup(_) => {
            device::lookup_body(id, &version, asked.json_body().map_err(fault)?).map_err(fault)?;
            let current = gateway.service.current(&dps, id, &evidence).await;
            let (record, shown) = told(current)?;
            device::looked_up(&record, id, shown)
        }
    };
    let address = format!("https://{}{}", asked.host, asked.path);
    let headers = answer.headers(&address);
    let Answer { status, body, .. } = answer;
    Ok(Reply::json(status, body).with(headers))
}

const fn operation(route: &Route) -> Operation {
    match route {
        Route::Register(_) => Operation::Register,
        Route::Poll(..) => Operation::Poll,
        Route::Lookup(_) => Operation::Lookup,
    }
}

/// The service of an id scope; at another service's host there is none (D-22).
fn service_of(
    gateway: &Gateway,
    at: Option<&ServiceName>,
    address: &Address,
) -> Result<ServiceName, ApiFault> {
    let directory = gateway.service.directory();
    directory
        .by_scope(&address.id_scope)
        .filter(|named| at.is_none_or(|at| at == *named))
        .cloned()
        .ok_or(ApiFault::NotFound(Missing::ProvisioningService))
}

/// A token before a certificate, as it is the more deliberate.
fn evidence(gateway: &Gateway, asked: &Asked) -> Evidence {
    if let Some(token) = asked.token() {
        return Evidence::Sas(token);
    }
    match asked.peer.presented(&gateway.intermediates) {
        Presented::Chain(chain) => Evidence::X509(chain.clone()),
        Presented::Nothing | Presented::Unreadable => Evidence::None,
    }
}
