//! Certificate authorities and device certificates, made for one test.

use crate::World;
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fs;
use std::path::{Path, PathBuf};

/// Makes certificates, as PEM files in the world's folder.
#[derive(Debug)]
pub struct Pki {
    dir: PathBuf,
}

/// A certificate authority: a root, or an intermediate below one.
#[derive(Debug)]
pub struct Authority {
    /// Its certificate.
    pub pem: String,
    /// The file of [`Authority::pem`].
    pub file: PathBuf,
    dir: PathBuf,
    name: String,
    issuer: Issuer<'static, KeyPair>,
    /// What a device below sends after its own certificate: this and those above, not the root.
    sent: String,
}

/// A server's certificate with its key.
#[derive(Debug)]
pub struct ServerCertificate {
    /// Leaf and intermediates, without the root.
    pub chain: PathBuf,
    /// The leaf's private key.
    pub key: PathBuf,
}

/// A device's certificate with its key.
#[derive(Debug)]
pub struct DeviceCertificate {
    /// The leaf alone.
    pub pem: String,
    /// The file of [`DeviceCertificate::pem`].
    pub file: PathBuf,
    /// Leaf and intermediates, without the root: what the device sends.
    pub chain: PathBuf,
    /// The leaf's private key.
    pub key: PathBuf,
}

impl Pki {
    pub fn new(world: &World) -> Self {
        Self::in_dir(world.dir().join("pki"))
    }

    /// In any folder, made if need be.
    pub fn in_dir(dir: PathBuf) -> Self {
        fs::create_dir_all(&dir).unwrap();
        Self { dir }
    }

    /// A root, signed by itself.
    pub fn root(&self, name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let params = authority_params(name);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority::new(&self.dir, name, params, key, pem, String::new())
    }

    /// A device certificate signed by itself.
    pub fn self_signed(&self, common_name: &str) -> DeviceCertificate {
        let key = KeyPair::generate().unwrap();
        let pem = device_params(common_name).self_signed(&key).unwrap().pem();
        DeviceCertificate::new(&self.dir, &format!("self-{common_name}"), &key, pem, "")
    }
}

impl Authority {
    fn new(
        dir: &Path,
        name: &str,
        params: CertificateParams,
        key: KeyPair,
        pem: String,
        sent: String,
    ) -> Self {
        let file = write(dir, &format!("{name}.pem"), &pem);
        let issuer = Issuer::new(params, key);
        Self { pem, file, dir: dir.to_owned(), name: name.to_owned(), issuer, sent }
    }

    /// An authority below this one.
    pub fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = authority_params(name);
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        let sent = format!("{pem}{}", self.sent);
        Self::new(&self.dir, name, params, key, pem, sent)
    }

    /// A server below this authority, for these hosts; each call makes a new key.
    pub fn server(&self, hosts: &[&str]) -> ServerCertificate {
        let key = KeyPair::generate().unwrap();
        let mut params = named(hosts[0]);
        params.subject_alt_names =
            hosts.iter().map(|host| SanType::DnsName((*host).try_into().unwrap())).collect();
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        let stem = format!("{}-{}", self.name, hosts[0]);
        let chain = write(&self.dir, &format!("{stem}-chain.pem"), &format!("{pem}{}", self.sent));
        let key = write(&self.dir, &format!("{stem}-key.pem"), &key.serialize_pem());
        ServerCertificate { chain, key }
    }

    /// A device below this authority; each call makes a new key and certificate.
    pub fn device(&self, common_name: &str) -> DeviceCertificate {
        let (pem, key) = self.signs(device_params(common_name));
        let stem = format!("{}-{common_name}", self.name);
        DeviceCertificate::new(&self.dir, &stem, &key, pem, &self.sent)
    }

    /// A device whose certificate ended years ago.
    pub fn expired_device(&self, common_name: &str) -> DeviceCertificate {
        let mut params = device_params(common_name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        let (pem, key) = self.signs(params);
        let stem = format!("{}-{common_name}-expired", self.name);
        DeviceCertificate::new(&self.dir, &stem, &key, pem, &self.sent)
    }

    /// A device's chain as [`Authority::device`] makes it, and its key, without files.
    pub fn device_chain(&self, common_name: &str) -> (Vec<CertificateDer<'static>>, KeyPair) {
        let (pem, key) = self.signs(device_params(common_name));
        (self.chain(&pem), key)
    }

    /// A server's chain for one host, and its key, without files.
    pub fn server_chain(&self, host: &str) -> (Vec<CertificateDer<'static>>, KeyPair) {
        let mut params = named(host);
        params.subject_alt_names = vec![SanType::DnsName(host.try_into().unwrap())];
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let (pem, key) = self.signs(params);
        (self.chain(&pem), key)
    }

    fn signs(&self, params: CertificateParams) -> (String, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        (pem, key)
    }

    /// What is sent: the leaf and what is above it, without the root.
    fn chain(&self, leaf: &str) -> Vec<CertificateDer<'static>> {
        let sent = format!("{leaf}{}", self.sent);
        CertificateDer::pem_slice_iter(sent.as_bytes()).map(Result::unwrap).collect()
    }
}

impl DeviceCertificate {
    fn new(dir: &Path, stem: &str, key: &KeyPair, pem: String, above: &str) -> Self {
        let chain = write(dir, &format!("{stem}-chain.pem"), &format!("{pem}{above}"));
        let file = write(dir, &format!("{stem}.pem"), &pem);
        let key = write(dir, &format!("{stem}-key.pem"), &key.serialize_pem());
        Self { pem, file, chain, key }
    }
}

/// A device's key in a symmetric-key group: HMAC-SHA256 of its registration id, base64.
pub fn derived_key(group_key: &str, registration_id: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64.decode(group_key).unwrap());
    BASE64.encode(hmac::sign(&key, registration_id.as_bytes()))
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn device_params(common_name: &str) -> CertificateParams {
    let mut params = named(common_name);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2045, 1, 1);
    params
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path
}
