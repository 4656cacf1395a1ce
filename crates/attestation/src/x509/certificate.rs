//! One certificate, parsed once.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::limits::CERTIFICATE_BYTES_MAX;
use model::{Sha1Thumbprint, Sha256, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use x509_parser::asn1_rs::{FromDer, Oid};

use super::error::{CertificateError, CommonNameError, SignatureError, ValidityError};
use super::extensions::{self, Extensions, KeyCertSign};
use super::signature::{self, PublicKey, Signed};
use super::{name, parse, upload};
use crate::sha256;

/// A certificate, parsed once; cheap to clone.
///
/// Nothing is said about its trust. Two are equal when their bytes are.
/// Its storage form is base64 of the DER.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    thumbprint: Sha256,
    content_hash: OnceLock<Sha256>,
    message: Range<usize>,
    signature_algorithm: Range<usize>,
    signature: Range<usize>,
    version: u32,
    serial: Range<usize>,
    issuer: Range<usize>,
    not_before: Timestamp,
    not_after: Timestamp,
    subject: Range<usize>,
    common_name: Result<String, CommonNameError>,
    spki: Range<usize>,
    key_algorithm: Range<usize>,
    key: Range<usize>,
    extensions: Extensions,
    extension_list: Range<usize>,
    subject_text: OnceLock<String>,
    issuer_text: OnceLock<String>,
    signed_with: OnceLock<Vec<u8>>,
}

