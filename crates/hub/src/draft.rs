//! What an operator asks of a device identity, and the rules that make an identity of it.
//!
//! Source: `iot-hub` §2.3 and §2.4.

use std::fmt;

use attestation::SymmetricKey;
use model::{DeviceId, Secret, Timestamp};

use crate::identity::{Authentication, Device, DeviceStatus, Thumbprint};

/// Characters in a status reason. Source: `iot-hub` §2.3.
const STATUS_REASON_CHARS_MAX: usize = 128;

/// How an edge scope begins. Source: `iot-hub` §2.3.
const DEVICE_SCOPE_PREFIX: &str = "ms-azure-iot-edge://";

/// A device identity as asked for; what is absent keeps its value, or gets its default where
/// the identity is new.
#[derive(Clone, Debug)]
pub struct DeviceDraft {
    /// The id that was addressed.
    pub device_id: DeviceId,
    /// The id that the document names, if it names one.
    pub named: Option<String>,
    /// Whether it may connect.
    pub status: Option<DeviceStatus>,
    /// Words of the operator's; an absent one clears the old.
    pub status_reason: Option<String>,
    /// What it will show.
    pub authentication: Option<AuthenticationDraft>,
    /// Whether it is an IoT Edge device.
    pub iot_edge: Option<bool>,
    /// The edge scope; empty is absent.
    pub device_scope: Option<String>,
    /// Scopes above.
    pub parent_scopes: Vec<String>,
}

/// What a device will show, as asked for.
#[derive(Clone, Debug, Default)]
pub struct AuthenticationDraft {
    /// The kind; guessed from the members where absent.
    pub kind: Option<AuthenticationKind>,
    /// The first key, base64; empty is absent.
    pub primary_key: Option<Secret<String>>,
    /// The second key, base64; empty is absent.
    pub secondary_key: Option<Secret<String>>,
    /// The first thumbprint; empty is absent.
    pub primary_thumbprint: Option<String>,
    /// The second thumbprint; empty is absent.
    pub secondary_thumbprint: Option<String>,
}

/// The kinds of [`Authentication`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticationKind {
    /// Symmetric keys.
    Sas,
    /// Thumbprints.
    SelfSigned,
    /// A certificate that a CA of the hub signed.
    CertificateAuthority,
    /// Nothing.
    None,
}

/// A first or a second credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The first.
    Primary,
    /// The second.
    Secondary,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        })
    }
}

/// Why a draft makes no identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DraftError {
    /// The document is for another id than the one addressed.
    OtherId {
        /// The id of the address.
        addressed: String,
        /// The id of the document.
        named: String,
    },
    /// The status reason is too long.
    StatusReason,
    /// One key only was given.
    OneKey,
    /// The key is no base64, or of a length out of bounds.
    SymmetricKey(Slot),
    /// Neither thumbprint was given.
    NoThumbprint,
    /// The text is not 40 or 64 hexadecimal digits.
    Thumbprint(Slot),
    /// The thumbprints are of different lengths.
    ThumbprintLengths,
    /// The text is no edge scope.
    DeviceScope,
}

impl fmt::Display for DraftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherId { addressed, named } => write!(
                f,
                "The document is for {named:?}, but the address is for {addressed:?}: make them \
                 the same"
            ),
            Self::StatusReason => {
                write!(f, "statusReason is longer than {STATUS_REASON_CHARS_MAX} characters")
            }
            Self::OneKey => f.write_str(
                "authentication.symmetricKey has one key only: give both, or neither to have them \
                 generated",
            ),
            Self::SymmetricKey(slot) => write!(
                f,
                "authentication.symmetricKey.{slot}Key is not base64 of 16 to 64 bytes: correct \
                 it, or leave both keys out"
            ),
            Self::NoThumbprint => f.write_str(
                "authentication.type is selfSigned, but x509Thumbprint is empty: give a primary \
                 or a secondary",
            ),
            Self::Thumbprint(slot) => write!(
                f,
                "authentication.x509Thumbprint.{slot}Thumbprint is not 40 or 64 hexadecimal \
                 digits: correct it"
            ),
            Self::ThumbprintLengths => f.write_str(
                "authentication.x509Thumbprint has thumbprints of different lengths: give both as \
                 SHA-1 or both as SHA-256",
            ),
            Self::DeviceScope => {
                write!(f, "deviceScope does not begin with {DEVICE_SCOPE_PREFIX}: correct it")
            }
        }
    }
}

impl std::error::Error for DraftError {}

