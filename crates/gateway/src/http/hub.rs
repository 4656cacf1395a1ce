//! A hub's registry API.

use ::hub::identity::Device;
use ::hub::instance::{Right, grants};
use ::hub::permit::Evidence;
use ::hub::twin::How;
use attestation::bearer::{self, Access, Role};
use dialect::json::utf8_json;
use dialect::rest::error::{ApiFault, Missing, WireError};
use dialect::rest::hub::{self, ConnectionState, Presence, Route, Telling, telemetry};
use dialect::rest::service::media_type;
use model::{DeviceId, HostName, Timestamp, limits};
use service::{ApiError, Call, Connecting, DeviceView, Message, SendError};

use super::access::{self, Caller, Guard};
use super::{Asked, Reply, bulk, search};
use crate::metrics::Operation;
use crate::{Gateway, faults, log};

/// Whether a path is a hub's, and not a provisioning service's.
pub(super) fn is_hub_path(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    ["devices", "twins", "statistics"].iter().any(|word| first.eq_ignore_ascii_case(word))
}

/// The rights of which one is needed (§2.2).
const fn needs(route: &Route) -> &'static [Right] {
    match route {
        Route::ListDevices
        | Route::GetDevice(_)
        | Route::DeviceStatistics
        | Route::ServiceStatistics => &[Right::RegistryRead],
        Route::PutDevice(_) | Route::DeleteDevice(_) | Route::BulkDevices => {
            &[Right::RegistryWrite]
        }
        Route::GetTwin(_) | Route::PatchTwin(_) | Route::PutTwin(_) => &[Right::ServiceConnect],
        Route::QueryDevices => &[Right::ServiceConnect, Right::RegistryRead],
    }
}

/// What a role must be enough for.
const fn reads(route: &Route) -> Access {
    match route {
        Route::ListDevices
        | Route::GetDevice(_)
        | Route::DeviceStatistics
        | Route::ServiceStatistics
        | Route::QueryDevices
        | Route::GetTwin(_) => Access::Read,
        Route::PutDevice(_)
        | Route::DeleteDevice(_)
        | Route::BulkDevices
        | Route::PatchTwin(_)
        | Route::PutTwin(_) => Access::Write,
    }
}

const fn operation(route: &Route) -> Operation {
    match route {
        Route::ListDevices
        | Route::GetDevice(_)
        | Route::PutDevice(_)
        | Route::DeleteDevice(_)
        | Route::DeviceStatistics
        | Route::ServiceStatistics => Operation::Devices,
        Route::BulkDevices => Operation::Bulk,
        Route::GetTwin(_) | Route::PatchTwin(_) | Route::PutTwin(_) => Operation::Twins,
        Route::QueryDevices => Operation::DeviceQuery,
    }
}

/// Who a call is of, once it is judged by its head.
pub(super) enum Judged {
    /// A device; its credential is for the service to judge, by the identity.
    Device(DeviceId),
    /// An operator.
    Operator(Route, Caller),
}

/// Notes what a call is.
pub(super) fn note(host: &HostName, asked: &Asked) {
    log::hub(host);
    match (telemetry::sender(&asked.method, &asked.path), route_of(asked)) {
        (Some(sender), _) => {
            asked.note(Operation::Telemetry);
            if let Ok(id) = sender {
                log::device(host, &id);
            }
        }
        (None, Ok(route)) => asked.note(operation(&route)),
        (None, Err(_)) => {}
    }
}

fn route_of(asked: &Asked) -> Result<Route, ApiFault> {
    let method = hub::method(&asked.method, asked.header("x-http-method-override"));
    hub::route(method, &asked.path)
}

/// Whether a path is for devices, and not for operators.
pub(super) fn is_of_devices(asked: &Asked) -> bool {
    telemetry::sender(&asked.method, &asked.path).is_some()
}

