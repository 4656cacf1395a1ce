//! CA certificates and the proof of possession of their keys (C-01 to C-06).

use attestation::x509::Certificate;
use model::{CertificateName, Etag, IfMatch};
use provisioning::instance::CaCertificate;
use provisioning::possession::Vouched;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use service::{ApiError, CertificateRequest};

use crate::world::{World, call};

struct Ca {
    params: CertificateParams,
    key: KeyPair,
    certificate: Certificate,
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Ca {
    fn new() -> Self {
        let mut params = named("Root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let signed = params.self_signed(&key).unwrap();
        let certificate = Certificate::from_der(signed.der()).unwrap();
        Self { params, key, certificate }
    }

    fn signs(&self, name: &str) -> Certificate {
        let issuer = Issuer::from_params(&self.params, &self.key);
        let signed = named(name).signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        Certificate::from_der(signed.der()).unwrap()
    }
}

/// A world with one unverified CA certificate.
struct Uploaded {
    w: World,
    ca: Ca,
    name: CertificateName,
}

impl Uploaded {
    async fn new() -> Self {
        let (w, ca) = (World::new().await, Ca::new());
        let this = Self { w, ca, name: CertificateName::parse("root").unwrap() };
        this.put(this.ca.certificate.clone(), Vouched::Unsaid, &IfMatch::Absent).await.unwrap();
        this
    }

    async fn put(
        &self,
        certificate: Certificate,
        vouched: Vouched,
        demand: &IfMatch,
    ) -> Result<CaCertificate, ApiError> {
        let request = CertificateRequest { certificate, vouched };
        let (service, dps) = (&self.w.service, &self.w.dps);
        service.put_certificate(&call(), dps, &self.name, &request, demand).await
    }

    async fn code(&self, demand: &IfMatch) -> Result<CaCertificate, ApiError> {
        let (service, dps) = (&self.w.service, &self.w.dps);
        service.generate_verification_code(&call(), dps, &self.name, demand).await
    }

    async fn verify(
        &self,
        proof: &Certificate,
        demand: &IfMatch,
    ) -> Result<CaCertificate, ApiError> {
        let (service, dps) = (&self.w.service, &self.w.dps);
        service.verify_certificate(&call(), dps, &self.name, proof, demand).await
    }

    async fn stored(&self) -> CaCertificate {
        self.w.service.certificate(&self.w.dps, &self.name).await.unwrap()
    }
}

fn at(etag: &Etag) -> IfMatch {
    IfMatch::Etag(etag.clone())
}

fn code_of(ca: &CaCertificate) -> String {
    ca.code.as_ref().unwrap().as_str().to_owned()
}

#[tokio::test]
async fn c_01_a_proof_verifies_and_is_stored() {
    let u = Uploaded::new().await;
    let waiting = u.code(&IfMatch::Any).await.unwrap();
    assert_eq!(code_of(&u.stored().await), code_of(&waiting));
    u.verify(&u.ca.signs(&code_of(&waiting)), &at(&waiting.etag)).await.unwrap();
    let stored = u.stored().await;
    assert!(stored.verified && stored.code.is_none());
}

#[tokio::test]
async fn c_03_an_operator_may_vouch_for_a_ca_and_take_it_back() {
    let u = Uploaded::new().await;
    assert!(!u.stored().await.verified);
    u.put(u.ca.certificate.clone(), Vouched::Yes, &IfMatch::Any).await.unwrap();
    assert!(u.stored().await.verified);
    u.put(u.ca.certificate.clone(), Vouched::No, &IfMatch::Any).await.unwrap();
    assert!(!u.stored().await.verified);
}

#[tokio::test]
async fn c_02_what_proves_nothing_changes_nothing() {
    let u = Uploaded::new().await;
    let early = u.verify(&u.ca.signs("anything"), &IfMatch::Any).await.unwrap_err();
    assert!(matches!(&early, ApiError::Invalid(text) if text.contains("generate one")), "{early}");
    let waiting = u.code(&IfMatch::Absent).await.unwrap();
    let foreign = Ca::new().signs(&code_of(&waiting));
    for proof in [u.ca.signs("sensor"), foreign, u.ca.certificate.clone()] {
        let refused = u.verify(&proof, &IfMatch::Any).await;
        assert!(matches!(refused, Err(ApiError::Invalid(_))), "{proof:?}");
    }
    let stored = u.stored().await;
    assert!(!stored.verified);
    assert_eq!(stored.etag, waiting.etag, "the code still waits");
}

#[tokio::test]
async fn c_04_a_new_code_ends_the_old_one_and_stale_etags_are_refused() {
    let u = Uploaded::new().await;
    let uploaded = u.stored().await;
    let first = u.code(&at(&uploaded.etag)).await.unwrap();
    assert!(matches!(u.code(&at(&uploaded.etag)).await, Err(ApiError::PreconditionFailed)));
    let second = u.code(&at(&first.etag)).await.unwrap();
    let stale = u.verify(&u.ca.signs(&code_of(&second)), &at(&first.etag)).await;
    assert!(matches!(stale, Err(ApiError::PreconditionFailed)));
    let old = u.verify(&u.ca.signs(&code_of(&first)), &IfMatch::Any).await;
    assert!(matches!(old, Err(ApiError::Invalid(_))));
    assert!(u.verify(&u.ca.signs(&code_of(&second)), &at(&second.etag)).await.unwrap().verified);
}

#[tokio::test]
async fn c_06_a_new_body_has_to_be_proven_anew() {
    let u = Uploaded::new().await;
    let waiting = u.code(&IfMatch::Any).await.unwrap();
    u.verify(&u.ca.signs(&code_of(&waiting)), &IfMatch::Any).await.unwrap();
    let same = u.put(u.ca.certificate.clone(), Vouched::Unsaid, &IfMatch::Any).await.unwrap();
    assert!(same.verified);
    let repeated =
        u.put(u.ca.certificate.clone(), Vouched::Unsaid, &IfMatch::Absent).await.unwrap();
    assert_eq!(repeated.etag, same.etag, "az repeats itself freely");
    let other = u.put(Ca::new().certificate, Vouched::Unsaid, &IfMatch::Any).await.unwrap();
    assert!(!other.verified);
}
