//! Private keys that sign certificates.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
    RSA_PKCS1_SHA256,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use webpki::aws_lc_rs as algorithms;
use zeroize::Zeroizing;

use super::{KeyType, write};

/// Bytes of a private key, in any form: RSA of 4096 bits takes 2.4 KiB.
const PRIVATE_KEY_BYTES_MAX: usize = 8 * 1024;

/// A private key, as PKCS #8, SEC 1 or PKCS #1.
///
/// Never shown, wiped when dropped. Its storage form is base64 of the DER.
#[derive(Clone)]
pub struct PrivateKey(Zeroizing<Vec<u8>>);

/// Why there is no private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivateKeyError {
    /// The text is not an unencrypted private key in PEM.
    Pem,
    /// The key is not of a kind that issues certificates.
    Kind,
    /// The cryptographic library has failed.
    Library,
}

impl fmt::Display for PrivateKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pem => "is not an unencrypted private key in PEM",
            Self::Kind => "is not a private key of P-256, P-384 or RSA of 2048 bits or more",
            Self::Library => "the cryptographic library has failed",
        })
    }
}

impl std::error::Error for PrivateKeyError {}

/// A key that is ready to sign.
pub(super) enum Pair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(rsa::KeyPair),
}

impl Pair {
    fn read(der: &[u8]) -> Result<Self, PrivateKeyError> {
        let curve = |curve| EcdsaKeyPair::from_private_key_der(curve, der);
        if let Ok(pair) = curve(&ECDSA_P256_SHA256_ASN1_SIGNING) {
            return Ok(Self::P256(pair));
        }
        if let Ok(pair) = curve(&ECDSA_P384_SHA384_ASN1_SIGNING) {
            return Ok(Self::P384(pair));
        }
        let pair = rsa::KeyPair::from_pkcs8(der).or_else(|_| rsa::KeyPair::from_der(der));
        pair.map(Self::Rsa).map_err(|_| PrivateKeyError::Kind)
    }

    /// The algorithm identifier of its signatures, DER.
    pub(super) fn algorithm(&self) -> Vec<u8> {
        let algorithm = match self {
            Self::P256(_) => algorithms::ECDSA_P256_SHA256,
            Self::P384(_) => algorithms::ECDSA_P384_SHA384,
            Self::Rsa(_) => algorithms::RSA_PKCS1_2048_8192_SHA256,
        };
        write::sequence(&[algorithm.signature_alg_id().as_ref()])
    }

    /// Signs; the cryptographic library draws what ECDSA needs.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PrivateKeyError> {
        let random = SystemRandom::new();
        match self {
            Self::P256(pair) | Self::P384(pair) => {
                let signature = pair.sign(&random, message);
                signature.map(|signature| signature.as_ref().to_vec())
            }
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.map(|()| signature)
            }
        }
        .map_err(|_| PrivateKeyError::Library)
    }
}

impl PrivateKey {
    /// A fresh key; the cryptographic library draws it. RSA is not made: it takes seconds.
    ///
    /// # Errors
    /// [`PrivateKeyError::Kind`] for RSA, [`PrivateKeyError::Library`].
    pub fn generate(kind: KeyType) -> Result<Self, PrivateKeyError> {
        let curve = match kind {
            KeyType::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            KeyType::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            KeyType::Rsa => return Err(PrivateKeyError::Kind),
        };
        let made = EcdsaKeyPair::generate_pkcs8(curve, &SystemRandom::new());
        let made = made.map_err(|_| PrivateKeyError::Library)?;
        Ok(Self(Zeroizing::new(made.as_ref().to_vec())))
    }

    /// Reads the first private key of a PEM text.
    ///
    /// # Errors
    /// [`PrivateKeyError::Pem`], [`PrivateKeyError::Kind`].
    pub fn from_pem(text: &str) -> Result<Self, PrivateKeyError> {
        if text.len() > 2 * PRIVATE_KEY_BYTES_MAX {
            return Err(PrivateKeyError::Pem);
        }
        let read = PrivateKeyDer::from_pem_slice(text.as_bytes());
        let read = read.map_err(|_| PrivateKeyError::Pem)?;
        let der = Zeroizing::new(read.secret_der().to_vec());
        Pair::read(&der).map(|_| Self(der))
    }

    /// Its kind.
    ///
    /// # Errors
    /// [`PrivateKeyError::Kind`].
    pub fn kind(&self) -> Result<KeyType, PrivateKeyError> {
        Ok(match Pair::read(&self.0)? {
            Pair::P256(_) => KeyType::P256,
            Pair::P384(_) => KeyType::P384,
            Pair::Rsa(_) => KeyType::Rsa,
        })
    }

    /// The public key as `SubjectPublicKeyInfo`, DER.
    ///
    /// # Errors
    /// [`PrivateKeyError::Library`].
    pub fn spki_der(&self) -> Result<Vec<u8>, PrivateKeyError> {
        let failed = |_| PrivateKeyError::Library;
        let der = match Pair::read(&self.0)? {
            Pair::P256(pair) | Pair::P384(pair) => pair.public_key().as_der().map_err(failed)?,
            Pair::Rsa(pair) => pair.public_key().as_der().map_err(failed)?,
        };
        Ok(der.as_ref().to_vec())
    }

    /// The key, ready to sign.
    pub(super) fn pair(&self) -> Result<Pair, PrivateKeyError> {
        Pair::read(&self.0)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

impl Serialize for PrivateKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(STANDARD.encode(self.0.as_slice())))
    }
}

impl<'de> Deserialize<'de> for PrivateKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        let der = STANDARD.decode(text.as_ref()).map_err(de::Error::custom)?;
        Ok(Self(Zeroizing::new(der)))
    }
}