/// Makes the identity that a draft asks for.
///
/// `keys` gives fresh symmetric keys; it is called once for each key that must be generated. What
/// the draft does not name stays: an update that is silent on the status never enables a disabled
/// identity, and one that is silent on the keys never changes them.
///
/// # Errors
/// The first rule that the draft breaks.
pub fn device(
    draft: &DeviceDraft,
    existing: Option<&Device>,
    keys: &mut dyn FnMut() -> SymmetricKey,
    now: Timestamp,
) -> Result<Device, DraftError> {
    let addressed = draft.device_id.as_str();
    if let Some(named) = draft.named.as_deref().filter(|named| *named != addressed) {
        return Err(DraftError::OtherId {
            addressed: addressed.to_owned(),
            named: named.to_owned(),
        });
    }
    let reason = draft.status_reason.clone().filter(|reason| !reason.is_empty());
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > STATUS_REASON_CHARS_MAX) {
        return Err(DraftError::StatusReason);
    }
    let authentication = match (&draft.authentication, existing) {
        (Some(asked), _) => authentication(asked, existing, keys)?,
        (None, Some(existing)) => existing.authentication.clone(),
        (None, None) => authentication(&AuthenticationDraft::default(), None, keys)?,
    };
    let mut device = match existing {
        Some(existing) => Device {
            version: existing.version.saturating_add(1),
            authentication,
            ..existing.clone()
        },
        None => Device::new(draft.device_id.clone(), authentication, now),
    };
    let status = draft.status.unwrap_or(device.status);
    if existing.is_some() && status != device.status {
        device.status_updated = now;
    }
    device.status = status;
    device.status_reason = reason;
    device.iot_edge = draft.iot_edge.unwrap_or(device.iot_edge);
    device.parent_scopes.clone_from(&draft.parent_scopes);
    device.device_scope = scope(draft, &device)?;
    Ok(device)
}

/// An edge device has the scope that the hub makes of its id; a leaf has the one that it was
/// given.
fn scope(draft: &DeviceDraft, device: &Device) -> Result<Option<String>, DraftError> {
    let given = draft.device_scope.clone().filter(|scope| !scope.is_empty());
    if given.as_ref().is_some_and(|scope| !scope.starts_with(DEVICE_SCOPE_PREFIX)) {
        return Err(DraftError::DeviceScope);
    }
    Ok(match device.iot_edge {
        true => Some(format!("{DEVICE_SCOPE_PREFIX}{}-{}", device.device_id, device.generation_id)),
        false => given,
    })
}

fn authentication(
    draft: &AuthenticationDraft,
    existing: Option<&Device>,
    keys: &mut dyn FnMut() -> SymmetricKey,
) -> Result<Authentication, DraftError> {
    let primary = filled(draft.primary_thumbprint.as_deref());
    let secondary = filled(draft.secondary_thumbprint.as_deref());
    let guessed = match primary.or(secondary) {
        Some(_) => AuthenticationKind::SelfSigned,
        None => AuthenticationKind::Sas,
    };
    match draft.kind.unwrap_or(guessed) {
        AuthenticationKind::Sas => sas(draft, existing, keys),
        AuthenticationKind::SelfSigned => self_signed(primary, secondary),
        AuthenticationKind::CertificateAuthority => Ok(Authentication::CertificateAuthority),
        AuthenticationKind::None => Ok(Authentication::None),
    }
}

/// Both keys or neither; without them, the old ones stay or new ones are generated.
fn sas(
    draft: &AuthenticationDraft,
    existing: Option<&Device>,
    keys: &mut dyn FnMut() -> SymmetricKey,
) -> Result<Authentication, DraftError> {
    let text = |key: &Option<Secret<String>>| {
        key.as_ref().map(|key| key.expose().clone()).filter(|key| !key.is_empty())
    };
    let parsed = |slot, text: &str| {
        SymmetricKey::from_base64(text).map_err(|_| DraftError::SymmetricKey(slot))
    };
    match (text(&draft.primary_key), text(&draft.secondary_key)) {
        (Some(primary), Some(secondary)) => Ok(Authentication::Sas {
            primary: parsed(Slot::Primary, &primary)?,
            secondary: parsed(Slot::Secondary, &secondary)?,
        }),
        (None, None) => Ok(match existing.map(|existing| &existing.authentication) {
            Some(old @ Authentication::Sas { .. }) => old.clone(),
            Some(
                Authentication::SelfSigned { .. }
                | Authentication::CertificateAuthority
                | Authentication::None,
            )
            | None => Authentication::Sas { primary: keys(), secondary: keys() },
        }),
        (Some(_), None) | (None, Some(_)) => Err(DraftError::OneKey),
    }
}

fn self_signed(
    primary: Option<&str>,
    secondary: Option<&str>,
) -> Result<Authentication, DraftError> {
    let parsed = |slot, text: Option<&str>| {
        text.map(|text| Thumbprint::parse(text).ok_or(DraftError::Thumbprint(slot))).transpose()
    };
    let primary = parsed(Slot::Primary, primary)?;
    let secondary = parsed(Slot::Secondary, secondary)?;
    match (primary, secondary) {
        (None, None) => Err(DraftError::NoThumbprint),
        (Some(Thumbprint::Sha1(_)), Some(Thumbprint::Sha256(_)))
        | (Some(Thumbprint::Sha256(_)), Some(Thumbprint::Sha1(_))) => {
            Err(DraftError::ThumbprintLengths)
        }
        (primary, secondary) => Ok(Authentication::SelfSigned { primary, secondary }),
    }
}

fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