impl Certificate {
    /// Reads a DER certificate: these bytes, all of them.
    ///
    /// # Errors
    /// [`CertificateError::TooLong`], [`CertificateError::PrivateKey`] and
    /// [`CertificateError::Malformed`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(CertificateError::TooLong);
        }
        if parse::looks_like_private_key(der) {
            return Err(CertificateError::PrivateKey);
        }
        let parsed = parse::certificate(der).map_err(CertificateError::Malformed)?;
        let at = |part: &[u8]| range_of(part, der);
        Ok(Self(Arc::new(Inner {
            der: der.to_vec(),
            thumbprint: sha256(der),
            content_hash: OnceLock::new(),
            message: at(parsed.signed.message),
            signature_algorithm: at(parsed.signed.algorithm),
            signature: at(parsed.signed.bits),
            version: parsed.version,
            serial: at(parsed.serial),
            issuer: at(parsed.issuer),
            not_before: parsed.not_before,
            not_after: parsed.not_after,
            subject: at(parsed.subject.as_raw()),
            common_name: name::common_name(&parsed.subject),
            spki: at(parsed.spki),
            key_algorithm: at(parsed.public_key.algorithm),
            key: at(parsed.public_key.bits),
            extension_list: at(parsed.extension_list),
            extensions: parsed.extensions,
            subject_text: OnceLock::new(),
            issuer_text: OnceLock::new(),
            signed_with: OnceLock::new(),
        })))
    }

    /// Reads what an operator uploads: PEM text, base64 of DER, base64 of PEM text, or DER.
    ///
    /// Of several PEM certificates it takes the first. Source: `dps-service-api` V-13, V-14.
    ///
    /// # Errors
    /// Every variant of [`CertificateError`]; a private key anywhere in the upload is refused as
    /// such, even beside a certificate.
    pub fn from_upload(bytes: &[u8]) -> Result<Self, CertificateError> {
        upload::certificate(bytes)
    }

    /// Reads all certificates of a PEM text, in their order; at least one.
    ///
    /// # Errors
    /// As [`Certificate::from_upload`].
    pub fn chain_from_pem(bytes: &[u8]) -> Result<Vec<Self>, CertificateError> {
        upload::chain(bytes)
    }

    /// The certificate's bytes.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The certificate as PEM text, with a line feed after 64 characters and at the end.
    pub fn to_pem(&self) -> String {
        upload::pem(&self.0.der)
    }

    /// The SHA-256 of the DER.
    pub fn thumbprint(&self) -> Sha256 {
        self.0.thumbprint
    }

    /// The SHA-256 of what was signed (its `TBSCertificate`): which certificate this is.
    ///
    /// Unlike [`Certificate::thumbprint`] it stays the same when somebody rewrites the signature
    /// into another valid one, which anyone can do to an ECDSA signature. What keeps a device out
    /// must be found by this; a certificate that was issued anew has another one.
    pub fn content_hash(&self) -> Sha256 {
        *self.0.content_hash.get_or_init(|| sha256(self.slice(&self.0.message)))
    }

    /// The SHA-1 of the DER, as hubs show and compare it; never a proof of anything alone.
    pub fn sha1_thumbprint(&self) -> Sha1Thumbprint {
        use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
        let mut hash = [0; 20];
        hash.copy_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.0.der).as_ref());
        Sha1Thumbprint(hash)
    }

    /// The SHA-256 of the public key (its `SubjectPublicKeyInfo`).
    pub fn public_key_hash(&self) -> Sha256 {
        sha256(self.spki_der())
    }

    /// The public key as `SubjectPublicKeyInfo`, DER.
    pub fn spki_der(&self) -> &[u8] {
        self.slice(&self.0.spki)
    }

    /// The subject's name, DER.
    pub fn subject_raw(&self) -> &[u8] {
        self.slice(&self.0.subject)
    }

    /// The issuer's name, DER.
    pub fn issuer_raw(&self) -> &[u8] {
        self.slice(&self.0.issuer)
    }

    /// The subject's one common name.
    ///
    /// # Errors
    /// Every variant of [`CommonNameError`].
    pub fn common_name(&self) -> Result<&str, CommonNameError> {
        self.0.common_name.as_deref().map_err(|error| *error)
    }

    /// The subject as text for people, such as `CN=x, O=y`; at most 256 characters.
    pub fn subject_text(&self) -> &str {
        self.0.subject_text.get_or_init(|| name::shown(self.subject_raw()))
    }

    /// The issuer as text for people, such as `CN=x, O=y`; at most 256 characters.
    pub fn issuer_text(&self) -> &str {
        self.0.issuer_text.get_or_init(|| name::shown(self.issuer_raw()))
    }

    /// The serial number's bytes in upper-case hexadecimal digits, a leading sign byte included.
    pub fn serial_hex(&self) -> String {
        model::hex::upper(self.slice(&self.0.serial))
    }

    /// The first second in which it is valid.
    pub fn not_before(&self) -> Timestamp {
        self.0.not_before
    }

    /// The last second in which it is valid.
    pub fn not_after(&self) -> Timestamp {
        self.0.not_after
    }

    /// The version, 1..=3.
    pub fn version(&self) -> u32 {
        self.0.version
    }

    /// Whether the basic constraints say CA:TRUE.
    pub fn is_ca(&self) -> bool {
        self.0.extensions.is_ca
    }

    /// How many certificates that are not self-issued may stand between it and a leaf.
    pub fn path_len(&self) -> Option<u32> {
        self.0.extensions.path_len
    }

    /// Whether the key may sign certificates: the key usage names it, or there is none.
    pub fn key_cert_sign(&self) -> bool {
        match self.0.extensions.key_cert_sign {
            KeyCertSign::Unrestricted | KeyCertSign::Allowed => true,
            KeyCertSign::Forbidden => false,
        }
    }

    /// Whether it demands of a reader to know an extension that is not known here.
    ///
    /// Known are basic constraints, key usage, extended key usage and alternative names; policies
    /// and name constraints are not.
    pub fn has_unknown_critical_extension(&self) -> bool {
        self.unknown_critical_extension().is_some()
    }

    /// The object identifier of the first critical extension that is not known here.
    pub fn unknown_critical_extension(&self) -> Option<&str> {
        self.0.extensions.unknown_critical.as_deref()
    }

    /// Whether it demands to be used for other purposes than clients' or endorsement keys': a
    /// critical extended key usage that names neither. Source: RFC 5280 §4.2.1.12.
    pub fn is_for_others(&self) -> bool {
        self.0.extensions.is_for_others
    }

    /// Whether there are name constraints, critical or not.
    pub fn has_name_constraints(&self) -> bool {
        self.0.extensions.has_name_constraints
    }

    /// The issuer's key identifier, where it is given.
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.0.extensions.authority_key_id.as_deref()
    }

    /// The own key's identifier, where it is given.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.0.extensions.subject_key_id.as_deref()
    }

    /// Whether subject and issuer have the same name; says nothing about the signature.
    pub fn is_self_issued(&self) -> bool {
        self.subject_raw() == self.issuer_raw()
    }

    /// Whether the instant lies in the validity, both ends included; counted in whole seconds.
    ///
    /// # Errors
    /// Both of [`ValidityError`].
    pub fn is_valid_at(&self, now: Timestamp) -> Result<(), ValidityError> {
        let (not_before, not_after) = (self.0.not_before, self.0.not_after);
        if now.unix_seconds() < not_before.unix_seconds() {
            return Err(ValidityError::NotYetValid { not_before });
        }
        if now.unix_seconds() > not_after.unix_seconds() {
            return Err(ValidityError::Expired { not_after });
        }
        Ok(())
    }

    /// Checks the signature with the issuer's key; compares no names and no dates.
    ///
    /// That these bytes are signed with that key is a fact for ever, and is found out once; whether
    /// anybody trusts the key is not, and is nowhere remembered.
    ///
    /// # Errors
    /// Every variant of [`SignatureError`].
    pub fn verify_signed_by(&self, issuer: &Self) -> Result<(), SignatureError> {
        let key = issuer.spki_der();
        if self.0.signed_with.get().is_some_and(|known| known == key) {
            return Ok(());
        }
        signature::verify(self.signed(), issuer.public_key())?;
        // Another key of the same signature, were there one, is checked each time.
        let _ = self.0.signed_with.set(key.to_vec());
        Ok(())
    }

    /// Whether checking the signature with the issuer's key needs cryptography at all.
    ///
    /// # Errors
    /// [`SignatureError::UnsupportedAlgorithm`] and [`SignatureError::OtherKeyKind`].
    pub(super) fn could_be_signed_by(&self, issuer: &Self) -> Result<(), SignatureError> {
        signature::algorithm(self.signed().algorithm, issuer.public_key().algorithm).map(|_| ())
    }

    /// One extension, read whole; none where it is not there, or is not what it should be.
    pub(crate) fn extension<'a, T, E>(&'a self, oid: &Oid<'_>) -> Option<T>
    where
        T: FromDer<'a, E>,
    {
        extensions::exactly(extensions::find(self.slice(&self.0.extension_list), oid)?)
    }

    fn signed(&self) -> Signed<'_> {
        Signed {
            message: self.slice(&self.0.message),
            algorithm: self.slice(&self.0.signature_algorithm),
            bits: self.slice(&self.0.signature),
        }
    }

    fn public_key(&self) -> PublicKey<'_> {
        PublicKey { algorithm: self.slice(&self.0.key_algorithm), bits: self.slice(&self.0.key) }
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.0.der.get(range.clone()).unwrap_or_default()
    }
}

/// Where a part lies in the bytes that it was cut from.
pub(super) fn range_of(part: &[u8], whole: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start + part.len()
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}
impl Eq for Certificate {}

impl Hash for Certificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.thumbprint.hash(state);
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({:?}, {})", self.subject_text(), self.0.thumbprint)
    }
}

impl Serialize for Certificate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0.der))
    }
}

impl<'de> Deserialize<'de> for Certificate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        let der = STANDARD.decode(text.as_ref()).map_err(de::Error::custom)?;
        Self::from_der(&der).map_err(de::Error::custom)
    }
}
