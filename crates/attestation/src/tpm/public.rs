//! Public areas of endorsement keys and storage root keys, parsed strictly.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::agreement::{self, ParsedPublicKey, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Sha256;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::error::PublicError;
use super::marshal::Reader;
use super::{alg, attributes};
use crate::roca;

/// Bytes of a `TPM2B_PUBLIC` that are looked at: those of an RSA-2048 key are 316, and the rest is
/// room for saying what is wrong with a bigger one.
const PUBLIC_BYTES_MAX: usize = 1024;
/// `TPM_ECC_NIST_P256`. Source: Part 2 §6.4.
const NIST_P256: u16 = 0x0003;
/// The exponent that the field's zero stands for. Source: Part 2 §12.2.3.5, `TPMS_RSA_PARMS`.
const DEFAULT_EXPONENT: u32 = 65537;
/// What every storage key of a TPM's own has, and what makes its secrets stay there.
const STORAGE_KEY: u32 = attributes::FIXED_TPM
    | attributes::FIXED_PARENT
    | attributes::SENSITIVE_DATA_ORIGIN
    | attributes::RESTRICTED
    | attributes::DECRYPT;

/// `SubjectPublicKeyInfo` of an RSA-2048 key, up to the modulus. Source: RFC 3279 §2.3.1.
const RSA_2048_HEAD: [u8; 33] = [
    0x30, 0x82, 0x01, 0x22, 0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01,
    0x01, 0x05, 0x00, 0x03, 0x82, 0x01, 0x0F, 0x00, 0x30, 0x82, 0x01, 0x0A, 0x02, 0x82, 0x01, 0x01,
    0x00,
];
/// The exponent 65537, which follows the modulus.
const RSA_2048_TAIL: [u8; 5] = [0x02, 0x03, 0x01, 0x00, 0x01];
/// `SubjectPublicKeyInfo` of a NIST P-256 key, up to the uncompressed point. Source: RFC 5480 §2.
const P256_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A,
    0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The Name of an object: its name algorithm and the digest of its public area.
///
/// Source: Part 1, "Names".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name([u8; 34]);

impl Name {
    /// The Name of a marshalled `TPMT_PUBLIC` whose name algorithm is SHA-256.
    pub(super) fn of(public: &[u8]) -> Self {
        let mut name = [0; 34];
        let (algorithm, digest) = name.split_at_mut(2);
        algorithm.copy_from_slice(&alg::SHA256.to_be_bytes());
        digest.copy_from_slice(&crate::sha256(public).0);
        Self(name)
    }

    /// The digest alone.
    pub fn digest(&self) -> Sha256 {
        let mut digest = [0; 32];
        let (_, own) = self.0.split_at(2);
        digest.copy_from_slice(own);
        Sha256(digest)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 34] {
        &self.0
    }
}

/// A key's public part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    /// RSA with the exponent 65537.
    Rsa2048 {
        /// The modulus, its highest bit set.
        modulus: Box<[u8; 256]>,
    },
    /// A point of NIST P-256.
    P256 {
        /// `04 ‖ x ‖ y`, both of 32 bytes. Source: SEC 1 §2.3.3.
        point: [u8; 65],
    },
}

/// A parsed `TPMT_PUBLIC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicArea {
    bytes: Vec<u8>,
    pub(super) key: PublicKey,
}

impl PublicArea {
    fn from_base64(text: &str) -> Result<Self, PublicError> {
        if text.len() > PUBLIC_BYTES_MAX.div_ceil(3) * 4 {
            return Err(PublicError::TooLong);
        }
        Self::parse(&STANDARD.decode(text).map_err(|_| PublicError::NotBase64)?)
    }

    /// Parses a `TPM2B_PUBLIC`, to its last byte.
    fn parse(bytes: &[u8]) -> Result<Self, PublicError> {
        if bytes.len() > PUBLIC_BYTES_MAX {
            return Err(PublicError::TooLong);
        }
        let mut outer = Reader::new(bytes);
        let area = outer.sized()?;
        outer.end()?;
        let mut reader = Reader::new(area);
        let key = public_key(&mut reader)?;
        reader.end()?;
        Ok(Self { bytes: area.to_vec(), key })
    }

    /// The `TPMT_PUBLIC`.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The `TPM2B_PUBLIC`.
    pub(super) fn sized(&self) -> Vec<u8> {
        let size = u16::try_from(self.bytes.len()).unwrap_or(u16::MAX);
        [size.to_be_bytes().as_slice(), &self.bytes].concat()
    }

    pub(super) fn name(&self) -> Name {
        Name::of(&self.bytes)
    }
}

impl PublicKey {
    /// The `SubjectPublicKeyInfo`, DER. Source: RFC 3279 §2.3.1, RFC 5480 §2.
    pub(super) fn spki_der(&self) -> Vec<u8> {
        match self {
            Self::Rsa2048 { modulus } => {
                [RSA_2048_HEAD.as_slice(), modulus.as_slice(), &RSA_2048_TAIL].concat()
            }
            Self::P256 { point } => [P256_HEAD.as_slice(), point].concat(),
        }
    }
}

