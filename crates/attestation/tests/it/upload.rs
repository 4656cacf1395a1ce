//! The forms in which certificates are uploaded.

use attestation::x509::{Certificate, CertificateError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::pki::{ca, leaf};

#[test]
fn v_13_every_encoding_is_read() {
    let made = leaf("device").self_signed();
    let der = made.certificate.der();
    let pem = made.certificate.to_pem();
    let base64 = STANDARD.encode(der);
    let one_line = pem.replace('\n', "");
    let forms: Vec<(&str, Vec<u8>)> = vec![
        ("DER", der.to_vec()),
        ("PEM", pem.clone().into_bytes()),
        ("PEM without a last line feed", pem.trim_end().into()),
        ("PEM with more of them", format!("\n\n{pem}\n\n ").into()),
        ("PEM with CR LF", pem.replace('\n', "\r\n").into()),
        ("PEM in one line", one_line.into()),
        ("PEM with a byte order mark", format!("\u{feff}{pem}").into()),
        ("PEM behind text", format!("subject=CN = device\nissuer=x\n{pem}").into()),
        ("PEM of the old label", pem.replace("CERTIFICATE", "X509 CERTIFICATE").into()),
        ("PEM with a NUL at the end, as C sends", format!("{pem}\0").into()),
        ("base64 of DER", base64.clone().into()),
        (
            "base64 of DER in lines",
            pem.lines()
                .filter(|l| !l.starts_with('-'))
                .fold(String::new(), |a, l| a + l + "\r\n")
                .into(),
        ),
        ("base64 of DER without padding", base64.trim_end_matches('=').into()),
        ("base64 of PEM", STANDARD.encode(&pem).into()),
        ("base64 of PEM without line feed", STANDARD.encode(pem.trim_end()).into()),
    ];
    for (form, bytes) in forms {
        let read = Certificate::from_upload(&bytes);
        assert_eq!(read.as_ref(), Ok(&made.certificate), "{form}");
    }
}

#[test]
fn v_14_of_several_the_first_is_read() {
    let root = ca("root").self_signed();
    let device = leaf("device").signed_by(&root);
    let chain = format!("{}{}", device.certificate.to_pem(), root.certificate.to_pem());
    assert_eq!(Certificate::from_upload(chain.as_bytes()).unwrap(), device.certificate);
    let encoded = STANDARD.encode(&chain);
    assert_eq!(Certificate::from_upload(encoded.as_bytes()).unwrap(), device.certificate);
    let other = format!("-----BEGIN X509 CRL-----\nAA==\n-----END X509 CRL-----\n{chain}");
    assert_eq!(Certificate::from_upload(other.as_bytes()).unwrap(), device.certificate);
}

#[test]
fn v_13_private_keys_are_refused_as_such() {
    let held = leaf("device").self_signed();
    let key = held.key.serialize_pem();
    let pem = held.certificate.to_pem();
    let sec1 = key.replace("PRIVATE KEY", "EC PRIVATE KEY");
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let der = held.key.serialize_der();
    // SEQUENCE { SEQUENCE { OID }, OCTET STRING }: an encrypted PKCS #8 key.
    let encrypted_der = [0x30, 8, 0x30, 3, 6, 1, 0x2a, 4, 1, 0];
    let uploads: Vec<Vec<u8>> = vec![
        key.clone().into(),
        sec1.into(),
        encrypted.into(),
        format!("{pem}{key}").into(),
        format!("{key}{pem}").into(),
        STANDARD.encode(format!("{pem}{key}")).into(),
        STANDARD.encode(&der).into(),
        der,
        encrypted_der.into(),
    ];
    for upload in uploads {
        assert_eq!(
            Certificate::from_upload(&upload).unwrap_err(),
            CertificateError::PrivateKey,
            "{}",
            String::from_utf8_lossy(&upload)
        );
    }
}

#[test]
fn other_uploads_say_what_is_wrong() {
    let pem = leaf("device").self_signed().certificate.to_pem();
    let cut = &pem[..pem.len() / 2];
    let public = pem.replace("CERTIFICATE", "PUBLIC KEY");
    let request = pem.replace("CERTIFICATE", "CERTIFICATE REQUEST");
    let mixed = pem.replace("END CERTIFICATE", "END PUBLIC KEY");
    let twice = STANDARD.encode(STANDARD.encode(&pem));
    let huge = "A".repeat(1 << 20);
    for (upload, error) in [
        ("", CertificateError::Empty),
        (" \r\n\t", CertificateError::Empty),
        ("hello, world", CertificateError::Encoding),
        ("aGVsbG8=", CertificateError::Encoding),
        ("-----BEGIN CERTIFICATE-----", CertificateError::Encoding),
        ("-----BEGIN CERTIFICATE", CertificateError::Encoding),
        (cut, CertificateError::Encoding),
        (&mixed, CertificateError::Encoding),
        (&twice, CertificateError::Encoding),
        (&public, CertificateError::NoCertificate),
        (&request, CertificateError::NoCertificate),
        (&huge, CertificateError::TooLong),
    ] {
        assert_eq!(Certificate::from_upload(upload.as_bytes()).unwrap_err(), error, "{upload}");
    }
    assert_eq!(Certificate::from_upload(&[0xff, 0xfe, 0]).unwrap_err(), CertificateError::Encoding);
}

#[test]
fn pem_has_lines_of_64_characters() {
    let certificate = leaf("device").self_signed().certificate;
    let pem = certificate.to_pem();
    let lines: Vec<&str> = pem.lines().collect();
    assert_eq!(lines.first(), Some(&"-----BEGIN CERTIFICATE-----"));
    assert_eq!(lines.last(), Some(&"-----END CERTIFICATE-----"));
    let body = &lines[1..lines.len() - 1];
    assert!(body[..body.len() - 1].iter().all(|line| line.len() == 64));
    assert!((1..=64).contains(&body[body.len() - 1].len()));
    assert!(pem.ends_with("-----\n"));
}
