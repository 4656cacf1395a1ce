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
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: KeyPair,
}

impl Identity {
    /// Self-signed, with a key for the algorithm.
    pub fn of_kind(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        Self::self_signed(KeyPair::generate_for(algorithm).unwrap(), |_| {})
    }

    /// Self-signed, with a P-256 key and the parameters changed.
    pub fn odd(change: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::self_signed(KeyPair::generate().unwrap(), change)
    }

    fn self_signed(key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new(vec!["device.example".into()]).unwrap();
        change(&mut params);
        let chain = vec![params.self_signed(&key).unwrap().der().clone()];
        Self { chain, key }
    }

    /// A leaf, `between` intermediates, and the root.
    pub fn with_chain(between: usize) -> Self {
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
    pub fn stolen(self) -> Self {
        Self { key: KeyPair::generate_for(self.key.algorithm()).unwrap(), chain: self.chain }
    }

    /// As rustls wants it, without a look at whether key and certificate fit.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        Arc::new(CertifiedKey::new(self.chain.clone(), key))
    }
}

pub fn expired() -> Identity {
    Identity::odd(|params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    })
}

pub fn ca_as_leaf() -> Identity {
    Identity::odd(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))
}

pub fn unknown_critical_extension() -> Identity {
    Identity::odd(|params| {
        let mut odd = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
        odd.set_criticality(true);
        params.custom_extensions.push(odd);
    })
}

/// X.509 v1, as `openssl x509 -req` without an extension file makes it.
pub fn version_1() -> Identity {
    let Identity { chain, key } = Identity::odd(|_| {});
    let (_, v3) = X509Certificate::from_der(&chain[0]).unwrap();
    let algorithm = element(0x30, &[&[0x06, 8], v3.signature_algorithm.algorithm.as_bytes()]);
    let tbs = &v3.tbs_certificate;
    let time = |time: x509_parser::time::ASN1Time| {
        let text = time.to_datetime();
        let text = format!(
            "{:04}{:02}{:02}{:02}{:02}{:02}Z",
            text.year(),
            u8::from(text.month()),
            text.day(),
            text.hour(),
            text.minute(),
            text.second()
        );
        element(0x18, &[text.as_bytes()])
    };
    let validity =
        element(0x30, &[&time(tbs.validity.not_before), &time(tbs.validity.not_after)]);
    let signed = element(
        0x30,
        &[
            &element(0x02, &[tbs.raw_serial()]),
            &algorithm,
            tbs.issuer.as_raw(),
            &validity,
            tbs.subject.as_raw(),
            tbs.subject_pki.raw,
        ],
    );
    let signature = key.sign(&signed).unwrap();
    let v1 = element(0x30, &[&signed, &algorithm, &element(0x03, &[&[0], &signature])]);
    let (_, read) = X509Certificate::from_der(&v1).unwrap();
    assert_eq!(read.version(), X509Version::V1);
    read.verify_signature_shape();
    Identity { chain: vec![CertificateDer::from(v1)], key }
}

/// One DER element.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut whole = vec![tag];
    match content.len() {
        short @ 0..128 => whole.push(u8::try_from(short).unwrap()),
        long => {
            whole.push(0x82);
            whole.extend(u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    whole.extend(content);
    whole
}