/// Judges a call by its head.
pub(super) fn judge(
    gateway: &Gateway,
    host: &HostName,
    asked: &Asked,
) -> Result<Judged, WireError> {
    let fault = |fault: ApiFault| faults::hub(&fault);
    if let Some(sender) = telemetry::sender(&asked.method, &asked.path) {
        return sender.map(Judged::Device).map_err(fault);
    }
    let route = route_of(asked).map_err(fault)?;
    let caller = authorize(gateway, host, asked, &route)?;
    Ok(Judged::Operator(route, caller))
}

/// Answers an operator, or a device that sends a message.
pub(super) async fn answer(
    gateway: &Gateway,
    host: &HostName,
    asked: Asked,
) -> Result<Reply, WireError> {
    match judge(gateway, host, &asked)? {
        Judged::Device(id) => send(gateway, host, id, asked).await,
        Judged::Operator(route, caller) => registry(gateway, host, route, caller, asked).await,
    }
}

async fn registry(
    gateway: &Gateway,
    host: &HostName,
    route: Route,
    Caller { call, role }: Caller,
    asked: Asked,
) -> Result<Reply, WireError> {
    let fault = |fault: ApiFault| faults::hub(&fault);
    asked.api_version().map_err(fault)?;
    media_type(asked.header("content-type"), &asked.body).map_err(fault)?;
    let if_match = hub::if_match(asked.if_match().map_err(fault)?);
    let own = &gateway.service;
    match route {
        Route::ListDevices => {
            let top = hub::top(Some(&asked.query)).map_err(fault)?;
            let page = own.devices(host, None, top).await.map_err(failed_for("*"))?;
            let rows: Vec<_> = page
                .rows
                .iter()
                .map(|row| {
                    let presence = presence(gateway, host, &row.value);
                    told(&row.value, presence, role)
                })
                .collect();
            Ok(Reply::json(200, utf8_json(&rows)))
        }
        Route::QueryDevices => search::devices(gateway, host, &asked).await,
        Route::BulkDevices => bulk::of_devices(gateway, host, &call, &asked).await,
        Route::DeviceStatistics => {
            let count = own.device_count(host).await.map_err(failed_for("*"))?;
            let json = hub::DeviceStatisticsJson {
                total_device_count: count.total,
                enabled_device_count: count.total.saturating_sub(count.disabled),
                disabled_device_count: count.disabled,
            };
            Ok(Reply::json(200, utf8_json(&json)))
        }
        Route::ServiceStatistics => {
            let connected_device_count = own.sessions().connected_of_hub(host);
            let json = hub::ServiceStatisticsJson { connected_device_count };
            Ok(Reply::json(200, utf8_json(&json)))
        }
        Route::GetDevice(id) => {
            let view = own.device(host, &id).await.map_err(failed_for(id.as_str()))?;
            let device = &view.device.value;
            let json = told(device, presence(gateway, host, device), role);
            Ok(Reply::json(200, utf8_json(&json)).with(vec![hub::etag_header(device.version)]))
        }
        Route::PutDevice(id) => {
            let draft = hub::draft(&id, &asked.body).map_err(fault)?;
            let put = own.put_device(&call, host, &draft, &if_match).await;
            let device = put.map_err(failed_for(id.as_str()))?;
            let telling = match if_match {
                model::IfMatch::Absent => Telling::Created,
                model::IfMatch::Any | model::IfMatch::Etag(_) => Telling::Known,
            };
            let json = hub::json(&device, presence(gateway, host, &device), telling);
            Ok(Reply::json(200, utf8_json(&json)).with(vec![hub::etag_header(device.version)]))
        }
        Route::DeleteDevice(id) => {
            let deleted = own.delete_device(&call, host, &id, &if_match).await;
            deleted.map_err(failed_for(id.as_str())).map(|()| Reply::empty(204))
        }
        Route::GetTwin(id) => {
            let view = own.device(host, &id).await.map_err(failed_for(id.as_str()))?;
            Ok(twin_reply(gateway, host, &view))
        }
        Route::PatchTwin(id) => write_twin(gateway, host, &call, &id, How::Merge, &asked).await,
        Route::PutTwin(id) => write_twin(gateway, host, &call, &id, How::Replace, &asked).await,
    }
}

