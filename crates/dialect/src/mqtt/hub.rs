//! A hub on MQTT. Source: `iot-hub` §7.

use ::hub::twin::Twin;
use model::{DeviceId, HostName, Timestamp};
use serde_json::{Map, Value};

use super::{Credential, Grant, Message, Refusal, SignIn, query_behind, rid};
use crate::api_version::ApiVersion;
use crate::json::{ascii_json, read};
use crate::percent;
use crate::rest::error::{ApiFault, WireError};

/// Who a device says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The hub.
    pub host: HostName,
    /// The device.
    pub device_id: DeviceId,
    /// The module of it, whose id has the alphabet of a device id.
    pub module_id: Option<DeviceId>,
    /// The version that it speaks; old clients name none.
    pub api_version: Option<ApiVersion>,
    /// What it calls its software.
    pub client_type: Option<String>,
    /// The digital twin model that it follows.
    pub model_id: Option<String>,
}

/// Reads the names of a CONNECT: `{host}/{clientId}/?api-version=…&DeviceClientType=…`, where the
/// client id is `{deviceId}` or `{deviceId}/{moduleId}`.
///
/// Ids stand in both as they are, not encoded; only the query's values are. The slash before the
/// question mark, and that mark, may be missing.
///
/// # Errors
/// [`Refusal::Username`] for a user name of another form, [`Refusal::ClientId`] where the client
/// id is another one, [`Refusal::NotAuthorized`] where nothing was shown.
pub fn claim(sign_in: SignIn<'_>) -> Result<Claim, Refusal> {
    let username = sign_in.username.ok_or(Refusal::Username)?;
    let (host, rest) = username.split_once('/').ok_or(Refusal::Username)?;
    let host = HostName::parse_authority(host).map_err(|_| Refusal::Username)?;
    let (device, module) = match sign_in.client_id.split_once('/') {
        Some((device, module)) => (device, Some(module)),
        None => (sign_in.client_id, None),
    };
    let parsed = |id: &str| DeviceId::parse(id).map_err(|_| Refusal::ClientId);
    let device_id = parsed(device)?;
    let module_id = module.map(parsed).transpose()?;
    // An id may hold a question mark, so that only the client id tells where the query begins.
    let query = rest.strip_prefix(sign_in.client_id).and_then(query_of).ok_or(Refusal::ClientId)?;
    let api_version = match ApiVersion::of_query(Some(query)) {
        Ok(version) => Some(version),
        Err(ApiFault::MissingApiVersion) => None,
        Err(_) => return Err(Refusal::Username),
    };
    let text = |key| percent::value(query, key).map(|text| percent::decoded(text).into_owned());
    match sign_in.credential {
        Credential::Shown => Ok(Claim {
            host,
            device_id,
            module_id,
            api_version,
            client_type: text("DeviceClientType"),
            model_id: text("model-id"),
        }),
        Credential::Missing => Err(Refusal::NotAuthorized),
    }
}

/// The query behind the client id: nothing, or `/?…`, `?…`, `/key=…`.
fn query_of(rest: &str) -> Option<&str> {
    let behind = rest.strip_prefix('/').unwrap_or(rest);
    if behind.is_empty() {
        return Some("");
    }
    if let Some(query) = behind.strip_prefix('?') {
        return Some(query);
    }
    let key = behind.split('=').next().unwrap_or_default();
    let is_query = rest.starts_with('/') && key.len() < behind.len() && !key.contains('/');
    is_query.then_some(behind)
}

/// What a device publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It sends a message to the cloud.
    Telemetry(Properties),
    /// It asks for its twin; whatever the body is, it says nothing.
    TwinGet {
        /// The request id, to be echoed.
        rid: String,
    },
    /// It reports properties; the body is for [`reported`].
    TwinReport {
        /// The request id, to be echoed.
        rid: String,
    },
    /// It answers a direct method.
    MethodResponse {
        /// What the application made of it; any number.
        status: i32,
        /// The request id of the method's call.
        rid: String,
    },
    /// A topic of no meaning, or of another device: the connection is to be closed.
    Unknown,
}

/// The properties of a message, decoded, in the order sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Those whose names begin with `$.`, such as `$.mid`.
    pub system: Vec<(String, String)>,
    /// The application's; none for a key without `=`.
    pub application: Vec<(String, Option<String>)>,
}

/// What is remarkable in how a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// With RETAIN set, which is not done but told. Source: `iot-hub` §7.2.
    Retain,
    /// As the will of a connection that broke. Source: `iot-hub` §7.1.
    Will,
}

impl Properties {
    /// Adds the property by which readers know how the message came.
    pub fn mark(&mut self, mark: Mark) {
        let (key, value) = match mark {
            Mark::Retain => ("mqtt-retain", "true"),
            Mark::Will => ("iothub-MessageType", "Will"),
        };
        self.application.push((key.to_owned(), Some(value.to_owned())));
    }
}

/// Reads a topic that a device publishes to.
pub fn operation(topic: &str, claim: &Claim) -> Operation {
    if let Some(own) = topic.strip_prefix('$') {
        return service_topic(own).unwrap_or(Operation::Unknown);
    }
    match own_topic(topic, claim).and_then(|rest| rest.strip_prefix("messages/events")) {
        Some("") => Operation::Telemetry(Properties::default()),
        Some(bag) if bag.starts_with('/') => Operation::Telemetry(properties(bag)),
        Some(_) | None => Operation::Unknown,
    }
}

