//! Certificates, written and signed.

use std::fmt;

use model::Timestamp;

use super::key::{PrivateKey, PrivateKeyError};
use super::write::{bits, common_name, element, positive, sequence, time};
use crate::sha256;
use crate::x509::der::{self, Reader, tag};
use crate::x509::{Certificate, CertificateError};

/// Bytes of a key identifier. Source: RFC 7093 §2, the leftmost 160 bits of a SHA-256.
const KEY_ID_BYTES: usize = 20;
/// `[3]` around the extensions, `[0]` around the version and inside an authority's key identifier.
const EXTENSIONS: u8 = 0xa3;
const VERSION: u8 = 0xa0;
const KEY_ID: u8 = 0x80;
const TRUE: &[u8] = &[tag::BOOLEAN, 1, 0xff];
/// Version 3 is written as 2.
const VERSION_3: &[u8] = &[tag::INTEGER, 1, 2];

/// The object identifiers of the extensions, 2.5.29.x.
const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 14];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 35];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
/// id-kp-clientAuth, 1.3.6.1.5.5.7.3.2.
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
/// Bit 0, digitalSignature.
const MAY_SIGN: &[u8] = &[tag::BIT_STRING, 2, 7, 0x80];
/// Bits 5 and 6, keyCertSign and cRLSign.
const MAY_SIGN_CERTIFICATES: &[u8] = &[tag::BIT_STRING, 2, 1, 0x06];

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A root above issuing CAs.
    Root,
    /// A CA that signs devices' certificates and nothing else.
    Issuing,
    /// A device's.
    Device,
}

/// What is to be signed.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// Random bytes; all of them become the serial number.
    pub serial: [u8; 16],
    /// The subject's common name.
    pub subject: &'a str,
    /// The subject's public key as `SubjectPublicKeyInfo`, DER.
    pub spki: &'a [u8],
    /// The first second of its validity.
    pub not_before: Timestamp,
    /// The last one.
    pub not_after: Timestamp,
    /// What it is for.
    pub role: Role,
}

/// Why a certificate could not be issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssueError {
    /// The issuer's key does not sign.
    Key(PrivateKeyError),
    /// The subject's public key is not one.
    PublicKey,
    /// What was written can not be read.
    Written(CertificateError),
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(because) => write!(f, "the issuer's key {because}"),
            Self::PublicKey => f.write_str("the subject's public key is malformed"),
            Self::Written(because) => write!(f, "the certificate {because}"),
        }
    }
}

impl std::error::Error for IssueError {}

/// Signs a certificate with the key of `issuer`; without one it is signed by itself.
///
/// # Errors
/// [`IssueError`].
pub fn issue(
    draft: &Draft<'_>,
    issuer: Option<&Certificate>,
    key: &PrivateKey,
) -> Result<Certificate, IssueError> {
    let subject = common_name(draft.subject);
    let by = issuer.map_or(subject.as_slice(), Certificate::subject_raw);
    let validity = sequence(&[&time(draft.not_before), &time(draft.not_after)]);
    let extensions = extensions(draft, issuer)?;
    let key = key.pair().map_err(IssueError::Key)?;
    let algorithm = key.algorithm();
    let signed = sequence(&[
        &element(VERSION, &[VERSION_3]),
        &positive(&draft.serial),
        &algorithm,
        by,
        &validity,
        &subject,
        draft.spki,
        &element(EXTENSIONS, &[&extensions]),
    ]);
    let signature = key.sign(&signed).map_err(IssueError::Key)?;
    let der = sequence(&[&signed, &algorithm, &bits(&signature)]);
    Certificate::from_der(&der).map_err(IssueError::Written)
}

fn extensions(draft: &Draft<'_>, issuer: Option<&Certificate>) -> Result<Vec<u8>, IssueError> {
    let path_len = |len: u8| sequence(&[TRUE, &[tag::INTEGER, 1, len]]);
    let (constraints, usage) = match draft.role {
        Role::Root => (path_len(1), MAY_SIGN_CERTIFICATES),
        Role::Issuing => (path_len(0), MAY_SIGN_CERTIFICATES),
        Role::Device => (sequence(&[]), MAY_SIGN),
    };
    let own_id = element(tag::OCTET_STRING, &[&key_id(draft.spki)?]);
    let mut all = vec![
        extension(BASIC_CONSTRAINTS, TRUE, &constraints),
        extension(KEY_USAGE, TRUE, usage),
        extension(SUBJECT_KEY_ID, &[], &own_id),
    ];
    if draft.role == Role::Device {
        let purposes = sequence(&[&element(tag::OID, &[CLIENT_AUTH])]);
        all.push(extension(EXTENDED_KEY_USAGE, &[], &purposes));
    }
    if let Some(id) = issuer.and_then(Certificate::subject_key_id) {
        all.push(extension(AUTHORITY_KEY_ID, &[], &sequence(&[&element(KEY_ID, &[id])])));
    }
    Ok(element(tag::SEQUENCE, &all.iter().map(Vec::as_slice).collect::<Vec<_>>()))
}

fn extension(oid: &[u8], critical: &[u8], value: &[u8]) -> Vec<u8> {
    let value = element(tag::OCTET_STRING, &[value]);
    sequence(&[&element(tag::OID, &[oid]), critical, &value])
}

/// The identifier of a public key: of its bits alone, without the algorithm.
fn key_id(spki: &[u8]) -> Result<Vec<u8>, IssueError> {
    let read = || {
        let mut fields = Reader::new(der::only(spki, tag::SEQUENCE)?.content);
        fields.expect(tag::SEQUENCE)?;
        der::whole_bits(fields.expect(tag::BIT_STRING)?)
    };
    let bits = read().map_err(|_| IssueError::PublicKey)?;
    Ok(sha256(bits).0.iter().take(KEY_ID_BYTES).copied().collect())
}
