//! A token as it was sent: parsed, not yet believed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::limits::BEARER_BYTES_MAX;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Denied;

/// The signatures that are believed. `none` is not among them, and no HMAC: an issuer's public
/// key could be taken for its secret (RFC 8725 §2.1). Source: RFC 7518 §3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
}

impl Algorithm {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            "ES384" => Some(Self::Es384),
            _ => None,
        }
    }
}

/// Kinds of tokens that may be meant for an API (RFC 9068 §2.1); none is said by older issuers.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// The members of a header that mean something here (RFC 7515 §4.1).
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// A token in its parts.
pub(super) struct Token<'t> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    pub(super) claims: Value,
    /// The bytes that are signed.
    pub(super) message: &'t [u8],
    pub(super) signature: Vec<u8>,
}

impl<'t> Token<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, Denied> {
        if text.len() > BEARER_BYTES_MAX {
            return Err(Denied::TooLong);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(Denied::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(Denied::Malformed)?;
        let header: Header = decoded(header)?;
        let algorithm = Algorithm::parse(&header.alg).ok_or(Denied::Algorithm)?;
        let known = |typ: &String| TYPES.contains(&typ.to_ascii_lowercase().as_str());
        if header.crit.is_some() || !header.typ.as_ref().is_none_or(known) {
            return Err(Denied::Malformed);
        }
        Ok(Self {
            algorithm,
            key_id: header.kid,
            claims: decoded(claims)?,
            message: message.as_bytes(),
            signature: bytes(signature)?,
        })
    }
}

fn decoded<T: DeserializeOwned>(part: &str) -> Result<T, Denied> {
    serde_json::from_slice(&bytes(part)?).map_err(|_| Denied::Malformed)
}

/// RFC 7515 §2: the URL-safe alphabet, no padding, no spare bits; a dot is in no alphabet.
fn bytes(part: &str) -> Result<Vec<u8>, Denied> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Denied::Malformed)
}
