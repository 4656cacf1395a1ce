//! An issuer's public keys: a JSON Web Key Set (RFC 7517).

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::limits::{JWKS_BYTES_MAX, JWKS_KEYS_MAX};
use serde::Deserialize;
use serde_json::Value;

use super::token::{Algorithm, Token};

/// Bytes of an RSA modulus. Source: what the algorithms believe, 2048 to 8192 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// The keys that an issuer signs with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet(Vec<Key>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    /// The one algorithm that it is for, where the issuer says so.
    algorithm: Option<Algorithm>,
    public: Public,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Public {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point.
    P256(Vec<u8>),
    P384(Vec<u8>),
}

/// Why a text is no set of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySetError {
    /// It is longer than [`JWKS_BYTES_MAX`].
    TooLong,
    /// It has more than [`JWKS_KEYS_MAX`] keys.
    TooMany,
    /// It is not JSON of this form.
    Malformed(String),
    /// It holds a private key, which nobody but the issuer may have.
    Private,
    /// None of its keys can be used here.
    Nothing,
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "is longer than {JWKS_BYTES_MAX} bytes"),
            Self::TooMany => write!(f, "has more than {JWKS_KEYS_MAX} keys"),
            Self::Malformed(because) => write!(f, "is no JSON Web Key Set: {because}"),
            Self::Private => f.write_str("holds a private key: give the public ones alone"),
            Self::Nothing => f.write_str(
                "has no key to use: RSA of 2048 to 8192 bits, or EC on P-256 or P-384, to verify \
                 RS256, PS256, ES256 or ES384",
            ),
        }
    }
}

impl std::error::Error for KeySetError {}

#[derive(Deserialize)]
struct SetJson {
    keys: Vec<KeyJson>,
}

/// RFC 7517 §4, RFC 7518 §6.
#[derive(Deserialize)]
struct KeyJson {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<Value>,
}

impl KeySet {
    /// Reads a set that must have a key to use.
    ///
    /// # Errors
    /// [`KeySetError`].
    pub fn parse(text: &[u8]) -> Result<Self, KeySetError> {
        let keys = Self::published(text)?;
        if keys.is_empty() { Err(KeySetError::Nothing) } else { Ok(keys) }
    }

    /// Reads a set as its issuer publishes it: one without a key to use says that nothing is signed
    /// any more. Keys for other purposes and of other kinds are left out.
    ///
    /// # Errors
    /// [`KeySetError`], but not [`KeySetError::Nothing`].
    pub fn published(text: &[u8]) -> Result<Self, KeySetError> {
        if text.len() > JWKS_BYTES_MAX {
            return Err(KeySetError::TooLong);
        }
        let SetJson { keys } = serde_json::from_slice(text)
            .map_err(|error| KeySetError::Malformed(error.to_string()))?;
        if keys.len() > JWKS_KEYS_MAX {
            return Err(KeySetError::TooMany);
        }
        if keys.iter().any(|key| key.d.is_some()) {
            return Err(KeySetError::Private);
        }
        Ok(Self(keys.into_iter().filter_map(KeyJson::read).collect()))
    }

    /// Whether there is no key in it.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the issuer made the signature; none where it has no key of that id, or where none
    /// is named and several could be meant.
    pub(super) fn verify(&self, token: &Token<'_>) -> Option<bool> {
        let mut fitting = self.0.iter().filter(|key| key.fits(token));
        let key = fitting.next()?;
        match (&token.key_id, fitting.next()) {
            (Some(_), _) | (None, None) => Some(key.made(token)),
            (None, Some(_)) => None,
        }
    }
}

impl KeyJson {
    fn read(self) -> Option<Key> {
        let signs = self.usage.as_deref().is_none_or(|usage| usage == "sig");
        let verifies = self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !signs || !verifies {
            return None;
        }
        let algorithm = match &self.alg {
            Some(name) => Some(Algorithm::parse(name)?),
            None => None,
        };
        let number = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_ref()?).ok();
        let public = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (unsigned(number(&self.n)?), unsigned(number(&self.e)?));
                (MODULUS_BYTES.contains(&n.len()) && !e.is_empty())
                    .then_some(Public::Rsa { n, e })?
            }
            ("EC", Some("P-256")) => Public::P256(point(&number(&self.x)?, &number(&self.y)?, 32)?),
            ("EC", Some("P-384")) => Public::P384(point(&number(&self.x)?, &number(&self.y)?, 48)?),
            (_, _) => return None,
        };
        Some(Key { id: self.kid, algorithm, public })
    }
}

/// A number without the zeros that some issuers write in front.
fn unsigned(mut bytes: Vec<u8>) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    bytes
}

/// SEC 1 §2.3.3, uncompressed.
fn point(x: &[u8], y: &[u8], length: usize) -> Option<Vec<u8>> {
    (x.len() == length && y.len() == length).then(|| [&[4], x, y].concat())
}

impl Key {
    fn fits(&self, token: &Token<'_>) -> bool {
        let named = token.key_id.is_none() || self.id == token.key_id;
        let kind = match (&self.public, token.algorithm) {
            (Public::Rsa { .. }, Algorithm::Rs256 | Algorithm::Ps256)
            | (Public::P256(_), Algorithm::Es256)
            | (Public::P384(_), Algorithm::Es384) => true,
            (Public::Rsa { .. }, Algorithm::Es256 | Algorithm::Es384)
            | (Public::P256(_), Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es384)
            | (Public::P384(_), Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256) => false,
        };
        named && kind && self.algorithm.is_none_or(|only| only == token.algorithm)
    }

    fn made(&self, token: &Token<'_>) -> bool {
        let (message, signature) = (token.message, token.signature.as_slice());
        let verified =
            match &self.public {
                Public::Rsa { n, e } => {
                    let parameters = match token.algorithm {
                        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                        Algorithm::Rs256 | Algorithm::Es256 | Algorithm::Es384 => {
                            &RSA_PKCS1_2048_8192_SHA256
                        }
                    };
                    RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
                }
                Public::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, signature),
                Public::P384(point) => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point)
                    .verify(message, signature),
            };
        verified.is_ok()
    }
}
