//! The forms in which operators and SDKs upload a certificate. Source: `dps-service-api` V-13.

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use model::limits::CERTIFICATE_BYTES_MAX;

use super::certificate::Certificate;
use super::error::CertificateError;

/// Bytes of an upload: a chain as PEM, and that as base64.
const UPLOAD_BYTES_MAX: usize = 8 * CERTIFICATE_BYTES_MAX;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// What is left of the padding by copy and paste does not matter.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads the first certificate of an upload.
pub(super) fn certificate(bytes: &[u8]) -> Result<Certificate, CertificateError> {
    if bytes.len() > UPLOAD_BYTES_MAX {
        return Err(CertificateError::TooLong);
    }
    if is_der(bytes) {
        return Certificate::from_der(bytes);
    }
    let text = trimmed(bytes)?;
    if text.contains(BEGIN) {
        return from_pem(text);
    }
    let decoded = base64(text)?;
    if is_der(&decoded) {
        return Certificate::from_der(&decoded);
    }
    match trimmed(&decoded) {
        Ok(text) if text.contains(BEGIN) => from_pem(text),
        Ok(_) | Err(_) => Err(CertificateError::Encoding),
    }
}

/// The PEM text of a certificate.
pub(super) fn pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    for (at, digit) in body.char_indices() {
        if at > 0 && at % 64 == 0 {
            out.push('\n');
        }
        out.push(digit);
    }
    out.push_str("\n-----END CERTIFICATE-----\n");
    out
}

/// A certificate's first byte is a sequence's tag; no base64 of a certificate starts with it.
fn is_der(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x30)
}

fn trimmed(bytes: &[u8]) -> Result<&str, CertificateError> {
    let text = std::str::from_utf8(bytes).map_err(|_| CertificateError::Encoding)?;
    let text =
        text.trim_start_matches('\u{feff}').trim_matches(|c: char| c.is_whitespace() || c == '\0');
    if text.is_empty() { Err(CertificateError::Empty) } else { Ok(text) }
}

/// Reads all certificates of a PEM text, in their order.
pub(super) fn chain(bytes: &[u8]) -> Result<Vec<Certificate>, CertificateError> {
    if bytes.len() > UPLOAD_BYTES_MAX {
        return Err(CertificateError::TooLong);
    }
    let found = blocks(trimmed(bytes)?)?;
    if found.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    found.into_iter().map(from_block).collect()
}

/// The first certificate among the PEM blocks.
fn from_pem(text: &str) -> Result<Certificate, CertificateError> {
    let found = blocks(text)?;
    from_block(*found.first().ok_or(CertificateError::NoCertificate)?)
}

/// The certificates among the PEM blocks, each by its label and what follows, with or without line
/// breaks, text around them.
fn blocks(text: &str) -> Result<Vec<(&str, &str)>, CertificateError> {
    let mut found = Vec::new();
    for block in text.split(BEGIN).skip(1) {
        let (label, rest) = block.split_once(DASHES).ok_or(CertificateError::Encoding)?;
        if label.ends_with("PRIVATE KEY") {
            return Err(CertificateError::PrivateKey);
        }
        if label == "CERTIFICATE" || label == "X509 CERTIFICATE" {
            found.push((label, rest));
        }
    }
    Ok(found)
}

fn from_block((label, rest): (&str, &str)) -> Result<Certificate, CertificateError> {
    let (body, end) = rest.split_once(END).ok_or(CertificateError::Encoding)?;
    if end.split_once(DASHES).map(|(end, _)| end) != Some(label) {
        return Err(CertificateError::Encoding);
    }
    Certificate::from_der(&base64(body)?)
}

fn base64(text: &str) -> Result<Vec<u8>, CertificateError> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    LENIENT.decode(digits).map_err(|_| CertificateError::Encoding)
}
