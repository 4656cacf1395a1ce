//! A twin, as operators see it (§4.1).

use ::hub::identity::{Device, DeviceStatus};
use ::hub::twin::{Section, Twin, TwinUpdate};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{Etag, IfMatch};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::json::{object, read};
use crate::rest::error::ApiFault;

use super::device::{CapabilitiesJson, ThumbprintsJson, thumbprints, type_word};
use super::{ConnectionState, Presence, Telling, etag, time_text};

/// A twin, as written into JSON, in the order of members of the real hub.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TwinJson<'a> {
    device_id: &'a str,
    etag: String,
    device_etag: String,
    status: DeviceStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_reason: Option<&'a str>,
    status_update_time: String,
    connection_state: ConnectionState,
    last_activity_time: String,
    cloud_to_device_message_count: u32,
    authentication_type: &'static str,
    x509_thumbprint: ThumbprintsJson,
    version: u64,
    #[serde(skip_serializing_if = "Map::is_empty")]
    tags: &'a Map<String, Value>,
    properties: PropertiesJson<'a>,
    capabilities: CapabilitiesJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_scope: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    parent_scopes: &'a [String],
}

#[derive(Serialize)]
struct PropertiesJson<'a> {
    desired: SectionJson<'a>,
    reported: SectionJson<'a>,
}

/// The values, then `$metadata` and `$version`.
struct SectionJson<'a>(&'a Section);

impl Serialize for SectionJson<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Section { values, metadata, version } = self.0;
        let mut map = serializer.serialize_map(Some(values.len() + 2))?;
        for (key, value) in values {
            map.serialize_entry(key, value)?;
        }
        map.serialize_entry("$metadata", metadata)?;
        map.serialize_entry("$version", version)?;
        map.end()
    }
}

/// What an operator writes; what a twin shows beside it is not looked at (§4.3).
#[derive(Deserialize)]
struct TwinRead {
    tags: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "object")]
    properties: Option<PropertiesRead>,
}

#[derive(Deserialize)]
pub(super) struct PropertiesRead {
    pub(super) desired: Option<Map<String, Value>>,
    /// Of a bulk's items alone.
    #[serde(default)]
    pub(super) reported: Option<Value>,
}

/// Reads what is written into a twin.
///
/// # Errors
/// As any JSON body.
pub fn twin_update(body: &[u8]) -> Result<TwinUpdate, ApiFault> {
    let TwinRead { tags, properties } = read(body)?;
    let desired = properties.and_then(|properties| properties.desired);
    Ok(TwinUpdate { tags, desired, reported: None })
}

/// Reads an `If-Match` about a twin; the etag it gives is the counter in decimal digits. A text
/// that is no etag of ours matches nothing.
///
/// Source: §2.4, base64 of a counter of eight bytes.
pub fn twin_if_match(header: Option<&str>) -> IfMatch {
    match IfMatch::parse(header) {
        IfMatch::Etag(sent) => {
            let bytes = STANDARD.decode(sent.as_str()).ok();
            let counter = bytes.and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
            IfMatch::Etag(counter.map_or(sent, |counter| Etag::new(&counter.to_string())))
        }
        given @ (IfMatch::Absent | IfMatch::Any) => given,
    }
}

/// Writes the twin of a device.
pub fn twin<'a>(device: &'a Device, twin: &'a Twin, presence: Presence) -> TwinJson<'a> {
    TwinJson {
        device_id: device.device_id.as_str(),
        etag: STANDARD.encode(twin.etag_counter.to_be_bytes()),
        device_etag: etag(device.version),
        status: device.status,
        status_reason: device.status_reason.as_deref(),
        status_update_time: time_text(device.status_updated, Telling::Known),
        connection_state: presence.state,
        last_activity_time: time_text(presence.last_activity, Telling::Known),
        cloud_to_device_message_count: presence.cloud_to_device_messages,
        authentication_type: type_word(&device.authentication),
        x509_thumbprint: thumbprints(&device.authentication),
        version: twin.version,
        tags: &twin.tags,
        properties: PropertiesJson {
            desired: SectionJson(&twin.desired),
            reported: SectionJson(&twin.reported),
        },
        capabilities: CapabilitiesJson { iot_edge: device.iot_edge },
        device_scope: device.device_scope.as_deref(),
        parent_scopes: &device.parent_scopes,
    }
}
