//! Certificates issued while registering: given once, taken by the hub, gone when revoked.

use std::sync::Arc;

use attestation::x509::Certificate;
use attestation::x509::issuing::{KeyType, PrivateKey, SigningRequest};
use hub::identity::{Authentication, Thumbprint};
use hub::permit::{Denied, Evidence as HubEvidence};
use model::{DeviceId, IfMatch, PolicyName, ServiceName};
use provisioning::allocation::custom::{Answer, NoAnswer};
use provisioning::issuance::PolicyChange;
use provisioning::registration::{FailureKind, Registration, RegistrationStatus};
use provisioning::view::{Evidence, RegistrationRequest};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde_json::{Value, json};
use service::access::sessions::{Closing, Session};
use service::{
    ApiError, ConnectError, Connecting, Inquiry, IssuerRequest, Polled, RegisterError, Webhooks,
};
use store_sqlite::{Options, Sqlite};

use crate::world::{World, call, device_id, host, id, key, keyed};

const HUB: &str = "hub1.localhost";

struct NoWebhook;

#[async_trait::async_trait]
impl Webhooks for NoWebhook {
    async fn ask(&self, _inquiry: &Inquiry<'_>) -> Result<Answer, NoAnswer> {
        Err(NoAnswer { status: None, because: "there is none".to_owned() })
    }
}

fn fleet() -> PolicyName {
    PolicyName::parse("fleet").unwrap()
}

/// An entry of this policy, whose device goes to `HUB`.
fn entry(seed: u8, policy: &str) -> Value {
    let mut json = keyed(seed);
    json["credentialPolicyName"] = policy.into();
    json["allocationPolicy"] = "static".into();
    json["iotHubs"] = json!([HUB]);
    json
}

async fn policy(w: &World, name: &str) {
    let (name, own) = (PolicyName::parse(name).unwrap(), IssuerRequest::Own(None));
    let change = PolicyChange::default();
    w.service.create_credential_policy(&call(), &w.dps, &name, &change, &own).await.unwrap();
}

async fn world() -> World {
    let w = World::new().await;
    policy(&w, "fleet").await;
    w.put("dev", &entry(1, "fleet")).await;
    w
}

fn csr(name: &str) -> SigningRequest {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let made = params.serialize_request(&KeyPair::generate().unwrap()).unwrap();
    SigningRequest::from_der(made.der()).unwrap()
}

async fn register(
    w: &World,
    name: &str,
    evidence: &Evidence,
    csr: Option<&SigningRequest>,
) -> Result<String, RegisterError> {
    let request = RegistrationRequest {
        registration_id: id(name),
        api_version: "2025-07-01-preview".to_owned(),
        payload: None,
        csr: csr.cloned(),
        from: None,
    };
    let accepted = w.service.register(&call(), &w.dps, &request, evidence).await?;
    Ok(accepted.operation_id)
}

async fn told(w: &World, name: &str, operation: &str, evidence: &Evidence) -> Registration {
    match w.poll(name, operation, evidence).await.unwrap() {
        Polled::Record(record) => *record,
        Polled::Disabled(record) => panic!("disabled: {record:?}"),
    }
}

/// Registers and gives the leaf that the device is told.
async fn certified(w: &World, csr: &SigningRequest) -> Certificate {
    let evidence = w.token("dev", &key(1));
    let operation = register(w, "dev", &evidence, Some(csr)).await.unwrap();
    let record = told(w, "dev", &operation, &evidence).await;
    assert_eq!(record.status, RegistrationStatus::Assigned);
    record.issued.unwrap().leaf().unwrap().clone()
}

async fn connect(w: &World, name: &str, leaf: &Certificate) -> Result<Session, ConnectError> {
    let connecting = Connecting {
        hub: host(HUB),
        named: host(HUB),
        device_id: device_id(name),
        from: "127.0.0.1".parse().unwrap(),
        evidence: HubEvidence::X509(Box::new(leaf.clone())),
    };
    w.service.connect(connecting).await.map(|(session, _)| session)
}

fn denied(found: Result<Session, ConnectError>) -> Denied {
    match found {
        Err(ConnectError::Denied(denied)) => denied,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("signed in"),
    }
}

fn drive(session: Session) -> tokio::task::JoinHandle<Closing> {
    tokio::spawn(async move { session.closing().await })
}

async fn slots(w: &World, id: &DeviceId) -> (Option<Thumbprint>, Option<Thumbprint>) {
    match w.service.device(&host(HUB), id).await.unwrap().device.value.authentication {
        Authentication::SelfSigned { primary, secondary } => (primary, secondary),
        other => panic!("{other:?}"),
    }
}

fn of(leaf: &Certificate) -> Option<Thumbprint> {
    Some(Thumbprint::Sha256(leaf.thumbprint()))
}