/// An identity as a caller may see it: a reader is told no key.
fn told(device: &Device, presence: Presence, role: Option<Role>) -> hub::DeviceJson<'_> {
    let json = hub::json(device, presence, Telling::Known);
    match role {
        Some(Role::Reader) => json.without_keys(),
        Some(Role::Contributor) | None => json,
    }
}

async fn write_twin(
    gateway: &Gateway,
    host: &HostName,
    call: &Call,
    id: &DeviceId,
    how: How,
    asked: &Asked,
) -> Result<Reply, WireError> {
    let fault = |fault: ApiFault| faults::hub(&fault);
    let if_match = hub::twin_if_match(asked.if_match().map_err(fault)?);
    let update = hub::twin_update(&asked.body).map_err(fault)?;
    let written = gateway.service.put_twin(call, host, id, &update, how, &if_match).await;
    Ok(twin_reply(gateway, host, &written.map_err(failed_for(id.as_str()))?))
}

fn twin_reply(gateway: &Gateway, host: &HostName, view: &DeviceView) -> Reply {
    let presence = presence(gateway, host, &view.device.value);
    Reply::json(200, utf8_json(&hub::twin(&view.device.value, &view.twin.value, presence)))
}

/// A device sends one message.
async fn send(
    gateway: &Gateway,
    host: &HostName,
    device_id: DeviceId,
    asked: Asked,
) -> Result<Reply, WireError> {
    asked.api_version().map_err(|fault| faults::hub(&fault))?;
    let bytes_max = limits::TELEMETRY_MESSAGE_BYTES_MAX;
    if asked.body.len() > bytes_max {
        return Err(faults::hub(&ApiFault::BodyTooLarge { bytes_max }));
    }
    let evidence = match (asked.token(), asked.peer.leaf(&gateway.intermediates)) {
        (Some(token), _) => Evidence::Sas(token),
        (None, Some(leaf)) => Evidence::X509(Box::new(leaf.clone())),
        (None, None) => Evidence::None,
    };
    let headers = asked
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let properties = telemetry::properties(headers);
    let message = Message {
        system_properties: properties.system,
        properties: properties.application,
        body: asked.body.to_vec(),
    };
    let named = asked.host.clone();
    let from = asked.peer.address.ip();
    let connecting = Connecting { hub: host.clone(), named, device_id, from, evidence };
    match gateway.service.send(connecting, message).await {
        Ok(()) => {
            asked.peer.standing.let_in();
            Ok(Reply::empty(204))
        }
        Err(SendError::Refused(error)) => Err(faults::connect(&error)),
        Err(SendError::Telemetry(error)) => Err(faults::telemetry(&error)),
    }
}

pub(super) fn failed_for(id: &str) -> impl Fn(ApiError) -> WireError {
    let missing = Missing::Device { id: id.to_owned() };
    move |error| faults::hub_api(&error, missing.clone())
}

pub(super) fn presence(gateway: &Gateway, host: &HostName, device: &Device) -> Presence {
    let key = (host.clone(), device.device_id.clone());
    let known = gateway.service.sessions().presence(&key, device.generation_id);
    let or_never = |at: Option<Timestamp>| at.unwrap_or(Timestamp::ZERO);
    Presence {
        state: match known.connected {
            true => ConnectionState::Connected,
            false => ConnectionState::Disconnected,
        },
        state_updated: or_never(known.changed),
        last_activity: or_never(known.heard),
        ..Presence::default()
    }
}

/// Judges the caller.
fn authorize(
    gateway: &Gateway,
    host: &HostName,
    asked: &Asked,
    route: &Route,
) -> Result<Caller, WireError> {
    let directory = gateway.service.directory();
    let hub = directory.hub(host).ok_or_else(|| faults::hub(&ApiFault::Unauthorized))?;
    let needed = needs(route);
    let guard = Guard {
        at: bearer::Service::Hub(&hub.name),
        policies: &hub.policies,
        needed: reads(route),
    };
    let granted = |rights: &[Right]| needed.iter().any(|needed| grants(rights, *needed));
    access::authorize(gateway, asked, &guard, granted).map_err(|refusal| refusal.hub(gateway))
}
