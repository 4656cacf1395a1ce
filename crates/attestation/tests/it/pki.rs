//! Makes authorities and leaves.

use std::time::{Duration, Instant};

use attestation::x509::{Certificate, Chain, ChainError, StoredCa, build_chain};
use model::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SignatureAlgorithm, date_time_ymd,
};

/// 2030-01-01, when tests take place.
pub(crate) const NOW: Timestamp = Timestamp::from_unix_seconds(1_893_456_000);

/// A certificate of which the key is at hand.
pub(crate) struct Held {
    pub(crate) certificate: Certificate,
    pub(crate) key: KeyPair,
    params: CertificateParams,
}

/// A certificate to be.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) params: CertificateParams,
    algorithm: &'static SignatureAlgorithm,
    key: Option<String>,
}

/// A CA with key usage, key identifiers and no path length.
pub(crate) fn ca(name: &str) -> Plan {
    let mut plan = leaf(name);
    plan.params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    plan.params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    plan
}

/// A leaf as the SDKs' samples make it: hardly any extension.
pub(crate) fn leaf(name: &str) -> Plan {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    Plan { params, algorithm: &rcgen::PKCS_ECDSA_P256_SHA256, key: None }
}

impl Plan {
    pub(crate) fn algorithm(mut self, algorithm: &'static SignatureAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    pub(crate) fn common_name(mut self, value: DnValue) -> Self {
        self.params.distinguished_name.push(DnType::CommonName, value);
        self
    }

    pub(crate) fn organization(mut self, value: &str) -> Self {
        self.params.distinguished_name.push(DnType::OrganizationName, value);
        self
    }

    pub(crate) fn path_len(mut self, len: u8) -> Self {
        self.params.is_ca = IsCa::Ca(BasicConstraints::Constrained(len));
        self
    }

    pub(crate) fn basic(mut self, is_ca: IsCa) -> Self {
        self.params.is_ca = is_ca;
        self
    }

    pub(crate) fn key_usages(mut self, usages: &[KeyUsagePurpose]) -> Self {
        self.params.key_usages = usages.to_vec();
        self
    }

    /// Valid in these years, from the first of January to the first of January.
    pub(crate) fn years(mut self, from: i32, until: i32) -> Self {
        self.params.not_before = date_time_ymd(from, 1, 1);
        self.params.not_after = date_time_ymd(until, 1, 1);
        self
    }

    pub(crate) fn expired(self) -> Self {
        self.years(2020, 2029)
    }

    pub(crate) fn not_yet_valid(self) -> Self {
        self.years(2031, 2040)
    }

    /// Adds an extension that nobody knows.
    pub(crate) fn unknown_extension(mut self, critical: bool) -> Self {
        let mut extension =
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
        extension.set_criticality(critical);
        self.params.custom_extensions.push(extension);
        self
    }

    pub(crate) fn extension(mut self, oid: &[u64], critical: bool, content: &[u8]) -> Self {
        let mut extension = CustomExtension::from_oid_content(oid, content.to_vec());
        extension.set_criticality(critical);
        self.params.custom_extensions.push(extension);
        self
    }

    /// Names no key of the issuer.
    pub(crate) fn without_authority_key_id(mut self) -> Self {
        self.params.use_authority_key_identifier_extension = false;
        self
    }

    /// With the key of another certificate.
    pub(crate) fn key_of(mut self, other: &Held) -> Self {
        self.key = Some(other.key.serialize_pem());
        self
    }

    pub(crate) fn self_signed(self) -> Held {
        let key = self.key();
        let made = self.params.self_signed(&key).unwrap();
        held(made, key, self.params)
    }

    pub(crate) fn signed_by(self, issuer: &Held) -> Held {
        let key = self.key();
        let issuer = Issuer::from_params(&issuer.params, &issuer.key);
        let made = self.params.signed_by(&key, &issuer).unwrap();
        held(made, key, self.params)
    }

    /// For a key of which the private part is elsewhere.
    pub(crate) fn issued_for(self, key: &impl PublicKeyData, issuer: &Held) -> Certificate {
        let issuer = Issuer::from_params(&issuer.params, &issuer.key);
        let made = self.params.signed_by(key, &issuer).unwrap();
        Certificate::from_der(made.der()).unwrap()
    }

    fn key(&self) -> KeyPair {
        match &self.key {
            Some(pem) => KeyPair::from_pem(pem).unwrap(),
            None => KeyPair::generate_for(self.algorithm).unwrap(),
        }
    }
}

fn held(made: rcgen::Certificate, key: KeyPair, params: CertificateParams) -> Held {
    Held { certificate: Certificate::from_der(made.der()).unwrap(), key, params }
}

pub(crate) fn verified(ca: &Held) -> StoredCa {
    StoredCa { certificate: ca.certificate.clone(), verified: true }
}

pub(crate) fn unverified(ca: &Held) -> StoredCa {
    StoredCa { certificate: ca.certificate.clone(), verified: false }
}

pub(crate) fn certificates(held: &[&Held]) -> Vec<Certificate> {
    held.iter().map(|one| one.certificate.clone()).collect()
}

/// Builds a chain at [`NOW`].
pub(crate) fn chain(presented: &[&Held], stored: &[StoredCa]) -> Result<Chain, ChainError> {
    build_chain(&certificates(presented), stored, NOW)
}

/// Demands that a chain holds: these certificates in this order, and this anchor.
#[track_caller]
pub(crate) fn holds(presented: &[&Held], stored: &[StoredCa], path: &[&Held], anchor: usize) {
    let chain = chain(presented, stored).unwrap();
    assert_eq!(chain.path, certificates(path));
    assert_eq!(chain.anchor, anchor);
}

/// Demands that a chain does not hold, for this reason.
#[track_caller]
pub(crate) fn refused(presented: &[&Held], stored: &[StoredCa], because: &ChainError) {
    assert_eq!(&chain(presented, stored).unwrap_err(), because);
}

/// `CN=name`, owned.
pub(crate) fn cn(name: &str) -> String {
    format!("CN={name}")
}

/// A certificate of `tests/fixtures`.
pub(crate) fn fixture(text: &str) -> Certificate {
    Certificate::from_upload(text.as_bytes()).unwrap()
}

/// Does something three times; gives the last result and the shortest time, so that a busy
/// machine does not count.
pub(crate) fn timed<T>(mut act: impl FnMut() -> T) -> (T, Duration) {
    let mut once = || {
        #[expect(clippy::disallowed_methods, reason = "a test of how long something takes")]
        let start = Instant::now();
        (act(), start.elapsed())
    };
    let (_, first) = once();
    let (_, second) = once();
    let (result, third) = once();
    (result, first.min(second).min(third))
}
