//! The registry of a hub that lives elsewhere, as its client: what is asked of it, and what its
//! answers mean. It may be another Muster's hub or Azure's.
//!
//! Source: `iot-hub` §2.3, §2.4, §4, §6.3.

use ::attestation::SymmetricKey;
use model::{DeviceId, Sha256};
use provisioning::remote::{
    Call, Credential, Disabled, Found, FoundTwin, Miss, New, Shows, TwinContent,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::json::utf8_json;
use crate::percent;

/// The version that every hub of today answers to. Source: `iot-hub` §1.5.
const API_VERSION: &str = "2021-04-12";
/// Members of an identity that its operator sets; all else is the hub's own.
const OWN: [&str; 7] = [
    "deviceId",
    "status",
    "statusReason",
    "authentication",
    "capabilities",
    "deviceScope",
    "parentScopes",
];
/// Characters of a refusal's text that are kept.
const TEXT_CHARS_MAX: usize = 200;

/// A request to a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// The `If-Match` header.
    pub if_match: Option<String>,
    /// The JSON body; it may hold keys.
    pub body: Option<Vec<u8>>,
}

/// The request that reads an identity.
pub fn read_device(id: &DeviceId) -> Request {
    Request { method: "GET", path: path("devices", id), if_match: None, body: None }
}

/// The request that reads a twin.
pub fn read_twin(id: &DeviceId) -> Request {
    Request { method: "GET", path: path("twins", id), if_match: None, body: None }
}

/// The request of a call that writes; that of [`Call::Read`] reads the identity.
pub fn request(id: &DeviceId, call: &Call<'_>) -> Request {
    let put = |what: &str, etag: &str, body: &Value| Request {
        method: "PUT",
        path: path(what, id),
        if_match: Some(quoted(etag)),
        body: Some(utf8_json(body)),
    };
    match call {
        Call::Read => read_device(id),
        Call::Create(new) => Request {
            method: "POST",
            path: format!("/devices?api-version={API_VERSION}"),
            if_match: None,
            body: Some(utf8_json(&json!([item(id, new)]))),
        },
        Call::Update { found, credential, iot_edge, disabled } => {
            let mut device = own(found);
            device.insert("authentication".to_owned(), authentication(*credential));
            device.insert("capabilities".to_owned(), json!({"iotEdge": iot_edge}));
            set_status(&mut device, *disabled);
            put("devices", &found.etag, &Value::Object(device))
        }
        Call::Restore { found, etag, disabled } => {
            let mut device = own(found);
            set_status(&mut device, *disabled);
            put("devices", etag, &Value::Object(device))
        }
        Call::SetTwin { tags, desired, etag } => {
            put("twins", etag, &json!({"tags": tags, "properties": {"desired": desired}}))
        }
        Call::Remove { etag } => Request {
            method: "DELETE",
            path: path("devices", id),
            if_match: Some(quoted(etag)),
            body: None,
        },
    }
}

fn path(what: &str, id: &DeviceId) -> String {
    format!("/{what}/{}?api-version={API_VERSION}", percent::encoded(id.as_str()))
}

fn quoted(etag: &str) -> String {
    format!("\"{}\"", etag.trim_matches('"'))
}

/// An identity with its twin, made as one by the bulk operation (§6.3).
fn item(id: &DeviceId, new: &New<'_>) -> Value {
    let New { credential, iot_edge, disabled, twin } = new;
    let TwinContent { tags, desired, reported } = twin;
    let mut item = Map::new();
    item.insert("id".to_owned(), json!(id.as_str()));
    item.insert("importMode".to_owned(), json!("create"));
    item.insert("status".to_owned(), json!("enabled"));
    set_status(&mut item, *disabled);
    item.insert("authentication".to_owned(), authentication(*credential));
    item.insert("capabilities".to_owned(), json!({"iotEdge": iot_edge}));
    if !tags.is_empty() {
        item.insert("tags".to_owned(), json!(tags));
    }
    let mut properties = Map::new();
    if !desired.is_empty() {
        properties.insert("desired".to_owned(), json!(desired));
    }
    if let Some(reported) = reported.filter(|reported| !reported.is_empty()) {
        properties.insert("reported".to_owned(), json!(reported));
    }
    if !properties.is_empty() {
        item.insert("properties".to_owned(), Value::Object(properties));
    }
    Value::Object(item)
}

fn set_status(device: &mut Map<String, Value>, disabled: Option<&Disabled>) {
    if let Some(Disabled { reason }) = disabled {
        device.insert("status".to_owned(), json!("disabled"));
        device.insert("statusReason".to_owned(), json!(reason));
    }
}

fn authentication(credential: Credential<'_>) -> Value {
    match credential {
        Credential::Sas(primary, secondary) => json!({"type": "sas", "symmetricKey": {
            "primaryKey": primary.to_base64(), "secondaryKey": secondary.to_base64()}}),
        Credential::SelfSigned(thumbprint) => {
            let thumbprint = thumbprint.to_string();
            json!({"type": "selfSigned", "x509Thumbprint": {
                "primaryThumbprint": thumbprint, "secondaryThumbprint": thumbprint}})
        }
    }
}

fn own(found: &Found) -> Map<String, Value> {
    let set = |name: &&str| Some(((*name).to_owned(), found.document.get(*name)?.clone()));
    OWN.iter().filter_map(set).collect()
}

/// What an answer to [`read_device`] tells; none where there is no such identity.
///
/// # Errors
/// [`Miss`].
pub fn device(status: u16, body: &[u8]) -> Result<Option<Map<String, Value>>, Miss> {
    document(status, body)
}

