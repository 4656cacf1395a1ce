//! Writing enrollments: etags, conflicts, certificates that belong to one entry.

use model::{Etag, IfMatch};
use provisioning::draft::DraftError;
use serde_json::json;
use service::ApiError;

use crate::seeds::ENDORSEMENT_KEY;
use crate::world::{World, call, group, id, individual, keyed, self_signed};

#[tokio::test]
async fn a_20_to_a_25_conditional_writes() {
    let w = World::new().await;
    let put = |if_match: IfMatch| {
        let draft = individual("dev", &keyed(1));
        let service = w.service.clone();
        let dps = w.dps.clone();
        async move { service.put_individual(&call(), &dps, &draft, &if_match).await }
    };
    assert!(matches!(put(IfMatch::Any).await, Err(ApiError::NotFound)));
    let first = put(IfMatch::Absent).await.unwrap();
    assert!(matches!(put(IfMatch::Absent).await, Err(ApiError::AlreadyExists)));
    let second = put(IfMatch::Etag(first.stamp.etag.clone())).await.unwrap();
    assert_ne!(first.stamp.etag, second.stamp.etag);
    assert_eq!(first.stamp.created, second.stamp.created);
    let stale = put(IfMatch::Etag(first.stamp.etag.clone())).await;
    assert!(matches!(stale, Err(ApiError::PreconditionFailed)));
    assert!(put(IfMatch::Any).await.is_ok());
    let wrong = IfMatch::Etag(Etag::new("x"));
    let deleted = w.service.delete_individual(&call(), &w.dps, &id("dev"), &wrong).await;
    assert!(matches!(deleted, Err(ApiError::PreconditionFailed)));
    let absent = IfMatch::Absent;
    w.service.delete_individual(&call(), &w.dps, &id("dev"), &absent).await.unwrap();
    let gone = w.service.delete_individual(&call(), &w.dps, &id("dev"), &absent).await;
    assert!(matches!(gone, Err(ApiError::NotFound)));
}

#[tokio::test]
async fn s_04_a_recreated_entry_is_a_fresh_one() {
    let w = World::new().await;
    let symmetric = json!({"attestation": {"type": "symmetricKey"}});
    w.put("dev", &symmetric).await;
    let (first, _) = w.service.individual(&w.dps, &id("dev")).await.unwrap();
    w.delete("dev").await;
    w.put("dev", &symmetric).await;
    let (second, _) = w.service.individual(&w.dps, &id("dev")).await.unwrap();
    assert_ne!(first.stamp.created, second.stamp.created);
    let keys = |entry: &provisioning::enrollment::Individual| match &entry.attestation {
        provisioning::enrollment::IndividualAttestation::SymmetricKey(keys) => {
            keys.primary.to_base64()
        }
        _ => panic!("not symmetric"),
    };
    assert_ne!(keys(&first), keys(&second));
}

fn is_in_use<T>(refused: &Result<T, ApiError>) -> bool {
    matches!(refused, Err(ApiError::Draft(DraftError::CertificateInUse { .. })))
}

#[tokio::test]
async fn v_30_an_endorsement_key_belongs_to_one_individual_enrollment() {
    let w = World::new().await;
    let tpm = json!({"attestation": {"type": "tpm", "tpm": {"endorsementKey": ENDORSEMENT_KEY}}});
    w.put("a", &tpm).await;
    w.replace("a", &tpm).await;
    let put = async || {
        let twice = individual("b", &tpm);
        w.service.put_individual(&call(), &w.dps, &twice, &IfMatch::Absent).await
    };
    let refused = put().await;
    let Err(ApiError::Draft(DraftError::EndorsementKeyInUse { by })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(by.to_string(), "individual enrollment a");
    w.delete("a").await;
    put().await.unwrap();
}

#[tokio::test]
async fn v_12_m_15_a_certificate_belongs_to_one_entry() {
    let w = World::new().await;
    let pem = self_signed("x");
    let pinned = json!({"attestation": {"type": "x509", "x509":
        {"clientCertificates": {"primary": {"certificate": pem}}}}});
    w.put("a", &pinned).await;
    let twice = individual("b", &pinned);
    let refused = w.service.put_individual(&call(), &w.dps, &twice, &IfMatch::Absent).await;
    assert!(is_in_use(&refused), "{refused:?}");
    let signing = json!({"attestation": {"type": "x509", "x509":
        {"signingCertificates": {"primary": {"certificate": pem}}}}});
    let as_group = group("g", &signing);
    let refused = w.service.put_group(&call(), &w.dps, &as_group, &IfMatch::Absent).await;
    assert!(is_in_use(&refused), "{refused:?}");
    w.delete("a").await;
    w.put_group("g", &signing).await;
    let refused = w.service.put_individual(&call(), &w.dps, &twice, &IfMatch::Absent).await;
    assert!(is_in_use(&refused), "{refused:?}");
}
