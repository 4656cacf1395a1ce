//! The extensions that a chain is judged by. Source: RFC 5280 §4.2.

use x509_parser::asn1_rs::{FromDer, Oid, oid};
use x509_parser::extensions::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage,
    KeyIdentifier as ParsedKeyIdentifier, KeyUsage,
};
use x509_parser::oid_registry::{
    OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER, OID_X509_EXT_BASIC_CONSTRAINTS,
    OID_X509_EXT_EXTENDED_KEY_USAGE, OID_X509_EXT_KEY_USAGE, OID_X509_EXT_NAME_CONSTRAINTS,
    OID_X509_EXT_SUBJECT_ALT_NAME, OID_X509_EXT_SUBJECT_KEY_IDENTIFIER,
};

use super::der::{NotDer, Reader, only, tag};
use super::error::Part;

/// Extensions of one certificate; real ones have about ten.
const EXTENSIONS_MAX: usize = 64;

/// The purpose of an endorsement certificate, `tcg-kp-EKCertificate`. Source: TCG EK Credential
/// Profile §3.5.16.
const ENDORSEMENT: Oid<'static> = oid!(2.23.133.8.1);

/// What the extensions say.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    pub(super) is_ca: bool,
    pub(super) path_len: Option<u32>,
    pub(super) key_cert_sign: KeyCertSign,
    /// Whether a critical extended key usage names purposes, and neither clients nor endorsement
    /// keys among them.
    pub(super) is_for_others: bool,
    pub(super) has_name_constraints: bool,
    pub(super) unknown_critical: Option<String>,
    pub(super) authority_key_id: Option<Vec<u8>>,
    pub(super) subject_key_id: Option<Vec<u8>>,
}

/// Whether the key may sign certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum KeyCertSign {
    /// There is no key usage: everything is allowed.
    #[default]
    Unrestricted,
    /// The key usage allows it.
    Allowed,
    /// The key usage does not name it.
    Forbidden,
}

impl Extensions {
    /// Reads the list, the content of `[3]`.
    pub(super) fn parse(list: &[u8]) -> Result<Self, Part> {
        let mut found = Self::default();
        let mut seen: Vec<&[u8]> = Vec::new();
        let mut entries = Reader::new(only(list, tag::SEQUENCE)?.content);
        while !entries.is_empty() {
            let (oid, critical, value) = entry(entries.expect(tag::SEQUENCE)?.content)?;
            if seen.len() == EXTENSIONS_MAX || seen.contains(&oid) {
                return Err(Part::Extensions);
            }
            seen.push(oid);
            found.read(Oid::new(oid.into()), critical, value)?;
        }
        match seen.is_empty() {
            true => Err(Part::Extensions),
            false => Ok(found),
        }
    }

    fn read(&mut self, oid: Oid<'_>, critical: Critical, value: &[u8]) -> Result<(), Part> {
        if oid == OID_X509_EXT_BASIC_CONSTRAINTS {
            let read: BasicConstraints = exactly(value).ok_or(Part::BasicConstraints)?;
            self.is_ca = read.ca;
            self.path_len = read.path_len_constraint.filter(|_| read.ca);
        } else if oid == OID_X509_EXT_KEY_USAGE {
            let read: KeyUsage = exactly(value).ok_or(Part::KeyUsage)?;
            self.key_cert_sign = match read.key_cert_sign() {
                true => KeyCertSign::Allowed,
                false => KeyCertSign::Forbidden,
            };
        } else if oid == OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER && critical == Critical::No {
            // A hint only: a broken one is none.
            let read: Option<AuthorityKeyIdentifier<'_>> = exactly(value);
            self.authority_key_id = read.and_then(|id| id.key_identifier).map(|id| id.0.to_vec());
        } else if oid == OID_X509_EXT_SUBJECT_KEY_IDENTIFIER && critical == Critical::No {
            let read: Option<ParsedKeyIdentifier<'_>> = exactly(value);
            self.subject_key_id = read.map(|id| id.0.to_vec());
        } else if oid == OID_X509_EXT_NAME_CONSTRAINTS {
            self.has_name_constraints = true;
            self.note_unknown(&oid, critical);
        } else if oid == OID_X509_EXT_EXTENDED_KEY_USAGE {
            let read: Option<ExtendedKeyUsage<'_>> = exactly(value);
            let fits = read.is_some_and(|purposes| {
                purposes.any || purposes.client_auth || purposes.other.contains(&ENDORSEMENT)
            });
            self.is_for_others = critical == Critical::Yes && !fits;
        } else if oid != OID_X509_EXT_SUBJECT_ALT_NAME {
            self.note_unknown(&oid, critical);
        }
        Ok(())
    }

    fn note_unknown(&mut self, oid: &Oid<'_>, critical: Critical) {
        if critical == Critical::Yes && self.unknown_critical.is_none() {
            self.unknown_critical = Some(super::signature::oid_text(oid));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Critical {
    Yes,
    No,
}

/// The value of one extension in a list that [`Extensions::parse`] has read.
pub(super) fn find<'a>(list: &'a [u8], wanted: &Oid<'_>) -> Option<&'a [u8]> {
    let mut entries = Reader::new(only(list, tag::SEQUENCE).ok()?.content);
    while !entries.is_empty() {
        let (oid, _, value) = entry(entries.expect(tag::SEQUENCE).ok()?.content).ok()?;
        if oid == wanted.as_bytes() {
            return Some(value);
        }
    }
    None
}

/// Splits one extension into its object identifier, its criticality and its value.
fn entry(content: &[u8]) -> Result<(&[u8], Critical, &[u8]), NotDer> {
    let mut fields = Reader::new(content);
    let oid = fields.expect(tag::OID)?.content;
    let critical = match fields.optional(tag::BOOLEAN)?.map(|flag| flag.content) {
        // DER leaves out the default; tools that write it all the same are known.
        None | Some([0]) => Critical::No,
        Some([0xff]) => Critical::Yes,
        Some(_) => return Err(NotDer),
    };
    let value = fields.expect(tag::OCTET_STRING)?.content;
    fields.finish()?;
    Ok((oid, critical, value))
}

pub(super) fn exactly<'a, T, E>(value: &'a [u8]) -> Option<T>
where
    T: FromDer<'a, E>,
{
    let (rest, read) = T::from_der(value).ok()?;
    rest.is_empty().then_some(read)
}

impl From<NotDer> for Part {
    fn from(_: NotDer) -> Self {
        Self::Extensions
    }
}
