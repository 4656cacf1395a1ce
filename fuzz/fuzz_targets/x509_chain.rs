//! Certificates parse whole or not at all, and a chain that is built holds, whatever the bytes.
#![no_main]

use attestation::x509::{Certificate, Chain, StoredCa, build_chain};
use libfuzzer_sys::fuzz_target;
use model::Timestamp;
use model::limits::CHAIN_DEPTH_MAX;

/// 2030-01-01, within the validity of most test certificates.
const NOW: Timestamp = Timestamp::from_unix_seconds(1_893_456_000);

fuzz_target!(|data: &[u8]| {
    let certificates = certificates(data);
    for certificate in &certificates {
        reads_back(certificate);
    }
    // Each certificate is presented and stored; the place says which one is verified.
    for verified in 0..certificates.len() {
        let stored: Vec<StoredCa> = certificates
            .iter()
            .enumerate()
            .map(|(place, ca)| StoredCa { certificate: ca.clone(), verified: place == verified })
            .collect();
        if let Ok(chain) = build_chain(&certificates, &stored, NOW) {
            holds(&chain, &certificates[verified]);
        }
    }
});

/// Splits the input where two bytes of length say so; what is left is an upload.
fn certificates(mut data: &[u8]) -> Vec<Certificate> {
    let mut found = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let Some((der, rest)) = rest.split_at_checked(length) else {
            break;
        };
        found.extend(Certificate::from_der(der));
        data = rest;
    }
    found.extend(Certificate::from_upload(data));
    found
}

/// Every reading of a certificate agrees with its bytes.
fn reads_back(certificate: &Certificate) {
    let der = certificate.der();
    assert_eq!(Certificate::from_der(der).as_ref(), Ok(certificate));
    let pem = certificate.to_pem();
    assert_eq!(Certificate::from_upload(pem.as_bytes()).as_ref(), Ok(certificate));
    assert!(Certificate::from_der(&der[..der.len() - 1]).is_err());
    if let Ok(name) = certificate.common_name() {
        assert!(!name.chars().any(char::is_control));
    }
    for text in [certificate.subject_text(), certificate.issuer_text()] {
        assert!(text.chars().count() <= 257 && !text.chars().any(char::is_control));
    }
}

/// A built chain keeps what its type promises.
fn holds(chain: &Chain, verified: &Certificate) {
    assert!((2..=CHAIN_DEPTH_MAX).contains(&chain.path.len()));
    assert!((1..chain.path.len()).contains(&chain.anchor));
    assert_eq!(&chain.path[chain.anchor], verified);
    for link in chain.path.windows(2) {
        assert_eq!(link[0].issuer_raw(), link[1].subject_raw());
        assert_eq!(link[0].verify_signed_by(&link[1]), Ok(()));
    }
    for certificate in &chain.path {
        assert_eq!(certificate.is_valid_at(NOW), Ok(()));
        assert!(!certificate.has_unknown_critical_extension());
    }
}
