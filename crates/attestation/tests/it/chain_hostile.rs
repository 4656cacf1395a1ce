//! What an attacker presents: too much, in circles, and to no end.

use std::time::Duration;

use attestation::x509::{Certificate, Chain, ChainError, StoredCa, build_chain};
use model::limits::{CHAIN_PRESENTED_MAX, CHAIN_SIGNATURES_MAX};

use crate::pki::{Held, NOW, ca, certificates, cn, leaf, refused, timed, unverified, verified};

/// Builds a chain in at most a few milliseconds, or ten times that without optimization.
fn quickly(presented: &[Certificate], stored: &[StoredCa]) -> Result<Chain, ChainError> {
    let (chain, taken) = timed(|| build_chain(presented, stored, NOW));
    println!("{taken:?} for {} presented: {:?}", presented.len(), chain.as_ref().err());
    assert!(taken < Duration::from_millis(50), "{taken:?}");
    chain
}

#[test]
fn a_hundred_certificates_are_refused_unread() {
    let root = ca("root").self_signed();
    let device = leaf("device").signed_by(&root);
    let mut presented = vec![device.certificate.clone(); CHAIN_PRESENTED_MAX];
    assert!(quickly(&presented, &[verified(&root)]).is_ok());
    for count in [CHAIN_PRESENTED_MAX + 1, 100] {
        presented.resize(count, device.certificate.clone());
        assert_eq!(
            quickly(&presented, &[verified(&root)]).unwrap_err(),
            ChainError::TooManyCertificates { presented: count }
        );
    }
}

#[test]
fn cas_that_sign_each_other_end_in_a_loop() {
    let a = ca("a").self_signed();
    let b = ca("b").signed_by(&a);
    let a_by_b = ca("a").key_of(&a).signed_by(&b);
    let device = leaf("device").signed_by(&a);
    let b_loop = ChainError::Loop { subject: cn("b") };
    refused(&[&device, &a_by_b, &b], &[], &b_loop);
    refused(&[&device, &b, &a_by_b], &[unverified(&b), unverified(&a_by_b)], &b_loop);
    // Another certificate of an authority that stands below is no way on either.
    refused(&[&device, &a_by_b, &b, &a], &[], &b_loop);
    // With the self-signed variant of one of them verified, the circle is no obstacle.
    let chain = quickly(&certificates(&[&device, &a_by_b, &b]), &[verified(&a)]).unwrap();
    assert_eq!(chain.path[..2], certificates(&[&device, &a]));
    assert_eq!(chain.anchor, 1);
    // Nor when the way out leads through both.
    let root = ca("root").self_signed();
    let b_by_root = ca("b").key_of(&b).signed_by(&root);
    let presented = certificates(&[&device, &a_by_b, &b, &b_by_root]);
    let chain = quickly(&presented, &[verified(&root)]).unwrap();
    assert_eq!(chain.path, certificates(&[&device, &a_by_b, &b_by_root, &root]));
}

/// Every CA signs every other one: more ways through than anyone can try.
fn mesh(cas: usize, algorithm: &'static rcgen::SignatureAlgorithm) -> (Held, Vec<Certificate>) {
    let name = |n: usize| format!("ca {n}");
    let roots: Vec<Held> =
        (0..cas).map(|n| ca(&name(n)).algorithm(algorithm).self_signed()).collect();
    let mut crossed = Vec::new();
    for (n, subject) in roots.iter().enumerate() {
        for issuer in roots.iter().filter(|issuer| issuer.certificate != subject.certificate) {
            let variant = ca(&name(n)).algorithm(algorithm).key_of(subject).signed_by(issuer);
            crossed.push(variant.certificate);
        }
    }
    (leaf("device").signed_by(&roots[0]), crossed)
}

#[test]
fn a_mesh_of_cross_signed_cas_costs_a_bounded_time() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P521_SHA512] {
        // 4 × 3 fill what may be presented; more are tried as if they were enrolled.
        let (device, crossed) = mesh(4, algorithm);
        let mut presented = vec![device.certificate.clone()];
        presented.extend(crossed);
        assert!(presented.len() <= CHAIN_PRESENTED_MAX);
        let stranger = ca("stranger").self_signed();
        assert!(quickly(&presented, &[verified(&stranger)]).is_err());
    }
    // Six need few signatures but have many ways; eight need too many signatures.
    for cas in [6, 8] {
        let (device, crossed) = mesh(cas, &rcgen::PKCS_ECDSA_P256_SHA256);
        let stored: Vec<StoredCa> = crossed
            .into_iter()
            .map(|certificate| StoredCa { certificate, verified: false })
            .collect();
        assert_eq!(quickly(&[device.certificate], &stored).unwrap_err(), ChainError::TooMuchWork);
    }
}