#[tokio::test]
async fn a_12_a_device_signs_in_with_the_certificate_that_it_was_given() {
    let w = world().await;
    let leaf = certified(&w, &csr("dev")).await;
    assert_eq!(slots(&w, &device_id("dev")).await, (of(&leaf), of(&leaf)));
    assert!(connect(&w, "dev", &leaf).await.is_ok());
    let audit = w.record("dev").await.unwrap();
    assert_eq!(audit.issued.unwrap().chain.len(), 3);
}

#[tokio::test]
async fn a_12_a_call_that_is_repeated_issues_nothing_twice() {
    let w = world().await;
    let (first, second) = (csr("dev"), csr("dev"));
    let leaf = certified(&w, &first).await;
    assert_eq!(certified(&w, &first).await, leaf);
    assert_eq!(slots(&w, &device_id("dev")).await, (of(&leaf), of(&leaf)));
    assert_ne!(certified(&w, &second).await, leaf);
}

#[tokio::test]
async fn r_28_a_renewal_leaves_the_certificate_before_and_its_session() {
    let w = world().await;
    let first = certified(&w, &csr("dev")).await;
    let driver = drive(connect(&w, "dev", &first).await.unwrap());
    let second = certified(&w, &csr("dev")).await;
    assert_eq!(slots(&w, &device_id("dev")).await, (of(&second), of(&first)));
    assert_eq!(w.service.sessions().count(), 1, "its certificate is good still");
    let third = certified(&w, &csr("dev")).await;
    assert_eq!(slots(&w, &device_id("dev")).await, (of(&third), of(&second)));
    assert_eq!(w.service.sessions().count(), 0);
    assert_eq!(driver.await.unwrap(), Closing::Denied);
    assert_eq!(denied(connect(&w, "dev", &first).await), Denied::OtherCertificate);
    assert!(connect(&w, "dev", &third).await.is_ok());
}

#[tokio::test]
async fn a_12_registering_without_a_request_is_as_before() {
    let w = world().await;
    let leaf = certified(&w, &csr("dev")).await;
    let evidence = w.token("dev", &key(1));
    let operation = register(&w, "dev", &evidence, None).await.unwrap();
    assert_eq!(told(&w, "dev", &operation, &evidence).await.issued, None);
    let device = w.service.device(&host(HUB), &device_id("dev")).await.unwrap().device.value;
    assert!(matches!(device.authentication, Authentication::Sas { .. }));
    assert!(device.issued.is_empty());
    assert_eq!(denied(connect(&w, "dev", &leaf).await), Denied::OtherMechanism);
}

#[tokio::test]
async fn a_12_a_revoked_issuers_devices_are_out_and_get_nothing_of_it_any_more() {
    let w = world().await;
    policy(&w, "other").await;
    w.put("spared", &entry(2, "other")).await;
    let csr_dev = csr("dev");
    let leaf = certified(&w, &csr_dev).await;
    let spared_evidence = w.token("spared", &key(2));
    let operation = register(&w, "spared", &spared_evidence, Some(&csr("spared"))).await.unwrap();
    let spared = told(&w, "spared", &operation, &spared_evidence).await;
    let spared = spared.issued.unwrap().leaf().unwrap().clone();
    let driver = drive(connect(&w, "dev", &leaf).await.unwrap());
    let spared_driver = drive(connect(&w, "spared", &spared).await.unwrap());
    let evidence = w.token("dev", &key(1));
    let operation = w.record("dev").await.unwrap().operation_id;

    w.service.revoke_issuer(&call(), &w.dps, &fleet(), &IfMatch::Any).await.unwrap();

    assert_eq!(w.service.sessions().count(), 1, "that of the other policy");
    assert_eq!(driver.await.unwrap(), Closing::Denied);
    assert!(!spared_driver.is_finished());
    assert_eq!(denied(connect(&w, "dev", &leaf).await), Denied::IssuerRevoked);
    let polled = told(&w, "dev", &operation, &evidence).await;
    assert_eq!(polled.status, RegistrationStatus::Failed);
    assert_eq!(polled.failure.unwrap().kind, FailureKind::Issuance);
    // The same request gets another certificate, of the CA that is made anew.
    let fresh = certified(&w, &csr_dev).await;
    assert_ne!(fresh, leaf);
    assert_ne!(fresh.issuer_raw(), leaf.issuer_raw());
    assert!(connect(&w, "dev", &fresh).await.is_ok());
    assert_eq!(denied(connect(&w, "dev", &leaf).await), Denied::IssuerRevoked);
}

