//! Shared access signatures: the tokens that devices and operators' tools sign with a key.
//!
//! `SharedAccessSignature sr={resource}&sig={base64 HMAC}&se={unix seconds}[&skn={key name}]`,
//! fields in any order. The signature covers `sr` and `se` exactly as they are written, because
//! every SDK escapes `sr` in its own way. Source: `dps-device-api` §3.3, `dps-service-api` K-01 to
//! K-14, `iot-hub` §1.3, `clients` §4.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Timestamp;
use model::limits::{SAS_BYTES_MAX, SAS_CLOCK_SKEW};
use serde::{Deserialize, Serialize};

use crate::SymmetricKey;

mod escape;
mod resource;
#[cfg(test)]
mod tests;

/// The scheme word that a token starts with, in any case.
const SCHEME: &str = "SharedAccessSignature";

/// A token as it was sent: parsed, not yet believed.
///
/// Its `Debug` leaves the signature out.
#[derive(Clone, Serialize, Deserialize)]
pub struct SasToken {
    raw_resource: String,
    resource: String,
    raw_expires: String,
    expires: Timestamp,
    signature: [u8; 32],
    key_name: Option<String>,
}

/// Why a text is not a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SasError {
    /// The text is longer than [`SAS_BYTES_MAX`].
    TooLong,
    /// The text does not start with `SharedAccessSignature` and a space.
    Scheme,
    /// A part between two `&` has no `=`.
    Field,
    /// A field is given twice.
    Duplicate(SasField),
    /// A field is not there, or empty.
    Missing(SasField),
    /// A field's value is not of its form: a broken escape, not UTF-8, a control character, not
    /// base64 of 32 bytes, not decimal digits.
    Malformed(SasField),
}

/// The fields of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SasField {
    /// `sr`, the resource.
    Resource,
    /// `sig`, the signature.
    Signature,
    /// `se`, the expiry.
    Expiry,
    /// `skn`, the key's name.
    KeyName,
}

impl fmt::Display for SasField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resource => "sr",
            Self::Signature => "sig",
            Self::Expiry => "se",
            Self::KeyName => "skn",
        })
    }
}

impl fmt::Display for SasError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the token is longer than {SAS_BYTES_MAX} bytes"),
            Self::Scheme => write!(f, "the token does not start with {SCHEME}"),
            Self::Field => f.write_str("a field of the token has no ="),
            Self::Duplicate(field) => write!(f, "the token has {field} twice"),
            Self::Missing(field) => write!(f, "the token has no {field}"),
            Self::Malformed(field) => write!(f, "the token's {field} is malformed"),
        }
    }
}

impl std::error::Error for SasError {}

impl SasToken {
    /// Reads a token, with its fields in any order; unknown fields are ignored.
    ///
    /// # Errors
    /// Every variant of [`SasError`].
    pub fn parse(text: &str) -> Result<Self, SasError> {
        if text.len() > SAS_BYTES_MAX {
            return Err(SasError::TooLong);
        }
        let raw = RawFields::split(after_scheme(text).ok_or(SasError::Scheme)?)?;
        let raw_resource = present(raw.resource, SasField::Resource)?;
        let raw_expires = present(raw.expires, SasField::Expiry)?;
        let signature = present(raw.signature, SasField::Signature)?;
        Ok(Self {
            raw_resource: raw_resource.to_owned(),
            resource: shown_text(raw_resource, SasField::Resource)?,
            raw_expires: raw_expires.to_owned(),
            expires: expiry(raw_expires)?,
            signature: signature_bytes(signature)?,
            key_name: match raw.key_name {
                None | Some("") => None,
                Some(name) => Some(shown_text(name, SasField::KeyName)?),
            },
        })
    }

    /// What the token gives access to: `sr`, percent-decoded.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// `sr` as it is written in the token, which is what is signed.
    pub fn raw_resource(&self) -> &str {
        &self.raw_resource
    }

    /// `skn`, the name of the policy or key, percent-decoded; an empty one is none.
    pub fn key_name(&self) -> Option<&str> {
        self.key_name.as_deref()
    }

    /// `se`, clamped to year 9999.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Whether this key made the signature, told in constant time.
    pub fn is_signed_by(&self, key: &SymmetricKey) -> bool {
        key.verify(&signed_bytes(&self.raw_resource, &self.raw_expires), &self.signature)
    }