/// Topics that begin with a dollar sign.
fn service_topic(topic: &str) -> Option<Operation> {
    if let Some(query) = query_behind(topic, "iothub/twin/GET") {
        return Some(Operation::TwinGet { rid: rid(query)? });
    }
    if let Some(query) = query_behind(topic, "iothub/twin/PATCH/properties/reported") {
        return Some(Operation::TwinReport { rid: rid(query)? });
    }
    let (status, query) = topic.strip_prefix("iothub/methods/res/")?.split_once('/')?;
    let query = query.strip_prefix('?')?;
    Some(Operation::MethodResponse { status: status.parse().ok()?, rid: rid(query)? })
}

/// The rest of a topic or filter behind the claim's own `devices/{d}/` or
/// `devices/{d}/modules/{m}/`; ids stand as they are, but encoded ones are known as well.
fn own_topic<'t>(topic: &'t str, claim: &Claim) -> Option<&'t str> {
    let is = |segment: &str, id: &DeviceId| {
        segment == id.as_str() || percent::decoded(segment) == id.as_str()
    };
    let (device, rest) = topic.strip_prefix("devices/")?.split_once('/')?;
    if !is(device, &claim.device_id) {
        return None;
    }
    match &claim.module_id {
        None => Some(rest),
        Some(module_id) => {
            let (module, rest) = rest.strip_prefix("modules/")?.split_once('/')?;
            is(module, module_id).then_some(rest)
        }
    }
}

/// Decodes a property bag: `k=v&k2=v2`, perhaps between slashes. A key without `=` has no value,
/// `k=` an empty one; a text that is not well encoded stands as it is.
///
/// Source: `iot-hub` §7.4.
pub fn properties(bag: &str) -> Properties {
    let bag = bag.strip_prefix('/').unwrap_or(bag);
    let bag = bag.strip_suffix('/').unwrap_or(bag);
    let mut found = Properties::default();
    for (key, value) in percent::pairs(bag) {
        let key = percent::decoded(key).into_owned();
        let value = value.map(|value| percent::decoded(value).into_owned());
        match key.starts_with("$.") {
            true => found.system.push((key, value.unwrap_or_default())),
            false => found.application.push((key, value)),
        }
    }
    found
}

/// What a device can subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subscription {
    /// Answers to its twin requests.
    TwinResponses,
    /// Changes of its desired properties.
    DesiredChanges,
    /// Calls of its direct methods.
    Methods,
    /// Messages from the cloud.
    CloudToDevice,
    /// Messages to a module's inputs.
    Inputs,
}

/// Reads a filter; none for one that is no device's business. What stands behind a known beginning
/// is not looked at, because clients differ in it.
///
/// Source: `iot-hub` §7.3.
pub fn subscription(filter: &str, claim: &Claim) -> Option<Subscription> {
    let begins = |text: &str, beginning: &str| {
        text.strip_prefix(beginning).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if begins(filter, "$iothub/twin/res") {
        Some(Subscription::TwinResponses)
    } else if begins(filter, "$iothub/twin/PATCH/properties/desired") {
        Some(Subscription::DesiredChanges)
    } else if begins(filter, "$iothub/methods/POST") {
        Some(Subscription::Methods)
    } else {
        let own = own_topic(filter, claim)?;
        if begins(own, "messages/devicebound") {
            Some(Subscription::CloudToDevice)
        } else {
            (claim.module_id.is_some() && begins(own, "inputs")).then_some(Subscription::Inputs)
        }
    }
}

/// Judges one filter of a SUBSCRIBE.
pub fn grant(filter: &str, qos: u8, claim: &Claim) -> Grant {
    match subscription(filter, claim) {
        Some(_) => Grant::of(qos),
        None => Grant::Refused,
    }
}

/// Reads the body of a report: a JSON object.
///
/// # Errors
/// As any JSON body.
pub fn reported(body: &[u8]) -> Result<Map<String, Value>, ApiFault> {
    read(body)
}

/// The answer to a request for the twin: 200 with `{"desired": …, "reported": …}`.
pub fn twin(rid: &str, twin: &Twin) -> Message {
    Message { topic: twin_topic(200, rid, None), payload: ascii_json(&twin.for_device()) }
}

/// The answer to a report: 204 with the new version, without a body. Source: `iot-hub` §7.5; C
/// takes no other status.
pub fn report_taken(rid: &str, version: u64) -> Message {
    Message { topic: twin_topic(204, rid, Some(version)), payload: Vec::new() }
}

/// The refusal of a twin request; Node knows it by its body alone.
pub fn twin_refusal(rid: &str, error: &WireError, tracking_id: &str, now: Timestamp) -> Message {
    Message { topic: twin_topic(error.status, rid, None), payload: error.json(tracking_id, now) }
}

/// `$iothub/twin/res/{status}/?$rid={rid}[&$version={n}]`; the request id comes first, because C
/// searches for it there.
pub fn twin_topic(status: u16, rid: &str, version: Option<u64>) -> String {
    match version {
        Some(version) => format!("$iothub/twin/res/{status}/?$rid={rid}&$version={version}"),
        None => format!("$iothub/twin/res/{status}/?$rid={rid}"),
    }
}

#[cfg(test)]
mod tests;
