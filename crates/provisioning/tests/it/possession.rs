//! Proof of possession of a CA's key (C-01 to C-06).

use attestation::x509::{Certificate, SignatureError};
use model::{CertificateName, Etag, Timestamp, VerificationCode};
use provisioning::instance::CaCertificate;
use provisioning::possession::{Rewrite, Unproven, Vouched, challenged, proven, replaced};

use crate::world::{Ca, NOW, root, self_signed};

fn uploaded(certificate: &Certificate) -> CaCertificate {
    CaCertificate {
        name: CertificateName::parse("root").unwrap(),
        certificate: certificate.clone(),
        verified: false,
        code: None,
        etag: Etag::new("uploaded"),
        created: NOW,
        updated: NOW,
    }
}

fn rewrite() -> Rewrite {
    Rewrite { etag: Etag::new("new"), now: later() }
}

fn later() -> Timestamp {
    Timestamp::from_unix_seconds(NOW.unix_seconds() + 60)
}

fn code(seed: u8) -> VerificationCode {
    VerificationCode::from_random([seed; 24])
}

/// A CA whose certificate waits for a proof by code 1.
fn waiting() -> (Ca, CaCertificate) {
    let ca = root("Root");
    let waiting = challenged(&uploaded(&ca.certificate), code(1), rewrite());
    (ca, waiting)
}

#[test]
fn c_01_a_certificate_with_the_code_signed_by_the_ca_is_the_proof() {
    let (ca, waiting) = waiting();
    assert!(!waiting.verified, "a code alone proves nothing");
    let verified = proven(&waiting, &ca.leaf(code(1).as_str()), rewrite()).unwrap();
    assert!(verified.verified);
    assert_eq!(verified.code, None, "a code is good for one proof");
    assert_eq!((verified.etag.as_str(), verified.updated), ("new", later()));
    assert_eq!(verified.created, NOW);
}

#[test]
fn c_02_another_name_or_another_key_proves_nothing() {
    let (ca, waiting) = waiting();
    let refused = |proof: &Certificate| proven(&waiting, proof, rewrite()).unwrap_err();
    let stranger = root("Root").leaf(code(1).as_str());
    assert_eq!(refused(&stranger), Unproven::Signature(SignatureError::Invalid));
    let own = self_signed(code(1).as_str());
    assert!(matches!(refused(&own), Unproven::Signature(_)));
    assert_eq!(refused(&ca.leaf("sensor")), Unproven::OtherCode { found: "sensor".into() });
    let found = "Root".to_owned();
    assert_eq!(refused(&ca.certificate), Unproven::OtherCode { found }, "the CA itself");
    let lower = code(0xAB).as_str().to_lowercase();
    assert!(matches!(refused(&ca.leaf(&lower)), Unproven::OtherCode { .. }));
    let below = ca.intermediate("Middle").leaf(code(1).as_str());
    assert!(matches!(refused(&below), Unproven::Signature(_)), "not the CA's own key");
}

#[test]
fn c_02_a_leaf_of_long_ago_can_not_be_the_proof() {
    let ca = root("Root");
    let nothing_waits = uploaded(&ca.certificate);
    let proof = ca.leaf(code(1).as_str());
    assert_eq!(proven(&nothing_waits, &proof, rewrite()).unwrap_err(), Unproven::NoCode);
}

#[test]
fn c_04_a_new_code_ends_the_old_one_and_each_write_has_its_etag() {
    let (ca, waiting) = waiting();
    assert_eq!(waiting.etag.as_str(), "new");
    let again = challenged(&waiting, code(2), Rewrite { etag: Etag::new("e2"), now: later() });
    assert_eq!(again.etag.as_str(), "e2");
    let old = proven(&again, &ca.leaf(code(1).as_str()), rewrite());
    assert!(matches!(old, Err(Unproven::OtherCode { .. })));
    assert!(proven(&again, &ca.leaf(code(2).as_str()), rewrite()).unwrap().verified);
}

#[test]
fn c_05_an_intermediate_is_proven_by_its_own_key() {
    let middle = root("Root").intermediate("Middle");
    let waiting = challenged(&uploaded(&middle.certificate), code(1), rewrite());
    assert!(proven(&waiting, &middle.leaf(code(1).as_str()), rewrite()).unwrap().verified);
}

#[test]
fn c_06_a_new_body_has_to_be_proven_anew() {
    let (ca, waiting) = waiting();
    let verified = proven(&waiting, &ca.leaf(code(1).as_str()), rewrite()).unwrap();
    let other = root("Root").certificate;
    let fresh = replaced(&verified, &other, Vouched::Unsaid, rewrite());
    assert!(!fresh.verified);
    let vouched = replaced(&verified, &other, Vouched::Yes, rewrite());
    assert!(vouched.verified, "C-03");
    // The code was for the other key.
    let fresh = replaced(&waiting, &other, Vouched::Unsaid, rewrite());
    assert_eq!(fresh.code, None);
}

#[test]
fn c_06_the_same_body_keeps_what_was_proven_unless_it_is_taken_back() {
    let (ca, waiting) = waiting();
    let verified = proven(&waiting, &ca.leaf(code(1).as_str()), rewrite()).unwrap();
    assert!(replaced(&verified, &ca.certificate, Vouched::Unsaid, rewrite()).verified);
    assert!(!replaced(&verified, &ca.certificate, Vouched::No, rewrite()).verified);
    let same = replaced(&waiting, &ca.certificate, Vouched::Unsaid, rewrite());
    assert_eq!((same.verified, same.code), (false, Some(code(1))));
}
