//! Signatures over certificates, by webpki's algorithms over aws-lc-rs.

use rustls_pki_types::SignatureVerificationAlgorithm;
use webpki::aws_lc_rs as algorithms;
use x509_parser::asn1_rs::{FromDer, Oid};

use super::error::SignatureError;

/// Characters of an object identifier that explanations show.
const OID_TEXT_CHARS_MAX: usize = 64;

/// Every signature that is believed: ECDSA on three curves, RSA of 2048..=8192 bits, Ed25519, all
/// with SHA-2. SHA-1 and MD5 are not among them.
///
/// Each has its own pair of algorithm identifiers for signature and key, so at most one is tried.
static SUPPORTED: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P256_SHA512,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ECDSA_P384_SHA512,
    algorithms::ECDSA_P521_SHA256,
    algorithms::ECDSA_P521_SHA384,
    algorithms::ECDSA_P521_SHA512,
    algorithms::ED25519,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
    algorithms::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
    algorithms::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// A public key as a certificate holds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PublicKey<'a> {
    /// The content of its algorithm identifier.
    pub(super) algorithm: &'a [u8],
    /// The key's bits.
    pub(super) bits: &'a [u8],
}

/// What was signed, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    /// The signed bytes.
    pub(super) message: &'a [u8],
    /// The content of the signature's algorithm identifier.
    pub(super) algorithm: &'a [u8],
    /// The signature's bits.
    pub(super) bits: &'a [u8],
}

/// Finds the algorithm for this signature and this key; costs no cryptography.
pub(super) fn algorithm(
    signature_algorithm: &[u8],
    key_algorithm: &[u8],
) -> Result<&'static dyn SignatureVerificationAlgorithm, SignatureError> {
    let mut same = SUPPORTED
        .iter()
        .filter(|one| one.signature_alg_id().as_ref() == signature_algorithm)
        .peekable();
    if same.peek().is_none() {
        return Err(SignatureError::UnsupportedAlgorithm {
            oid: algorithm_text(signature_algorithm),
        });
    }
    same.find(|one| one.public_key_alg_id().as_ref() == key_algorithm)
        .copied()
        .ok_or(SignatureError::OtherKeyKind)
}

/// Checks one signature.
pub(super) fn verify(signed: Signed<'_>, key: PublicKey<'_>) -> Result<(), SignatureError> {
    algorithm(signed.algorithm, key.algorithm)?
        .verify_signature(key.bits, signed.message, signed.bits)
        .map_err(|_| SignatureError::Invalid)
}

fn algorithm_text(algorithm: &[u8]) -> String {
    match Oid::from_der(algorithm) {
        Ok((_, oid)) => oid_text(&oid),
        Err(_) => String::from("?"),
    }
}

/// An object identifier in dotted decimal digits, cut to a bounded length.
pub(super) fn oid_text(oid: &Oid<'_>) -> String {
    oid.to_id_string().chars().take(OID_TEXT_CHARS_MAX).collect()
}