#[tokio::test]
async fn a_12_a_policy_or_service_that_is_gone_takes_its_devices_along() {
    let w = world().await;
    let leaf = certified(&w, &csr("dev")).await;
    let driver = drive(connect(&w, "dev", &leaf).await.unwrap());
    w.service.delete_credential_policy(&call(), &w.dps, &fleet(), &IfMatch::Any).await.unwrap();
    assert_eq!(w.service.sessions().count(), 0);
    assert_eq!(driver.await.unwrap(), Closing::Denied);
    let evidence = w.token("dev", &key(1));
    let operation = register(&w, "dev", &evidence, Some(&csr("dev"))).await.unwrap();
    let record = told(&w, "dev", &operation, &evidence).await;
    assert_eq!(record.failure.unwrap().kind, FailureKind::Issuance);

    policy(&w, "fleet").await;
    assert_eq!(denied(connect(&w, "dev", &leaf).await), Denied::IssuerRevoked);
    let leaf = certified(&w, &csr("dev")).await;
    let driver = drive(connect(&w, "dev", &leaf).await.unwrap());
    w.service.delete_dps(&call(), &w.dps, &IfMatch::Absent).await.unwrap();
    assert_eq!(w.service.sessions().count(), 0);
    assert_eq!(driver.await.unwrap(), Closing::Denied);
}

/// Registrations race a revocation, over and over: once it has returned, no leaf of the CA that it
/// took away is told by any poll, nor taken by the hub.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_12_no_registration_slips_past_a_revocation() {
    let w = Arc::new(world().await);
    for _ in 0..20 {
        let racing = Arc::clone(&w);
        let device = tokio::spawn(async move {
            let evidence = racing.token("dev", &key(1));
            let operation = register(&racing, "dev", &evidence, Some(&csr("dev"))).await;
            (operation, evidence)
        });
        w.service.revoke_issuer(&call(), &w.dps, &fleet(), &IfMatch::Any).await.unwrap();
        let issuance = w.service.issuance(&w.dps).await.unwrap();
        let live = issuance.policy("fleet").unwrap().issuer.clone().unwrap();
        let (operation, evidence) = device.await.unwrap();
        let Ok(operation) = operation else { continue };
        let record = told(&w, "dev", &operation, &evidence).await;
        if record.status == RegistrationStatus::Assigned {
            assert_eq!(record.issued.unwrap().issuer, live.id);
        }
    }
}

#[tokio::test]
async fn a_12_a_request_that_is_refused_leaves_no_record() {
    let w = world().await;
    let evidence = w.token("dev", &key(1));
    let refused = register(&w, "dev", &evidence, Some(&csr("other"))).await;
    assert!(matches!(refused, Err(RegisterError::Rejected(..))), "{refused:?}");
    assert!(w.record("dev").await.is_none());
    assert!(w.device("dev").await.is_none());
    w.put("bare", &keyed(3)).await;
    let refused = register(&w, "bare", &w.token("bare", &key(3)), Some(&csr("bare"))).await;
    assert!(matches!(refused, Err(RegisterError::Rejected(..))), "{refused:?}");
    assert!(w.record("bare").await.is_none());
}