/// An identity with its twin, of the answer to [`read_twin`]; none where that is gone.
///
/// # Errors
/// [`Miss`].
pub fn found(device: Map<String, Value>, status: u16, body: &[u8]) -> Result<Option<Found>, Miss> {
    let Some(mut twin) = document(status, body)? else { return Ok(None) };
    let text = |value: Option<&Value>| {
        value.and_then(Value::as_str).map(|text| text.trim_matches('"').to_owned())
    };
    let mut section = |name: &str| {
        let found = twin.get_mut("properties").and_then(|properties| properties.get_mut(name));
        let mut section = found.and_then(Value::as_object_mut).map(std::mem::take);
        if let Some(section) = &mut section {
            section.remove("$metadata");
            section.remove("$version");
        }
        section.unwrap_or_default()
    };
    let (desired, reported) = (section("desired"), section("reported"));
    let tags = twin.get_mut("tags").and_then(Value::as_object_mut).map(std::mem::take);
    let twin = FoundTwin {
        etag: text(twin.get("etag")).unwrap_or_default(),
        tags: tags.unwrap_or_default(),
        desired,
        reported,
    };
    let is_disabled = text(device.get("status")).as_deref() == Some("disabled");
    let edge = device.get("capabilities").and_then(|capabilities| capabilities.get("iotEdge"));
    Ok(Some(Found {
        etag: text(device.get("etag"))
            .ok_or_else(|| Miss::Refused("it tells an identity without an etag".to_owned()))?,
        shows: shows(device.get("authentication")),
        disabled: is_disabled.then(|| Disabled { reason: text(device.get("statusReason")) }),
        iot_edge: edge.and_then(Value::as_bool).unwrap_or_default(),
        document: device,
        twin,
    }))
}

fn shows(authentication: Option<&Value>) -> Shows {
    let member = |object: &str, name: &str| authentication?.get(object)?.get(name)?.as_str();
    let key = |name| SymmetricKey::from_base64(member("symmetricKey", name)?).ok();
    let thumbprint = |name| Sha256::parse(member("x509Thumbprint", name)?).ok();
    match authentication.and_then(|found| found.get("type")?.as_str()) {
        Some("sas") => match (key("primaryKey"), key("secondaryKey")) {
            (Some(primary), Some(secondary)) => Shows::Sas(primary, secondary),
            _ => Shows::Other,
        },
        Some("selfSigned") => {
            match (thumbprint("primaryThumbprint"), thumbprint("secondaryThumbprint")) {
                (Some(primary), Some(secondary)) => Shows::Certificates(primary, secondary),
                _ => Shows::Other,
            }
        }
        Some(_) | None => Shows::Other,
    }
}

fn document(status: u16, body: &[u8]) -> Result<Option<Map<String, Value>>, Miss> {
    match status {
        200 => match serde_json::from_slice(body) {
            Ok(Value::Object(document)) => Ok(Some(document)),
            Ok(_) | Err(_) => Err(Miss::Refused("its answer is no identity".to_owned())),
        },
        _ => Err(miss(status, body)).or_else(|miss| match miss == Miss::Absent {
            true => Ok(None),
            false => Err(miss),
        }),
    }
}

/// What an answer to a call that writes tells.
///
/// # Errors
/// [`Miss`].
pub fn written(call: &Call<'_>, status: u16, body: &[u8]) -> Result<(), Miss> {
    match (call, status) {
        (Call::Create(_), 200 | 400) => bulk(body),
        (_, 200..=299) => Ok(()),
        _ => Err(miss(status, body)),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BulkRead {
    is_successful: Option<bool>,
    #[serde(default)]
    errors: Vec<BulkErrorRead>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BulkErrorRead {
    #[serde(default)]
    error_code: Value,
    error_status: Option<String>,
}

fn bulk(body: &[u8]) -> Result<(), Miss> {
    let Ok(read) = serde_json::from_slice::<BulkRead>(body) else {
        return Err(miss(400, body));
    };
    if read.is_successful == Some(true) {
        return Ok(());
    }
    let Some(error) = read.errors.first() else { return Err(miss(400, body)) };
    // A name, or its number in old versions.
    let code =
        error.error_code.as_str().map_or_else(|| error.error_code.to_string(), str::to_owned);
    let text = shown(&format!("{code}: {}", error.error_status.as_deref().unwrap_or_default()));
    Err(match code.as_str() {
        "DeviceAlreadyExists" | "409001" => Miss::Exists,
        "ThrottlingException"
        | "ThrottleBacklogLimitExceeded"
        | "ServerBusy"
        | "ServerError"
        | "ServiceUnavailable"
        | "429001"
        | "503005"
        | "500001"
        | "503001" => Miss::Busy(text),
        _ => Miss::Refused(text),
    })
}

fn miss(status: u16, body: &[u8]) -> Miss {
    let read: Option<Value> = serde_json::from_slice(body).ok();
    let message = read.as_ref().and_then(|read| read.get("Message")?.as_str());
    let text = shown(&format!("{status} {}", message.unwrap_or_default()));
    match status {
        401 => Miss::Unauthorized(text),
        404 if !text.contains("IotHubNotFound") => Miss::Absent,
        409 => Miss::Exists,
        412 => Miss::Changed,
        408 | 429 | 500..=599 => Miss::Busy(text),
        _ => Miss::Refused(text),
    }
}

fn shown(text: &str) -> String {
    text.trim().chars().filter(|character| !character.is_control()).take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