/// Source: Part 2 §12.2.4, `TPMT_PUBLIC`.
fn public_key(reader: &mut Reader<'_>) -> Result<PublicKey, PublicError> {
    let kind = reader.u16()?;
    if kind != alg::RSA && kind != alg::ECC {
        return Err(PublicError::Type(kind));
    }
    match reader.u16()? {
        alg::SHA256 => {}
        other => return Err(PublicError::NameAlgorithm(other)),
    }
    let attributes = reader.u32()?;
    if attributes & STORAGE_KEY != STORAGE_KEY || attributes & attributes::SIGN != 0 {
        return Err(PublicError::Attributes(attributes));
    }
    if !matches!(reader.sized()?.len(), 0 | 32) {
        return Err(PublicError::Policy);
    }
    if reader.u16()? != alg::AES || reader.u16()? != 128 || reader.u16()? != alg::CFB {
        return Err(PublicError::Symmetric);
    }
    if reader.u16()? != alg::NULL {
        return Err(PublicError::Scheme);
    }
    match kind {
        alg::RSA => rsa(reader),
        _ => ecc(reader),
    }
}

/// Source: Part 2 §12.2.3.5, `TPMS_RSA_PARMS`, without what all asymmetric keys share.
fn rsa(reader: &mut Reader<'_>) -> Result<PublicKey, PublicError> {
    match reader.u16()? {
        2048 => {}
        other => return Err(PublicError::RsaBits(other)),
    }
    match reader.u32()? {
        0 | DEFAULT_EXPONENT => {}
        other => return Err(PublicError::Exponent(other)),
    }
    let modulus: &[u8; 256] = reader.sized()?.try_into().map_err(|_| PublicError::Modulus)?;
    let [high, .., low] = modulus;
    if high & 0x80 == 0 || low & 1 == 0 || roca::has_tiny_factor(modulus) {
        return Err(PublicError::Modulus);
    }
    match roca::is_weak(modulus) {
        true => Err(PublicError::Roca),
        false => Ok(PublicKey::Rsa2048 { modulus: Box::new(*modulus) }),
    }
}

/// Source: Part 2 §12.2.3.6, `TPMS_ECC_PARMS`, without what all asymmetric keys share.
fn ecc(reader: &mut Reader<'_>) -> Result<PublicKey, PublicError> {
    match reader.u16()? {
        NIST_P256 => {}
        other => return Err(PublicError::Curve(other)),
    }
    if reader.u16()? != alg::NULL {
        return Err(PublicError::Scheme);
    }
    let mut point = [0; 65];
    let (form, coordinates) = point.split_at_mut(1);
    form.fill(0x04);
    for coordinate in coordinates.chunks_exact_mut(32) {
        let given = reader.sized()?;
        // A TPM may leave leading zeroes out (Part 1, "ECC Point Padding").
        let padding = coordinate.len().checked_sub(given.len()).ok_or(PublicError::Point)?;
        let (_, digits) = coordinate.split_at_mut(padding);
        digits.copy_from_slice(given);
    }
    ParsedPublicKey::try_from(UnparsedPublicKey::new(&agreement::ECDH_P256, point))
        .map_err(|_| PublicError::Point)?;
    Ok(PublicKey::P256 { point })
}

/// What both kinds of key offer.
macro_rules! storage_key {
    ($kind:ident, $what:literal) => {
        impl $kind {
            /// Reads base64 of a `TPM2B_PUBLIC`, the form of every SDK.
            ///
            /// # Errors
            /// Every variant of [`PublicError`].
            pub fn from_base64(text: &str) -> Result<Self, PublicError> {
                PublicArea::from_base64(text).map(Self)
            }

            /// Reads a `TPM2B_PUBLIC`.
            ///
            /// # Errors
            /// Every variant of [`PublicError`] but `NotBase64`.
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, PublicError> {
                PublicArea::parse(bytes).map(Self)
            }

            /// Base64 of the `TPM2B_PUBLIC`, as it was read.
            pub fn to_base64(&self) -> String {
                STANDARD.encode(self.0.sized())
            }

            /// The key's Name.
            pub fn name(&self) -> Name {
                self.0.name()
            }
        }

        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_base64())
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <Cow<'de, str>>::deserialize(deserializer)?;
                Self::from_base64(&text).map_err(de::Error::custom)
            }
        }

        impl fmt::Debug for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($what, "({})"), crate::sha256(&self.0.bytes))
            }
        }
    };
}

/// The public area of an endorsement key: RSA-2048 or NIST P-256, SHA-256, AES-128.
///
/// Two are equal when their public areas are, byte for byte, which is when their Names are.
/// Source: TCG EK Credential Profile, templates L-1 and L-2; `dps-device-api` §6.4.
#[derive(Clone, PartialEq, Eq)]
pub struct EndorsementKey(pub(super) PublicArea);
storage_key!(EndorsementKey, "EndorsementKey");

/// The public area of a storage root key: of the same kinds as endorsement keys.
///
/// A device may change it at any time, by clearing its TPM's owner (M-24).
#[derive(Clone, PartialEq, Eq)]
pub struct StorageRootKey(pub(super) PublicArea);
storage_key!(StorageRootKey, "StorageRootKey");
