//! Certificate signing requests. Source: RFC 2986 §4.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Sha256;
use model::limits::SIGNING_REQUEST_BYTES_MAX;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use webpki::aws_lc_rs as algorithms;

use super::KeyType;
use crate::roca;
use crate::sha256;
use crate::x509::certificate::range_of;
use crate::x509::der::{self, Element, NotDer, Reader, tag};
use crate::x509::extensions::Extensions;
use crate::x509::parse::public_key;
use crate::x509::signature::{self, PublicKey, Signed};
use crate::x509::{CommonNameError, SignatureError, name};

/// `[0]` around the attributes.
const ATTRIBUTES: u8 = 0xa0;
const SET: u8 = 0x31;
/// Attributes of one request; real ones have one.
const ATTRIBUTES_MAX: usize = 16;
/// extensionRequest, 1.2.840.113549.1.9.14. Source: RFC 2985 §5.4.2.
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
/// Bits of an RSA key that a certificate is issued for.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A certificate signing request, parsed whole and strictly; its signature is yet to be checked.
///
/// Two are equal when their bytes are. Its storage form is base64 of the DER.
#[derive(Clone)]
pub struct SigningRequest {
    der: Vec<u8>,
    message: Range<usize>,
    signature_algorithm: Range<usize>,
    signature: Range<usize>,
    spki: Range<usize>,
    key_algorithm: Range<usize>,
    key: Range<usize>,
    common_name: Result<String, CommonNameError>,
    wants_ca: bool,
}

/// Why a text is not a certificate signing request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// It is longer than a request may be.
    TooLong,
    /// It is not base64 of the standard alphabet with padding; PEM's lines are not either.
    NotBase64,
    /// The bytes are not a request: this part of it is not what RFC 2986 §4 says.
    Malformed(RequestPart),
}

/// The parts of a request that can be malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestPart {
    /// The outer sequence, or bytes behind it.
    Frame,
    /// The version is not 1.
    Version,
    /// The subject's name.
    Subject,
    /// The public key.
    PublicKey,
    /// The attributes, or the extensions that they ask for.
    Attributes,
    /// The signature or its algorithm.
    Signature,
}

impl fmt::Display for RequestPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frame => "frame",
            Self::Version => "version",
            Self::Subject => "subject",
            Self::PublicKey => "public key",
            Self::Attributes => "list of attributes",
            Self::Signature => "signature",
        })
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "is longer than {SIGNING_REQUEST_BYTES_MAX} bytes"),
            Self::NotBase64 => f.write_str("is not base64 of DER, without PEM's lines"),
            Self::Malformed(part) => {
                write!(f, "is not a PKCS #10 certificate signing request: its {part} is malformed")
            }
        }
    }
}

impl std::error::Error for RequestError {}

impl SigningRequest {
    /// Reads base64 of DER.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn from_base64(text: &str) -> Result<Self, RequestError> {
        if text.len() > SIGNING_REQUEST_BYTES_MAX.div_ceil(3) * 4 {
            return Err(RequestError::TooLong);
        }
        Self::from_der(&STANDARD.decode(text).map_err(|_| RequestError::NotBase64)?)
    }

    /// Reads DER: these bytes, all of them.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        if der.len() > SIGNING_REQUEST_BYTES_MAX {
            return Err(RequestError::TooLong);
        }
        read(der).map_err(RequestError::Malformed)
    }

    /// The SHA-256 of the DER.
    pub fn hash(&self) -> Sha256 {
        sha256(&self.der)
    }

    /// The subject's one common name.
    ///
    /// # Errors
    /// Every variant of [`CommonNameError`].
    pub fn common_name(&self) -> Result<&str, CommonNameError> {
        self.common_name.as_deref().map_err(|error| *error)
    }

    /// The public key as `SubjectPublicKeyInfo`, DER.
    pub fn spki_der(&self) -> &[u8] {
        self.slice(&self.spki)
    }

    /// Whether it asks for a CA's certificate.
    pub const fn wants_ca(&self) -> bool {
        self.wants_ca
    }

    /// The kind of its key; none for a kind or a size that no certificate is issued for, and for
    /// RSA keys that can be computed (ROCA).
    pub fn key_type(&self) -> Option<KeyType> {
        let key = self.public_key();
        let is = |one: &dyn rustls_pki_types::SignatureVerificationAlgorithm| {
            one.public_key_alg_id().as_ref() == key.algorithm
        };
        if is(algorithms::ECDSA_P256_SHA256) {
            Some(KeyType::P256)
        } else if is(algorithms::ECDSA_P384_SHA384) {
            Some(KeyType::P384)
        } else if is(algorithms::RSA_PKCS1_2048_8192_SHA256) {
            let modulus = modulus(key.bits).ok()?;
            let unused = modulus.first()?.leading_zeros();
            let bits = (modulus.len() * 8).checked_sub(usize::try_from(unused).ok()?)?;
            let is_weak = roca::has_tiny_factor(modulus) || roca::is_weak(modulus);
            (RSA_BITS.contains(&bits) && !is_weak).then_some(KeyType::Rsa)
        } else {
            None
        }
    }

    /// Checks that whoever made the request holds the key that it is for.
    ///
    /// # Errors
    /// Every variant of [`SignatureError`].
    pub fn verify(&self) -> Result<(), SignatureError> {
        let signed = Signed {
            message: self.slice(&self.message),
            algorithm: self.slice(&self.signature_algorithm),
            bits: self.slice(&self.signature),
        };
        signature::verify(signed, self.public_key())
    }

    fn public_key(&self) -> PublicKey<'_> {
        PublicKey { algorithm: self.slice(&self.key_algorithm), bits: self.slice(&self.key) }
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.der.get(range.clone()).unwrap_or_default()
    }
}

