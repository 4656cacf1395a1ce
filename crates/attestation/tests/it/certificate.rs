//! What is read from one certificate, and what is not a certificate.

use attestation::x509::{
    Certificate, CertificateError, CommonNameError, Part, SignatureError, ValidityError,
};
use model::limits::CERTIFICATE_BYTES_MAX;
use model::{Sha256, Timestamp};
use rcgen::DnValue;
use rcgen::string::{BmpString, Ia5String, PrintableString, TeletexString};

use crate::pki::{NOW, ca, fixture, leaf};

#[test]
fn the_parts_of_a_certificate_are_read() {
    let root = ca("root").organization("Contoso, Ltd").path_len(3).self_signed();
    let device = leaf("dev-1").years(2030, 2031).signed_by(&root);
    let root = &root.certificate;
    let device = &device.certificate;

    assert_eq!(device.common_name(), Ok("dev-1"));
    assert_eq!(device.subject_text(), "CN=dev-1");
    assert!(device.issuer_text().contains("CN=root"), "{}", device.issuer_text());
    assert!(device.issuer_text().contains("O=Contoso\\, Ltd"), "{}", device.issuer_text());
    assert_eq!(device.issuer_raw(), root.subject_raw());
    assert_eq!(device.not_before(), Timestamp::parse("2030-01-01T00:00:00Z").unwrap());
    assert_eq!(device.not_after(), Timestamp::parse("2031-01-01T00:00:00Z").unwrap());
    assert_eq!((device.version(), device.is_ca(), device.path_len()), (3, false, None));
    assert!(!device.is_self_issued() && root.is_self_issued());
    assert_eq!((root.version(), root.is_ca(), root.path_len()), (3, true, Some(3)));
    assert!(root.key_cert_sign());
    assert!(root.subject_key_id().is_some());
    assert_eq!(device.authority_key_id(), root.subject_key_id());
    assert_eq!(device.thumbprint(), attestation::sha256(device.der()));
    assert_eq!(device.public_key_hash(), attestation::sha256(device.spki_der()));
    assert_ne!(device.public_key_hash(), root.public_key_hash());
    assert_eq!(device.verify_signed_by(root), Ok(()));
    assert!(root.verify_signed_by(device).is_err());
}

#[test]
fn a_signature_that_was_found_good_is_good_for_its_own_key_alone() {
    let root = ca("root").self_signed();
    let namesake = &ca("root").self_signed().certificate;
    let reissued = &ca("root").key_of(&root).self_signed().certificate;
    let device = &leaf("device").signed_by(&root).certificate;
    for _ in 0..2 {
        assert_eq!(device.verify_signed_by(&root.certificate), Ok(()));
        assert_eq!(device.verify_signed_by(namesake), Err(SignatureError::Invalid));
        assert_eq!(device.verify_signed_by(reissued), Ok(()));
    }
}

/// Compared with `openssl x509 -fingerprint -serial`.
#[test]
fn thumbprints_and_serials_are_those_of_openssl() {
    let leaf = fixture(include_str!("../fixtures/leaf-v1.pem"));
    assert_eq!(leaf.serial_hex(), "0BADCAFE");
    assert_eq!((leaf.version(), leaf.common_name()), (1, Ok("leaf-v1")));
    assert_eq!(leaf.sha1_thumbprint().to_string(), include_str!("../fixtures/leaf-v1.sha1").trim());
    assert_eq!(leaf.thumbprint().to_string(), include_str!("../fixtures/leaf-v1.sha256").trim());
}

#[test]
fn a_subject_must_have_exactly_one_common_name_of_text() {
    let named = |value| leaf("x").common_name(value).self_signed().certificate;
    let texts = [
        DnValue::Utf8String("Gerät-7".to_owned()),
        DnValue::PrintableString(PrintableString::try_from("plain").unwrap()),
        DnValue::Ia5String(Ia5String::try_from("plain@7").unwrap()),
    ];
    for (value, text) in texts.into_iter().zip(["Gerät-7", "plain", "plain@7"]) {
        assert_eq!(named(value).common_name(), Ok(text));
    }
    let not_texts = [
        DnValue::BmpString(BmpString::try_from("wide").unwrap()),
        DnValue::TeletexString(TeletexString::try_from("old").unwrap()),
    ];
    for value in not_texts {
        assert_eq!(named(value).common_name(), Err(CommonNameError::NotText));
    }
    for control in ["victim\0.evil", "\0", "a\n", "a\u{7f}", "a\u{85}"] {
        let certificate = named(DnValue::Utf8String(control.to_owned()));
        assert_eq!(
            certificate.common_name(),
            Err(CommonNameError::ControlCharacter),
            "{control:?}"
        );
        assert!(!certificate.subject_text().chars().any(char::is_control));
    }
    let two = fixture(include_str!("../fixtures/leaf-two-names.pem"));
    assert_eq!(two.common_name(), Err(CommonNameError::Several));
    assert_eq!(two.subject_text(), "CN=first, CN=second");
    let mut nameless = leaf("x");
    nameless.params.distinguished_name = rcgen::DistinguishedName::new();
    let nameless = nameless.organization("Contoso").self_signed().certificate;
    assert_eq!(nameless.common_name(), Err(CommonNameError::Missing));
    assert_eq!(nameless.subject_text(), "O=Contoso");
}

