//! A device identity, both ways (§2.3).

use ::hub::draft::{AuthenticationDraft, AuthenticationKind, DeviceDraft};
use ::hub::identity::{Authentication, Device, DeviceStatus};
use model::{DeviceId, Secret, Timestamp};
use serde::{Deserialize, Serialize};

use super::{etag, time_text};
use crate::json::{object, read};
use crate::rest::error::ApiFault;
use crate::rest::service::word;

/// Whether a device is connected; over MQTT or AMQP, not HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum ConnectionState {
    /// It is.
    Connected,
    /// It is not.
    #[default]
    Disconnected,
}

/// What a hub knows of a device beside its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Whether it is connected.
    pub state: ConnectionState,
    /// When that changed last.
    pub state_updated: Timestamp,
    /// When it was heard of last.
    pub last_activity: Timestamp,
    /// Messages that wait for it.
    pub cloud_to_device_messages: u32,
}

impl Default for Presence {
    /// A device that was never heard of.
    fn default() -> Self {
        Self {
            state: ConnectionState::Disconnected,
            state_updated: Timestamp::ZERO,
            last_activity: Timestamp::ZERO,
            cloud_to_device_messages: 0,
        }
    }
}

/// On what occasion an identity is written; the form of its times depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// In the answer to its creation.
    Created,
    /// At any other time.
    Known,
}

/// A device identity, as written into JSON, in the order of members of the real hub.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceJson<'a> {
    device_id: &'a str,
    generation_id: String,
    etag: String,
    connection_state: ConnectionState,
    status: DeviceStatus,
    status_reason: Option<&'a str>,
    connection_state_updated_time: String,
    status_updated_time: String,
    last_activity_time: String,
    cloud_to_device_message_count: u32,
    authentication: AuthenticationJson,
    capabilities: CapabilitiesJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_scope: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    parent_scopes: &'a [String],
}

/// `authentication`; what does not belong to the type is `null`, and there nevertheless.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthenticationJson {
    symmetric_key: KeysJson,
    x509_thumbprint: ThumbprintsJson,
    r#type: &'static str,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct KeysJson {
    primary_key: Option<String>,
    secondary_key: Option<String>,
}

/// `x509Thumbprint`.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ThumbprintsJson {
    primary_thumbprint: Option<String>,
    secondary_thumbprint: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CapabilitiesJson {
    pub(super) iot_edge: bool,
}

impl DeviceJson<'_> {
    /// The same without keys, for who may see a device and not act as it.
    #[must_use]
    pub fn without_keys(mut self) -> Self {
        self.authentication.symmetric_key = KeysJson::default();
        self
    }
}

/// Writes a device identity.
pub fn json(device: &Device, presence: Presence, telling: Telling) -> DeviceJson<'_> {
    let symmetric_key = match &device.authentication {
        Authentication::Sas { primary, secondary } => KeysJson {
            primary_key: Some(primary.to_base64()),
            secondary_key: Some(secondary.to_base64()),
        },
        Authentication::SelfSigned { .. }
        | Authentication::CertificateAuthority
        | Authentication::None => KeysJson::default(),
    };
    DeviceJson {
        device_id: device.device_id.as_str(),
        generation_id: device.generation_id.to_string(),
        etag: etag(device.version),
        connection_state: presence.state,
        status: device.status,
        status_reason: device.status_reason.as_deref(),
        connection_state_updated_time: time_text(presence.state_updated, telling),
        status_updated_time: time_text(device.status_updated, telling),
        last_activity_time: time_text(presence.last_activity, telling),
        cloud_to_device_message_count: presence.cloud_to_device_messages,
        authentication: AuthenticationJson {
            symmetric_key,
            x509_thumbprint: thumbprints(&device.authentication),
            r#type: type_word(&device.authentication),
        },
        capabilities: CapabilitiesJson { iot_edge: device.iot_edge },
        device_scope: device.device_scope.as_deref(),
        parent_scopes: &device.parent_scopes,
    }
}

