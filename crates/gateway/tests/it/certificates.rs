//! Certificates as devices have them: of every kind of key, and odd in every way.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, IsCa, Issuer, KeyPair, SigningKey,
    date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

/// A chain, leaf first, and the leaf's key.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
}

impl Identity {
    /// Self-signed, with a key for the algorithm.
    pub(crate) fn of_kind(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        Self::self_signed(KeyPair::generate_for(algorithm).unwrap(), |_| {})
    }

    /// Self-signed, with a P-256 key and the parameters changed.
    pub(crate) fn odd(change: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::self_signed(KeyPair::generate().unwrap(), change)
    }

    fn self_signed(key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new(vec!["device.example".into()]).unwrap();
        change(&mut params);
        let chain = vec![params.self_signed(&key).unwrap().der().clone()];
        Self { chain, key }
    }

    /// A leaf, `between` intermediates, and the root.
    pub(crate) fn with_chain(between: usize) -> Self {
        let ca_params = || {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        };
        let key = KeyPair::generate().unwrap();
        let mut chain = vec![ca_params().self_signed(&key).unwrap().der().clone()];
        let mut issuer = Issuer::new(ca_params(), key);
        for _ in 0..between {
            let key = KeyPair::generate().unwrap();
            chain.insert(0, ca_params().signed_by(&key, &issuer).unwrap().der().clone());
            issuer = Issuer::new(ca_params(), key);
        }
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["device.example".into()]).unwrap();
        chain.insert(0, leaf.signed_by(&key, &issuer).unwrap().der().clone());
        Self { chain, key }
    }

    /// A certificate with the bytes of somebody else's, and a key of the same kind.
    pub(crate) fn stolen(self) -> Self {
        Self { key: KeyPair::generate_for(self.key.algorithm()).unwrap(), chain: self.chain }
    }

    /// As rustls wants it, without a look at whether key and certificate fit.
    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        Arc::new(CertifiedKey::new(self.chain.clone(), key))
    }
}

pub(crate) fn expired() -> Identity {
    Identity::odd(|params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    })
}

pub(crate) fn ca_as_leaf() -> Identity {
    Identity::odd(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))
}

pub(crate) fn unknown_critical_extension() -> Identity {
    Identity::odd(|params| {
        let mut odd = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
        odd.set_criticality(true);
        params.custom_extensions.push(odd);
    })
}

/// X.509 v1, as `openssl x509 -req` without an extension file makes it: a v3 certificate without
/// its version and its extensions, signed anew.
pub(crate) fn version_1() -> Identity {
    const VERSION: u8 = 0xa0;
    const EXTENSIONS: u8 = 0xa3;
    let Identity { chain, key } = Identity::odd(|_| {});
    let outer = elements(content(&chain[0]));
    let fields = elements(content(outer[0]));
    let kept: Vec<&[u8]> =
        fields.into_iter().filter(|field| ![VERSION, EXTENSIONS].contains(&field[0])).collect();
    let signed = element(0x30, &kept);
    let signature = key.sign(&signed).unwrap();
    let v1 = element(0x30, &[&signed, outer[1], &element(0x03, &[&[0], &signature])]);
    let (_, read) = X509Certificate::from_der(&v1).unwrap();
    assert_eq!(read.version(), X509Version::V1);
    Identity { chain: vec![CertificateDer::from(v1)], key }
}

/// The content of the DER element that the bytes start with.
fn content(bytes: &[u8]) -> &[u8] {
    let (header, length) = lengths(bytes);
    &bytes[header..header + length]
}

/// How long the header of the DER element is that the bytes start with, and its content.
fn lengths(element: &[u8]) -> (usize, usize) {
    match element[1] {
        short @ ..=0x7f => (2, usize::from(short)),
        0x81 => (3, usize::from(element[2])),
        0x82 => (4, usize::from(element[2]) << 8 | usize::from(element[3])),
        other => panic!("a length of {other:#x} is too long for a certificate"),
    }
}

/// The DER elements that follow one another in the bytes.
fn elements(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (header, length) = lengths(bytes);
        let (element, rest) = bytes.split_at(header + length);
        found.push(element);
        bytes = rest;
    }
    found
}

/// One DER element.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut whole = vec![tag];
    match content.len() {
        short @ ..=0x7f => whole.push(u8::try_from(short).unwrap()),
        long => {
            whole.push(0x82);
            whole.extend(u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    whole.extend(content);
    whole
}
