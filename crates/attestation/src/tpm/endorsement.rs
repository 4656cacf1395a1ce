//! Endorsement keys that their makers vouch for.
//!
//! Source: TCG EK Credential Profile for TPM Family 2.0, §2.1.5 (templates) and §3.2 (certificates).

use std::fmt;

use x509_parser::asn1_rs::{Oid, oid};
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName, KeyUsage, SubjectAlternativeName};
use x509_parser::oid_registry::{
    OID_X509_EXT_EXTENDED_KEY_USAGE, OID_X509_EXT_KEY_USAGE, OID_X509_EXT_SUBJECT_ALT_NAME,
};

use super::public::{EndorsementKey, PublicKey};
use crate::sha256;
use crate::x509::Certificate;

/// `tcg-kp-EKCertificate`.
const EK_CERTIFICATE: Oid<'static> = oid!(2.23.133.8.1);
/// `tcg-at-tpmManufacturer`, `tcg-at-tpmModel`, `tcg-at-tpmVersion`.
const TPM_ATTRIBUTES: [Oid<'static>; 3] =
    [oid!(2.23.133.2.1), oid!(2.23.133.2.2), oid!(2.23.133.2.3)];

/// What the templates L-1 and L-2 share: name algorithm, attributes, policy, symmetric cipher and
/// no scheme.
const TEMPLATE: [u8; 48] = [
    0x00, 0x0B, 0x00, 0x03, 0x00, 0xB2, 0x00, 0x20, 0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xB3, 0xF8,
    0x1A, 0x90, 0xCC, 0x8D, 0x46, 0xA5, 0xD7, 0x24, 0xFD, 0x52, 0xD7, 0x6E, 0x06, 0x52, 0x0B, 0x64,
    0xF2, 0xA1, 0xDA, 0x1B, 0x33, 0x14, 0x69, 0xAA, 0x00, 0x06, 0x00, 0x80, 0x00, 0x43, 0x00, 0x10,
];
/// Type RSA; 2048 bits and the default exponent, then the size of the modulus.
const RSA: (&[u8], &[u8]) = (&[0x00, 0x01], &[0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00]);
/// Type ECC; NIST P-256 and no key derivation.
const P256: (&[u8], &[u8]) = (&[0x00, 0x23], &[0x00, 0x03, 0x00, 0x10]);
/// Bytes of a coordinate, as a size.
const COORDINATE: &[u8] = &[0x00, 0x20];

/// The digits of base32. Source: RFC 4648 §6, in lower case.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Why a certificate does not vouch for an endorsement key; says nothing about who issued it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndorsementCertificateError {
    /// Its public key is another one.
    OtherKey,
    /// It is not an X.509 certificate of version 3, or is one of a CA.
    NoLeaf,
    /// Its extended key usage does not name endorsement keys.
    ExtendedKeyUsage,
    /// Its key usage is not key encipherment (RSA), or key agreement (ECC).
    KeyUsage,
    /// Its alternative name does not say who made the TPM, its model and its version.
    TpmName,
}

impl fmt::Display for EndorsementCertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherKey => "the endorsement certificate is for another key",
            Self::NoLeaf => "the endorsement certificate is not one of X.509 v3, or is a CA's",
            Self::ExtendedKeyUsage => {
                "the endorsement certificate's extended key usage is not 2.23.133.8.1, that of \
                 endorsement keys"
            }
            Self::KeyUsage => {
                "the endorsement certificate's key usage is not key encipherment (RSA) or key \
                 agreement (ECC)"
            }
            Self::TpmName => {
                "the endorsement certificate's alternative name lacks the TPM's maker, model or \
                 version"
            }
        })
    }
}

impl std::error::Error for EndorsementCertificateError {}

impl EndorsementKey {
    /// Whether it is made by the template L-1 or L-2, to the letter.
    ///
    /// A TPM decrypts with its key whatever public area is shown for it; so without this one TPM
    /// would have as many names as there are areas.
    pub fn is_of_template(&self) -> bool {
        let area = match &self.0.key {
            PublicKey::Rsa2048 { modulus } => {
                let (head, parameters) = RSA;
                [head, &TEMPLATE, parameters, modulus.as_slice()].concat()
            }
            PublicKey::P256 { point } => {
                let (head, parameters) = P256;
                let (x, y) = point.split_at(33);
                let x = x.get(1..).unwrap_or_default();
                [head, &TEMPLATE, parameters, COORDINATE, x, COORDINATE, y].concat()
            }
        };
        self.0.bytes() == area
    }

    /// The registration id that SDKs make of the key where nobody gives another: base32 of the
    /// SHA-256 of its `TPM2B_PUBLIC`, in lower case, 52 characters.
    ///
    /// Source: `dps-device-api` §6.4.
    pub fn registration_id(&self) -> String {
        base32(&sha256(&self.0.sized()).0)
    }

    /// Whether a certificate is made out, as an endorsement certificate, for this key.
    ///
    /// Who issued it and whether it is valid now is judged as for any other chain.
    ///
    /// # Errors
    /// The first thing that is amiss.
    pub fn is_certified_by(
        &self,
        certificate: &Certificate,
    ) -> Result<(), EndorsementCertificateError> {
        use EndorsementCertificateError as Error;
        if certificate.spki_der() != self.0.key.spki_der() {
            return Err(Error::OtherKey);
        }
        if certificate.version() != 3 || certificate.is_ca() {
            return Err(Error::NoLeaf);
        }
        let usage: Option<ExtendedKeyUsage<'_>> =
            certificate.extension(&OID_X509_EXT_EXTENDED_KEY_USAGE);
        if !usage.is_some_and(|usage| usage.other.contains(&EK_CERTIFICATE)) {
            return Err(Error::ExtendedKeyUsage);
        }
        let usage: Option<KeyUsage> = certificate.extension(&OID_X509_EXT_KEY_USAGE);
        let allowed = usage.is_some_and(|usage| match &self.0.key {
            PublicKey::Rsa2048 { .. } => usage.key_encipherment(),
            PublicKey::P256 { .. } => usage.key_agreement(),
        });
        if !allowed {
            return Err(Error::KeyUsage);
        }
        let names: Option<SubjectAlternativeName<'_>> =
            certificate.extension(&OID_X509_EXT_SUBJECT_ALT_NAME);
        match names.is_some_and(|names| names.general_names.iter().any(is_of_tpm)) {
            true => Ok(()),
            false => Err(Error::TpmName),
        }
    }
}

/// Whether a name says what a TPM is, in one set of attributes or in several.
fn is_of_tpm(name: &GeneralName<'_>) -> bool {
    let GeneralName::DirectoryName(name) = name else { return false };
    TPM_ATTRIBUTES.iter().all(|wanted| name.iter_by_oid(wanted).next().is_some())
}

/// Source: RFC 4648 §6, without padding.
fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut waiting, mut bits) = (0_u32, 0_u32);
    let mut digit = |value: u32| {
        let at = usize::try_from(value & 31).unwrap_or_default();
        text.extend(BASE32.get(at).map(|digit| char::from(*digit)));
    };
    for byte in bytes {
        waiting = (waiting << 8 | u32::from(*byte)) & 0xFFF;
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            digit(waiting >> bits);
        }
    }
    if bits > 0 {
        digit(waiting << (5 - bits));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors: RFC 4648 §10.
    #[test]
    fn base32_is_as_in_its_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "my"),
            ("fo", "mzxq"),
            ("foo", "mzxw6"),
            ("foob", "mzxw6yq"),
            ("fooba", "mzxw6ytb"),
            ("foobar", "mzxw6ytboi"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }
}
