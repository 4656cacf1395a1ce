//! The strict reading of a certificate. Source: RFC 5280 §4.1.

use model::Timestamp;
use x509_parser::asn1_rs::FromDer;
use x509_parser::certificate::Validity;
use x509_parser::x509::X509Name;

use super::der::{self, Element, Reader, tag};
use super::error::Part;
use super::extensions::Extensions;
use super::name;
use super::signature::{PublicKey, Signed};

/// Tags of the optional fields of the signed part.
const VERSION: u8 = 0xa0;
const ISSUER_UNIQUE_ID: u8 = 0x81;
const SUBJECT_UNIQUE_ID: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;

/// A certificate's parts, borrowed from its bytes.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    pub(super) signed: Signed<'a>,
    pub(super) version: u32,
    pub(super) serial: &'a [u8],
    pub(super) issuer: &'a [u8],
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) subject: X509Name<'a>,
    pub(super) public_key: PublicKey<'a>,
    pub(super) spki: &'a [u8],
    pub(super) extensions: Extensions,
    /// The list as it is there, empty without one.
    pub(super) extension_list: &'a [u8],
}

/// Reads a certificate; no byte of it goes unread.
pub(super) fn certificate(bytes: &[u8]) -> Result<Parsed<'_>, Part> {
    let mut outer = Reader::new(framed(bytes, Part::Frame)?.content);
    let signed_part = outer.expect(tag::SEQUENCE).map_err(|_| Part::Frame)?;
    let algorithm = outer.expect(tag::SEQUENCE).map_err(|_| Part::SignatureAlgorithm)?;
    let signature =
        outer.expect(tag::BIT_STRING).and_then(der::whole_bits).map_err(|_| Part::Signature)?;
    outer.finish().map_err(|_| Part::Frame)?;

    let mut fields = Reader::new(signed_part.content);
    let version = version(&mut fields)?;
    let serial = fields.expect(tag::INTEGER).map_err(|_| Part::Serial)?.content;
    let inner_algorithm = fields.expect(tag::SEQUENCE).map_err(|_| Part::SignatureAlgorithm)?;
    if serial.is_empty() {
        return Err(Part::Serial);
    }
    if inner_algorithm.whole != algorithm.whole {
        return Err(Part::SignatureAlgorithm);
    }
    let issuer = fields.expect(tag::SEQUENCE).map_err(|_| Part::Issuer)?.whole;
    name::parse(issuer).ok_or(Part::Issuer)?;
    let validity = fields.expect(tag::SEQUENCE).map_err(|_| Part::Validity)?;
    let (not_before, not_after) = validity_of(validity).ok_or(Part::Validity)?;
    let subject = fields.expect(tag::SEQUENCE).map_err(|_| Part::Subject)?.whole;
    let subject = name::parse(subject).ok_or(Part::Subject)?;
    let spki = fields.expect(tag::SEQUENCE).map_err(|_| Part::PublicKey)?;
    let public_key = public_key(spki).ok_or(Part::PublicKey)?;
    let (extensions, extension_list) = extensions(fields, version)?;
    Ok(Parsed {
        signed: Signed {
            message: signed_part.whole,
            algorithm: algorithm.content,
            bits: signature,
        },
        version,
        serial,
        issuer,
        not_before,
        not_after,
        subject,
        public_key,
        spki: spki.whole,
        extensions,
        extension_list,
    })
}

/// Whether the bytes are framed like a private key, alone (PKCS #1, SEC 1, PKCS #8) or in a
/// PKCS #12 file: a sequence that starts with a number, or an encrypted PKCS #8 key.
pub(super) fn looks_like_private_key(bytes: &[u8]) -> bool {
    let Ok(outer) = framed(bytes, Part::Frame) else {
        return false;
    };
    let mut fields = Reader::new(outer.content);
    match (fields.any(), fields.any()) {
        (Ok(first), _) if first.tag == tag::INTEGER => true,
        (Ok(first), Ok(second)) => first.tag == tag::SEQUENCE && second.tag == tag::OCTET_STRING,
        (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

fn framed(bytes: &[u8], part: Part) -> Result<Element<'_>, Part> {
    der::only(bytes, tag::SEQUENCE).map_err(|_| part)
}

fn version(fields: &mut Reader<'_>) -> Result<u32, Part> {
    let Some(tagged) = fields.optional(VERSION).map_err(|_| Part::Version)? else {
        return Ok(1);
    };
    match der::only(tagged.content, tag::INTEGER).map_err(|_| Part::Version)?.content {
        [0] => Ok(1),
        [1] => Ok(2),
        [2] => Ok(3),
        _ => Err(Part::Version),
    }
}

fn validity_of(validity: Element<'_>) -> Option<(Timestamp, Timestamp)> {
    let mut dates = Reader::new(validity.content);
    let both = dates.any().is_ok() && dates.any().is_ok() && dates.is_empty();
    let (_, read) = Validity::from_der(validity.whole).ok().filter(|_| both)?;
    Some((
        Timestamp::from_unix_seconds(read.not_before.timestamp()),
        Timestamp::from_unix_seconds(read.not_after.timestamp()),
    ))
}

pub(super) fn public_key(spki: Element<'_>) -> Option<PublicKey<'_>> {
    let mut fields = Reader::new(spki.content);
    let algorithm = fields.expect(tag::SEQUENCE).ok()?.content;
    let bits = fields.expect(tag::BIT_STRING).and_then(der::whole_bits).ok()?;
    fields.finish().ok()?;
    Some(PublicKey { algorithm, bits })
}

fn extensions(mut fields: Reader<'_>, version: u32) -> Result<(Extensions, &[u8]), Part> {
    fields.optional(ISSUER_UNIQUE_ID)?;
    fields.optional(SUBJECT_UNIQUE_ID)?;
    let list = fields.optional(EXTENSIONS)?;
    fields.finish()?;
    match list {
        None => Ok((Extensions::default(), &[])),
        Some(list) if version == 3 => Ok((Extensions::parse(list.content)?, list.content)),
        Some(_) => Err(Part::Extensions),
    }
}
