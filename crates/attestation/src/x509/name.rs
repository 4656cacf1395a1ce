//! Distinguished names as text, and the common name in them.

use std::fmt::Write;

use x509_parser::asn1_rs::{FromDer, Tag};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::oid_registry::OID_X509_COMMON_NAME;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::error::CommonNameError;

/// Characters of a name that explanations show; the rest is cut.
const NAME_TEXT_CHARS_MAX: usize = 256;

/// Reads a name whole, or not at all.
///
/// x509-parser stops at the first broken part and calls the rest unread.
pub(super) fn parse(raw: &[u8]) -> Option<X509Name<'_>> {
    let (rest, name) = X509Name::from_der(raw).ok()?;
    (rest.is_empty() && name.as_raw().len() == raw.len()).then_some(name)
}

/// The one common name of a subject.
pub(super) fn common_name(name: &X509Name<'_>) -> Result<String, CommonNameError> {
    let mut found = name.iter_attributes().filter(|a| *a.attr_type() == OID_X509_COMMON_NAME);
    let first = found.next().ok_or(CommonNameError::Missing)?;
    if found.next().is_some() {
        return Err(CommonNameError::Several);
    }
    let text = text(first).ok_or(CommonNameError::NotText)?;
    match text.chars().any(char::is_control) {
        true => Err(CommonNameError::ControlCharacter),
        false => Ok(text.to_owned()),
    }
}

/// A name as text: `CN=x, O=y` in the order of the certificate, at most 256 characters.
///
/// For people only: two names with the same text need not be the same name.
pub(super) fn shown(raw: &[u8]) -> String {
    let Some(name) = parse(raw) else {
        return String::new();
    };
    let mut out = String::new();
    for attribute in name.iter_attributes() {
        if !out.is_empty() {
            out.push_str(", ");
        }
        push_attribute(&mut out, attribute);
        if let Some((cut, _)) = out.char_indices().nth(NAME_TEXT_CHARS_MAX) {
            out.truncate(cut);
            out.push('…');
            break;
        }
    }
    out
}

fn push_attribute(out: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    match oid2abbrev(attribute.attr_type(), oid_registry()) {
        Ok(short) => out.push_str(short),
        Err(_) => out.push_str(&attribute.attr_type().to_id_string()),
    }
    out.push('=');
    match text(attribute) {
        Some(text) => out.extend(text.chars().take(NAME_TEXT_CHARS_MAX).flat_map(visible)),
        None => {
            out.push('#');
            for byte in attribute.as_slice().iter().take(NAME_TEXT_CHARS_MAX) {
                // Writing to a string does not fail.
                let _ = write!(out, "{byte:02X}");
            }
        }
    }
}

/// A character as it may stand in a log line, with what ends a value escaped.
fn visible(c: char) -> impl Iterator<Item = char> {
    let escaped = matches!(c, ',' | '+' | '"' | '\\');
    let shown = if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    escaped.then_some('\\').into_iter().chain(Some(shown))
}

/// An attribute's text: of the ASCII types and UTF-8; Teletex, BMP and the like are not read.
fn text<'a>(attribute: &'a AttributeTypeAndValue<'_>) -> Option<&'a str> {
    let tag = attribute.attr_value().tag();
    let is_text = [Tag::Utf8String, Tag::PrintableString, Tag::Ia5String, Tag::NumericString];
    is_text.contains(&tag).then(|| std::str::from_utf8(attribute.as_slice()).ok()).flatten()
}