/// The thumbprints of an identity, where it has any.
pub(super) fn thumbprints(authentication: &Authentication) -> ThumbprintsJson {
    match authentication {
        Authentication::SelfSigned { primary, secondary } => ThumbprintsJson {
            primary_thumbprint: primary.map(|thumbprint| thumbprint.to_string()),
            secondary_thumbprint: secondary.map(|thumbprint| thumbprint.to_string()),
        },
        Authentication::Sas { .. }
        | Authentication::CertificateAuthority
        | Authentication::None => ThumbprintsJson::default(),
    }
}

/// The type of an identity's authentication, as the wire names it.
pub(super) const fn type_word(authentication: &Authentication) -> &'static str {
    match authentication {
        Authentication::Sas { .. } => "sas",
        Authentication::SelfSigned { .. } => "selfSigned",
        Authentication::CertificateAuthority => "certificateAuthority",
        Authentication::None => "none",
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeviceRead {
    device_id: Option<String>,
    status: Option<String>,
    status_reason: Option<String>,
    #[serde(default, deserialize_with = "object")]
    authentication: Option<AuthenticationRead>,
    #[serde(default, deserialize_with = "object")]
    capabilities: Option<CapabilitiesRead>,
    device_scope: Option<String>,
    parent_scopes: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthenticationRead {
    r#type: Option<String>,
    #[serde(default, deserialize_with = "object")]
    symmetric_key: Option<KeysRead>,
    #[serde(default, deserialize_with = "object")]
    x509_thumbprint: Option<ThumbprintsRead>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeysRead {
    primary_key: Option<String>,
    secondary_key: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ThumbprintsRead {
    primary_thumbprint: Option<String>,
    secondary_thumbprint: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CapabilitiesRead {
    iot_edge: Option<bool>,
}

const STATUSES: &[&str] = &["enabled", "disabled"];
const TYPES: &[&str] = &["sas", "selfSigned", "certificateAuthority", "none"];

/// Reads a device identity that is put to an address; members that the hub sets are not looked at.
///
/// # Errors
/// As any JSON body; [`ApiFault::UnknownWord`] for a status or type of another word.
pub fn draft(addressed: &DeviceId, body: &[u8]) -> Result<DeviceDraft, ApiFault> {
    sorted(addressed, read(body)?)
}

/// Sorts what was read by its meaning.
pub(super) fn sorted(addressed: &DeviceId, read: DeviceRead) -> Result<DeviceDraft, ApiFault> {
    let status = |given: String| {
        let values = [DeviceStatus::Enabled, DeviceStatus::Disabled];
        word("status", &given, STATUSES, &values)
    };
    Ok(DeviceDraft {
        device_id: addressed.clone(),
        named: read.device_id,
        status: read.status.map(status).transpose()?,
        status_reason: read.status_reason,
        authentication: read.authentication.map(authentication).transpose()?,
        iot_edge: read.capabilities.and_then(|capabilities| capabilities.iot_edge),
        device_scope: read.device_scope,
        parent_scopes: read.parent_scopes.unwrap_or_default(),
    })
}

fn authentication(read: AuthenticationRead) -> Result<AuthenticationDraft, ApiFault> {
    let kind = |given: String| {
        let values = [
            AuthenticationKind::Sas,
            AuthenticationKind::SelfSigned,
            AuthenticationKind::CertificateAuthority,
            AuthenticationKind::None,
        ];
        word("authentication.type", &given, TYPES, &values)
    };
    let keys = read.symmetric_key.unwrap_or_default();
    let thumbprints = read.x509_thumbprint.unwrap_or_default();
    Ok(AuthenticationDraft {
        kind: read.r#type.map(kind).transpose()?,
        primary_key: keys.primary_key.map(Secret::new),
        secondary_key: keys.secondary_key.map(Secret::new),
        primary_thumbprint: thumbprints.primary_thumbprint,
        secondary_thumbprint: thumbprints.secondary_thumbprint,
    })
}