#[test]
fn copies_add_no_work() {
    let root = ca("root").self_signed();
    let upper = ca("upper").signed_by(&root);
    let lower = ca("lower").signed_by(&upper);
    let device = leaf("device").signed_by(&lower);
    let mut presented = vec![&device];
    for _ in 0..5 {
        presented.extend([&lower, &upper, &root]);
    }
    let untrusted = ChainError::NoVerifiedCa { topmost: cn("root") };
    assert_eq!(quickly(&certificates(&presented), &[]).unwrap_err(), untrusted);
}

#[test]
fn namesakes_with_a_key_of_another_kind_cost_no_signature() {
    let root = ca("root").self_signed();
    let device = leaf("device").without_authority_key_id().signed_by(&root);
    let mut stored: Vec<StoredCa> = (0..=CHAIN_SIGNATURES_MAX)
        .map(|_| unverified(&ca("root").algorithm(&rcgen::PKCS_ED25519).self_signed()))
        .collect();
    stored.push(unverified(&root));
    let untrusted = ChainError::NoVerifiedCa { topmost: cn("root") };
    assert_eq!(quickly(&[device.certificate], &stored).unwrap_err(), untrusted);
}

/// A signature that was found good is good for that certificate alone.
#[test]
fn a_forged_certificate_does_not_profit_from_a_good_one() {
    // One key under two names; only the second name is verified.
    let known = ca("known").self_signed();
    let trusted = ca("trusted").key_of(&known).self_signed();
    let good = ca("middle").signed_by(&known);
    let impostor = ca("trusted").self_signed();
    let forged = ca("middle").key_of(&good).without_authority_key_id().signed_by(&impostor);
    let device = leaf("device").signed_by(&good);
    refused(
        &[&device, &good, &forged, &known],
        &[verified(&trusted)],
        &ChainError::NoVerifiedCa { topmost: cn("known") },
    );
}

#[test]
fn namesakes_of_an_issuer_cost_at_most_the_bound() {
    // All presented certificates claim to be the issuer; none is.
    let root = ca("root").self_signed();
    let device = leaf("device").without_authority_key_id().signed_by(&root);
    let claim = || ca("root").algorithm(&rcgen::PKCS_ECDSA_P256_SHA256).self_signed();
    let claims: Vec<Held> = (0..CHAIN_SIGNATURES_MAX).map(|_| claim()).collect();
    let mut presented = vec![device.certificate];
    presented.extend(claims.iter().take(CHAIN_PRESENTED_MAX - 1).map(|c| c.certificate.clone()));
    // What is presented can not crowd out what is verified.
    assert_eq!(quickly(&presented, &[verified(&root)]).unwrap().anchor, 1);
    assert_eq!(
        quickly(&presented, &[]).unwrap_err(),
        ChainError::BadSignature { subject: cn("device"), issuer: cn("root") }
    );
    let mut stored: Vec<StoredCa> = claims.iter().map(unverified).collect();
    stored.push(unverified(&root));
    assert_eq!(quickly(&presented, &stored).unwrap_err(), ChainError::TooMuchWork);
}

/// The CAs of many lines have one name and no key identifiers; each device shows its own.
#[test]
fn the_issuer_that_is_presented_is_tried_before_its_namesakes() {
    let root = ca("root").self_signed();
    let line = || ca("line").without_authority_key_id().signed_by(&root);
    let lines: Vec<Held> = (0..=CHAIN_SIGNATURES_MAX).map(|_| line()).collect();
    let mut stored = vec![verified(&root)];
    stored.extend(lines.iter().map(unverified));
    for line in [&lines[0], &lines[CHAIN_SIGNATURES_MAX]] {
        let device = leaf("device").without_authority_key_id().signed_by(line);
        let presented = certificates(&[&device, line]);
        assert_eq!(quickly(&presented, &stored).unwrap().path[1], line.certificate);
    }
}

#[test]
fn a_forged_chain_to_a_known_name_is_refused() {
    let root = ca("root").self_signed();
    let forged_root = ca("root").self_signed();
    let forged = leaf("device").signed_by(&forged_root);
    refused(
        &[&forged, &forged_root],
        &[verified(&root)],
        &ChainError::NoVerifiedCa { topmost: cn("root") },
    );
    // A device can not issue, whatever it presents.
    let device = leaf("device").signed_by(&root);
    let other = leaf("other").signed_by(&device);
    refused(&[&other, &device], &[verified(&root)], &ChainError::NotCa { subject: cn("device") });
}

#[test]
fn an_altered_certificate_is_refused() {
    let root = ca("root").self_signed();
    let device = leaf("device").signed_by(&root);
    let der = device.certificate.der();
    let mut accepted = Vec::new();
    for at in 0..der.len() {
        for bit in 0..8 {
            let mut altered = der.to_vec();
            altered[at] ^= 1 << bit;
            if let Ok(certificate) = Certificate::from_der(&altered)
                && build_chain(&[certificate], &[verified(&root)], NOW).is_ok()
            {
                accepted.push((at, bit));
            }
        }
    }
    assert_eq!(accepted, []);
}
