//! Certificates that nobody should issue.

use e2e::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SigningKey, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use std::path::Path;

/// A certificate, its key, and what a device sends behind it.
pub(crate) struct Made {
    pub(crate) certificate: rcgen::Certificate,
    pub(crate) key: KeyPair,
    params: CertificateParams,
}

impl Made {
    /// Signed by itself.
    pub(crate) fn alone(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, key, params }
    }

    /// Signed by another's key.
    pub(crate) fn below(issuer: &Self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer.issuer()).unwrap();
        Self { certificate, key, params }
    }

    /// The same name and key, certified by another.
    pub(crate) fn again_below(&self, issuer: &Self) -> CertificateDer<'static> {
        self.params.signed_by(&self.key, &issuer.issuer()).unwrap().der().clone()
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// A client that shows this certificate, and behind it these.
    pub(crate) fn tls(&self, ca: &Path, behind: &[CertificateDer<'static>]) -> Tls {
        Tls::showing(ca, [&[self.der()], behind].concat(), &self.key)
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    /// The certificate as X.509 v1 says it: without a version, without extensions.
    pub(crate) fn as_v1(&self) -> CertificateDer<'static> {
        let whole = self.der();
        let (_, outer, _) = element(&whole);
        let (_, signed, behind) = element(outer);
        let (mut rest, mut fields) = (signed, Vec::new());
        while !rest.is_empty() {
            let (field, _, after) = element(rest);
            // [0] is the version, [3] the extensions.
            if !matches!(rest[0], 0xa0 | 0xa3) {
                fields.extend(field);
            }
            rest = after;
        }
        let signed = wrapped(0x30, &fields);
        let (algorithm, _, _) = element(behind);
        let signature = [&[0], self.key.sign(&signed).unwrap().as_slice()].concat();
        let parts = [signed.as_slice(), algorithm, &wrapped(0x03, &signature)].concat();
        CertificateDer::from(wrapped(0x30, &parts))
    }
}

/// A CA's parameters, valid now.
pub(crate) fn ca(name: &str) -> CertificateParams {
    let mut params = named(&[name]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A device's parameters, valid now, with any number of common names.
pub(crate) fn named(common_names: &[&str]) -> CertificateParams {
    // A custom type beside the known one: the same name twice would replace the first.
    let types = [DnType::CommonName, DnType::CustomDnType(vec![2, 5, 4, 3])];
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Contoso");
    for (dn_type, name) in types.into_iter().zip(common_names) {
        params.distinguished_name.push(dn_type, *name);
    }
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2045, 1, 1);
    params
}

/// The first DER element, its content, and what is behind it.
fn element(der: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (length, header) = match der[1] {
        0x82 => (usize::from(u16::from_be_bytes([der[2], der[3]])), 4),
        0x81 => (usize::from(der[2]), 3),
        short => (usize::from(short), 2),
    };
    let (whole, behind) = der.split_at(header + length);
    (whole, &whole[header..], behind)
}

fn wrapped(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let header = match (high, low) {
        (0, 0..=0x7f) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        (_, _) => vec![tag, 0x82, high, low],
    };
    [&header, content].concat()
}