#[test]
fn long_names_are_shown_cut() {
    let long = leaf(&"ö".repeat(4_000)).self_signed().certificate;
    assert_eq!(long.subject_text().chars().count(), 257);
    assert!(long.subject_text().ends_with("öö…"));
}

#[test]
fn validity_is_judged_in_whole_seconds() {
    let device = leaf("x").years(2030, 2031).self_signed().certificate;
    let (first, last) = (device.not_before(), device.not_after());
    assert_eq!(device.is_valid_at(first), Ok(()));
    assert_eq!(
        device.is_valid_at(Timestamp::from_unix_ticks(last.unix_ticks() + 9_999_999)),
        Ok(())
    );
    assert_eq!(
        device.is_valid_at(Timestamp::from_unix_ticks(first.unix_ticks() - 1)),
        Err(ValidityError::NotYetValid { not_before: first })
    );
    assert_eq!(
        device.is_valid_at(Timestamp::from_unix_ticks(last.unix_ticks() + 10_000_000)),
        Err(ValidityError::Expired { not_after: last })
    );
    assert_eq!(leaf("x").self_signed().certificate.is_valid_at(NOW), Ok(()));
}

#[test]
fn a_certificate_cut_short_anywhere_is_none() {
    for der in [
        ca("root").path_len(1).self_signed().certificate.der().to_vec(),
        fixture(include_str!("../fixtures/leaf-v1.pem")).der().to_vec(),
        fixture(include_str!("../fixtures/leaf-pss.pem")).der().to_vec(),
    ] {
        for length in 0..der.len() {
            assert!(Certificate::from_der(&der[..length]).is_err(), "{length}");
            assert!(Certificate::from_upload(&der[..length]).is_err(), "{length}");
        }
        let longer = [der.as_slice(), &[0]].concat();
        assert_eq!(
            Certificate::from_der(&longer).unwrap_err(),
            CertificateError::Malformed(Part::Frame)
        );
        assert_eq!(Certificate::from_der(&der).unwrap().der(), der);
    }
}

/// Every element of the certificate may be made one byte longer or shorter: no byte is skipped.
#[test]
fn no_byte_of_a_certificate_goes_unread() {
    let der = ca("root").path_len(1).self_signed().certificate.der().to_vec();
    let mut grown = 0;
    for at in 0..der.len() {
        let mut longer = der.clone();
        longer.insert(at, 0);
        grown += usize::from(Certificate::from_der(&longer).is_ok());
        let mut shorter = der.clone();
        shorter.remove(at);
        grown += usize::from(Certificate::from_der(&shorter).is_ok());
    }
    // The outer length no longer fits.
    assert_eq!(grown, 0);
    // With the outer length put right, bytes behind the signature are still refused.
    let mut trailing = der;
    trailing.extend([5, 0]);
    let length = u16::from_be_bytes([trailing[2], trailing[3]]) + 2;
    trailing[2..4].copy_from_slice(&length.to_be_bytes());
    assert_eq!(
        Certificate::from_der(&trailing).unwrap_err(),
        CertificateError::Malformed(Part::Frame)
    );
}

#[test]
fn a_certificate_has_a_bounded_size() {
    assert_eq!(
        Certificate::from_der(&vec![0x30; CERTIFICATE_BYTES_MAX + 1]).unwrap_err(),
        CertificateError::TooLong
    );
    let big = leaf("x").extension(&[1, 2, 3], false, &[0; CERTIFICATE_BYTES_MAX]);
    let key = rcgen::KeyPair::generate().unwrap();
    assert_eq!(
        Certificate::from_der(big.params.self_signed(&key).unwrap().der()).unwrap_err(),
        CertificateError::TooLong
    );
}

#[test]
fn a_certificate_is_stored_as_base64_text() {
    let certificate = leaf("x").self_signed().certificate;
    let text = serde_json::to_string(&certificate).unwrap();
    assert!(text.starts_with("\"MII"), "{text}");
    assert_eq!(serde_json::from_str::<Certificate>(&text).unwrap(), certificate);
    assert!(serde_json::from_str::<Certificate>("\"MIIB\"").is_err());
    let other = leaf("x").self_signed().certificate;
    assert_ne!(certificate, other);
    let Sha256(hash) = certificate.thumbprint();
    assert_eq!(format!("{certificate:?}"), format!("Certificate(\"CN=x\", {})", Sha256(hash)));
}

proptest::proptest! {
    #[test]
    fn parsing_is_total(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let _ = Certificate::from_der(&bytes);
        let _ = Certificate::from_upload(&bytes);
    }

    #[test]
    fn altered_certificates_do_not_panic(changes in proptest::collection::vec((0_usize..2000, 0_u8..=255), 1..8)) {
        let mut der = fixture(include_str!("../fixtures/root.pem")).der().to_vec();
        for (at, value) in changes {
            let at = at % der.len();
            der[at] = value;
        }
        if let Ok(certificate) = Certificate::from_der(&der) {
            let _ = (certificate.subject_text(), certificate.issuer_text(), certificate.common_name());
            let _ = certificate.verify_signed_by(&certificate);
        }
    }
}