fn read(der: &[u8]) -> Result<SigningRequest, RequestPart> {
    let frame = |_| RequestPart::Frame;
    let mut outer = Reader::new(der::only(der, tag::SEQUENCE).map_err(frame)?.content);
    let signed = outer.expect(tag::SEQUENCE).map_err(frame)?;
    let algorithm = outer.expect(tag::SEQUENCE).map_err(|_| RequestPart::Signature)?;
    let signature = outer.expect(tag::BIT_STRING).and_then(der::whole_bits);
    let signature = signature.map_err(|_| RequestPart::Signature)?;
    outer.finish().map_err(frame)?;

    let mut fields = Reader::new(signed.content);
    let version = fields.expect(tag::INTEGER).map_err(|_| RequestPart::Version)?;
    if version.content != [0] {
        return Err(RequestPart::Version);
    }
    let subject = fields.expect(tag::SEQUENCE).map_err(|_| RequestPart::Subject)?;
    let subject = name::parse(subject.whole).ok_or(RequestPart::Subject)?;
    let spki = fields.expect(tag::SEQUENCE).map_err(|_| RequestPart::PublicKey)?;
    let key = public_key(spki).ok_or(RequestPart::PublicKey)?;
    let attributes = fields.optional(ATTRIBUTES).map_err(|_| RequestPart::Attributes)?;
    fields.finish().map_err(frame)?;
    let wants_ca = attributes.map_or(Ok(false), asks_for_ca);
    let at = |part: &[u8]| range_of(part, der);
    Ok(SigningRequest {
        der: der.to_vec(),
        message: at(signed.whole),
        signature_algorithm: at(algorithm.content),
        signature: at(signature),
        spki: at(spki.whole),
        key_algorithm: at(key.algorithm),
        key: at(key.bits),
        common_name: name::common_name(&subject),
        wants_ca: wants_ca.map_err(|_| RequestPart::Attributes)?,
    })
}

/// Whether the extensions that are asked for make a CA; all else that is asked for is not given.
fn asks_for_ca(attributes: Element<'_>) -> Result<bool, NotDer> {
    let mut reader = Reader::new(attributes.content);
    let mut wants_ca = false;
    for _ in 0..ATTRIBUTES_MAX {
        if reader.is_empty() {
            return Ok(wants_ca);
        }
        let mut attribute = Reader::new(reader.expect(tag::SEQUENCE)?.content);
        let kind = attribute.expect(tag::OID)?;
        let values = attribute.expect(SET)?;
        attribute.finish()?;
        if kind.content == EXTENSION_REQUEST {
            let extensions = Extensions::parse(values.content).map_err(|_| NotDer)?;
            wants_ca |= extensions.is_ca;
        }
    }
    reader.finish().map(|()| wants_ca)
}

/// The modulus of an `RSAPublicKey`, without leading zeros. Source: RFC 8017 §A.1.1.
fn modulus(key: &[u8]) -> Result<&[u8], NotDer> {
    let mut fields = Reader::new(der::only(key, tag::SEQUENCE)?.content);
    let modulus = fields.expect(tag::INTEGER)?.content;
    Ok(modulus.strip_prefix(&[0]).unwrap_or(modulus))
}

impl PartialEq for SigningRequest {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}
impl Eq for SigningRequest {}

impl fmt::Debug for SigningRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningRequest({:?}, {})", self.common_name, self.hash())
    }
}

impl Serialize for SigningRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.der))
    }
}

impl<'de> Deserialize<'de> for SigningRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Self::from_base64(&text).map_err(de::Error::custom)
    }
}