    /// Whether the expiry lies more than [`SAS_CLOCK_SKEW`] before `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.plus(SAS_CLOCK_SKEW) < now
    }

    /// Whether the token was made for exactly this (unescaped) resource, compared without case.
    ///
    /// For `{idScope}/registrations/{registrationId}`, whose parts all compare without case.
    pub fn is_for(&self, resource: &str) -> bool {
        self.resource.eq_ignore_ascii_case(resource)
    }

    /// Whether the token's resource is this (unescaped) one or, by whole path segments, above it.
    ///
    /// The first segment is a host: compared without case, a scheme before and a port behind it
    /// are ignored on both sides. Later segments compare with case: they hold hub device ids.
    /// Source: `dps-service-api` K-02, K-04, K-14; `iot-hub` §1.3.
    pub fn covers(&self, resource: &str) -> bool {
        resource::covers(&self.resource, resource)
    }
}

impl fmt::Debug for SasToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SasToken")
            .field("resource", &self.resource)
            .field("key_name", &self.key_name)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Makes a token for an (unescaped) resource.
///
/// Written as the SDKs of Microsoft's write it: `sr`, `sig`, `se`, then `skn` where there is one.
pub fn create(
    resource: &str,
    key: &SymmetricKey,
    expires: Timestamp,
    key_name: Option<&str>,
) -> String {
    let resource = escape::encode(resource);
    let expires = expires.unix_seconds().max(0).to_string();
    let signature = STANDARD.encode(key.sign(&signed_bytes(&resource, &expires)));
    let mut token =
        format!("{SCHEME} sr={resource}&sig={}&se={expires}", escape::encode(&signature));
    if let Some(name) = key_name {
        token.push_str("&skn=");
        token.push_str(&escape::encode(name));
    }
    token
}

/// The fields' values as they are written.
#[derive(Default)]
struct RawFields<'t> {
    resource: Option<&'t str>,
    signature: Option<&'t str>,
    expires: Option<&'t str>,
    key_name: Option<&'t str>,
}

impl<'t> RawFields<'t> {
    /// Field names are read in any case, as Microsoft's own parser does.
    fn split(fields: &'t str) -> Result<Self, SasError> {
        let mut raw = Self::default();
        for part in fields.split('&') {
            let (name, value) = part.split_once('=').ok_or(SasError::Field)?;
            let (slot, field) = match name.to_ascii_lowercase().as_str() {
                "sr" => (&mut raw.resource, SasField::Resource),
                "sig" => (&mut raw.signature, SasField::Signature),
                "se" => (&mut raw.expires, SasField::Expiry),
                "skn" => (&mut raw.key_name, SasField::KeyName),
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(SasError::Duplicate(field));
            }
        }
        Ok(raw)
    }
}

fn after_scheme(text: &str) -> Option<&str> {
    let (scheme, fields) = text.trim_matches(' ').split_once(' ')?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| fields.trim_start_matches(' '))
}

fn present(value: Option<&str>, field: SasField) -> Result<&str, SasError> {
    value.filter(|text| !text.is_empty()).ok_or(SasError::Missing(field))
}

/// Decodes a value that explanations show: no control character may be in it.
fn shown_text(raw: &str, field: SasField) -> Result<String, SasError> {
    escape::decode(raw)
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|text| !text.chars().any(char::is_control))
        .ok_or(SasError::Malformed(field))
}

fn signature_bytes(raw: &str) -> Result<[u8; 32], SasError> {
    escape::decode(raw)
        .and_then(|text| STANDARD.decode(text).ok())
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(SasError::Malformed(SasField::Signature))
}

fn expiry(raw: &str) -> Result<Timestamp, SasError> {
    if !raw.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SasError::Malformed(SasField::Expiry));
    }
    // Only digits: the one way to fail is to be too big, which is as good as year 9999.
    Ok(Timestamp::from_unix_seconds(raw.parse().unwrap_or(i64::MAX)))
}

fn signed_bytes(raw_resource: &str, raw_expires: &str) -> Vec<u8> {
    [raw_resource.as_bytes(), b"\n", raw_expires.as_bytes()].concat()
}