/// Nothing of a policy, of a record or of an identity is lost by a restart: the poll after a crash
/// tells the same chain, and the hub takes the leaf and refuses it when it is revoked.
#[tokio::test]
async fn a_12_a_crash_after_the_call_changes_nothing() {
    let directory = std::env::temp_dir().join(format!("muster-issuance-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let store = Sqlite::open(&directory.join("control.db"), Options::default()).unwrap();
    let w = World::over(Arc::new(store)).await;
    policy(&w, "fleet").await;
    w.put("dev", &entry(1, "fleet")).await;
    let leaf = certified(&w, &csr("dev")).await;
    let operation = w.record("dev").await.unwrap().operation_id;
    let w = w.restarted(Arc::new(NoWebhook)).await;
    let evidence = w.token("dev", &key(1));
    let record = told(&w, "dev", &operation, &evidence).await;
    assert_eq!(record.issued.unwrap().leaf(), Some(&leaf));
    assert!(connect(&w, "dev", &leaf).await.is_ok());
    w.service.revoke_issuer(&call(), &w.dps, &fleet(), &IfMatch::Any).await.unwrap();
    assert_eq!(denied(connect(&w, "dev", &leaf).await), Denied::IssuerRevoked);
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn a_12_an_operators_ca_is_used_and_once_revoked_has_to_come_again() {
    let w = World::new().await;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "factory");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key_pair = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key_pair).unwrap();
    let given = IssuerRequest::Given {
        certificates: vec![Certificate::from_der(certificate.der()).unwrap()],
        key: PrivateKey::from_pem(&key_pair.serialize_pem()).unwrap(),
    };
    let (name, change) = (fleet(), PolicyChange::default());
    let made = w.service.create_credential_policy(&call(), &w.dps, &name, &change, &given).await;
    assert!(made.unwrap().issuer.unwrap().imported);
    w.put("dev", &entry(1, "fleet")).await;
    let leaf = certified(&w, &csr("dev")).await;
    assert_eq!(leaf.issuer_text(), "CN=factory");
    assert!(w.service.issuance(&w.dps).await.unwrap().root.is_none());
    let revoked = w.service.revoke_issuer(&call(), &w.dps, &name, &IfMatch::Any).await.unwrap();
    assert!(revoked.issuer.is_none());
    let renewed = w.service.renew_issuer(&call(), &w.dps, &name, &given, &IfMatch::Any).await;
    assert!(renewed.unwrap().issuer.is_some());
    assert_eq!(denied(connect(&w, "dev", &leaf).await), Denied::IssuerRevoked);
    assert!(connect(&w, "dev", &certified(&w, &csr("dev")).await).await.is_ok());
}

#[tokio::test]
async fn a_12_what_an_operator_may_not_ask_for_is_told() {
    let w = world().await;
    let (name, change) = (fleet(), PolicyChange::default());
    let own = IssuerRequest::Own(None);
    let twice = w.service.create_credential_policy(&call(), &w.dps, &name, &change, &own).await;
    assert!(matches!(twice, Err(ApiError::AlreadyExists)));
    let rsa = IssuerRequest::Own(Some(KeyType::Rsa));
    let made = w.service.renew_issuer(&call(), &w.dps, &name, &rsa, &IfMatch::Any).await;
    assert!(matches!(made, Err(ApiError::Invalid(_))));
    let stale = IfMatch::parse(Some("\"stale\""));
    let revoked = w.service.revoke_issuer(&call(), &w.dps, &name, &stale).await;
    assert!(matches!(revoked, Err(ApiError::PreconditionFailed)));
    let none = PolicyName::parse("none").unwrap();
    let gone = w.service.delete_credential_policy(&call(), &w.dps, &none, &IfMatch::Any).await;
    assert!(matches!(gone, Err(ApiError::NotFound)));
    let other = ServiceName::parse("other").unwrap();
    assert!(matches!(w.service.issuance(&other).await, Err(ApiError::NotFound)));
    // Changing the service itself leaves what it issues by.
    let root = w.service.issuance(&w.dps).await.unwrap().root.unwrap();
    w.set_quota(5).await;
    let kept = w.service.issuance(&w.dps).await.unwrap();
    assert_eq!(kept.root.unwrap().certificate, root.certificate);
    assert_eq!(kept.policies.len(), 1);
}

/// Answers as often as it was let to.
struct LateWebhook(tokio::sync::Semaphore);

#[async_trait::async_trait]
impl Webhooks for LateWebhook {
    async fn ask(&self, _inquiry: &Inquiry<'_>) -> Result<Answer, NoAnswer> {
        self.0.acquire().await.unwrap().forget();
        Ok(Answer { hub: HUB.to_owned(), initial_twin: None, payload: None })
    }
}

fn answering(answers: usize) -> Arc<LateWebhook> {
    Arc::new(LateWebhook(tokio::sync::Semaphore::new(answers)))
}

/// A call that waits for a webhook keeps its request: it is answered with a certificate, even by
/// another process, and by none of a CA that was revoked while the webhook was asked.
#[tokio::test]
async fn a_12_l_07_a_request_waits_for_a_webhook_through_a_crash_and_a_revocation() {
    let w = World::asking(answering(0)).await;
    policy(&w, "fleet").await;
    let mut json = keyed(1);
    json["credentialPolicyName"] = "fleet".into();
    json["allocationPolicy"] = "custom".into();
    json["customAllocationDefinition"] =
        json!({"webhookUrl": "https://a.test/", "apiVersion": "2021-10-01"});
    w.put("dev", &json).await;
    let evidence = w.token("dev", &key(1));
    let csr = csr("dev");
    let operation = register(&w, "dev", &evidence, Some(&csr)).await.unwrap();
    let waiting = told(&w, "dev", &operation, &evidence).await;
    assert_eq!((waiting.status, waiting.issued), (RegistrationStatus::Assigning, None));
    w.service.revoke_issuer(&call(), &w.dps, &fleet(), &IfMatch::Any).await.unwrap();
    let w = w.restarted(answering(9)).await;
    let record = loop {
        let record = told(&w, "dev", &operation, &evidence).await;
        if record.status != RegistrationStatus::Assigning {
            break record;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(record.status, RegistrationStatus::Assigned);
    let issued = record.issued.unwrap();
    let live = w.service.credential_policy(&w.dps, &fleet()).await.unwrap().issuer.unwrap();
    assert_eq!((issued.request, &issued.issuer), (csr.hash(), &live.id));
    assert!(connect(&w, "dev", issued.leaf().unwrap()).await.is_ok());
}
