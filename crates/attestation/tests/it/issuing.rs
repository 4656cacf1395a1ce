//! Certificate signing requests, and the certificates that answer them.

use std::fs;
use std::process::Command;
use std::time::Duration;

use attestation::x509::issuing::{
    Draft, KeyType, PrivateKey, PrivateKeyError, RequestError, RequestPart, Role, SigningRequest,
    issue,
};
use attestation::x509::{Certificate, CommonNameError, SignatureError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::limits::SIGNING_REQUEST_BYTES_MAX;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair};

use crate::pki::NOW;
use crate::tpm_public::{ROCA_MODULUS, hex};

/// A request as a device makes it.
fn request(name: &str, key: &KeyPair) -> Vec<u8> {
    request_of(name, key, |_| ())
}

fn request_of(name: &str, key: &KeyPair, change: impl Fn(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    change(&mut params);
    params.serialize_request(key).unwrap().der().to_vec()
}

fn key_of(algorithm: &'static rcgen::SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).unwrap()
}

/// A request made by openssl, for what rcgen does not make.
fn by_openssl(arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(["req", "-new", "-nodes", "-keyout", "/dev/null", "-outform", "DER"]);
    let made = command.args(arguments).output().expect("openssl is there");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}

#[test]
fn a_12_a_request_says_whom_it_is_for_and_proves_its_key() {
    for (algorithm, kind) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, KeyType::P256),
        (&rcgen::PKCS_ECDSA_P384_SHA384, KeyType::P384),
        (&rcgen::PKCS_RSA_SHA256, KeyType::Rsa),
    ] {
        let key = key_of(algorithm);
        let read = SigningRequest::from_der(&request("dev-1", &key)).unwrap();
        assert_eq!(read.common_name(), Ok("dev-1"));
        assert_eq!(read.key_type(), Some(kind));
        assert_eq!(read.verify(), Ok(()));
        assert!(!read.wants_ca());
        assert_eq!(read.spki_der(), rcgen::PublicKeyData::subject_public_key_info(&key));
    }
}

#[test]
fn a_12_base64_is_read_and_pem_is_not() {
    let der = request("dev-1", &key_of(&rcgen::PKCS_ECDSA_P384_SHA384));
    let text = STANDARD.encode(&der);
    let read = SigningRequest::from_base64(&text).unwrap();
    assert_eq!(read, SigningRequest::from_der(&der).unwrap());
    let stored: SigningRequest =
        serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
    assert_eq!(stored, read);
    let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END-----\n");
    for bad in [pem.as_str(), "", "a", &text[1..]] {
        assert!(SigningRequest::from_base64(bad).is_err(), "{bad:.20}");
    }
    assert_eq!(SigningRequest::from_base64(&pem).unwrap_err(), RequestError::NotBase64);
}

/// Truncation at every length, and every byte with a bit turned: an error, or a request whose
/// signature does not hold.
#[test]
fn a_12_a_mangled_request_is_refused() {
    let der = request("dev-1", &key_of(&rcgen::PKCS_ECDSA_P256_SHA256));
    for cut in 0..der.len() {
        assert!(SigningRequest::from_der(&der[..cut]).is_err(), "{cut}");
    }
    let longer = [der.as_slice(), &[0]].concat();
    let frame = RequestError::Malformed(RequestPart::Frame);
    assert_eq!(SigningRequest::from_der(&longer).unwrap_err(), frame);
    for at in 0..der.len() {
        let mut turned = der.clone();
        turned[at] ^= 1;
        if let Ok(read) = SigningRequest::from_der(&turned) {
            assert!(read.verify().is_err(), "byte {at}");
        }
    }
}

#[test]
fn a_12_what_is_no_request_is_refused() {
    let key = key_of(&rcgen::PKCS_ECDSA_P256_SHA256);
    let certificate = CertificateParams::default().self_signed(&key).unwrap();
    assert!(SigningRequest::from_der(certificate.der()).is_err());
    assert!(SigningRequest::from_der(key.serialized_der()).is_err());
    let huge = vec![0x30; SIGNING_REQUEST_BYTES_MAX + 1];
    assert_eq!(SigningRequest::from_der(&huge).unwrap_err(), RequestError::TooLong);
    let text = STANDARD.encode(&huge) + "AAAA";
    assert_eq!(SigningRequest::from_base64(&text).unwrap_err(), RequestError::TooLong);
    assert_eq!(
        SigningRequest::from_der(&[]).unwrap_err(),
        RequestError::Malformed(RequestPart::Frame)
    );
}

#[test]
fn a_12_another_keys_signature_proves_nothing() {
    let (one, other) = (
        request("dev-1", &key_of(&rcgen::PKCS_ECDSA_P256_SHA256)),
        request("dev-1", &key_of(&rcgen::PKCS_ECDSA_P256_SHA256)),
    );
    // The signature ends a request; both are of one length or the frame does not fit.
    let mut mixed = one.clone();
    let at = one.len() - 60;
    if other.len() == one.len() {
        mixed[at..].copy_from_slice(&other[at..]);
    } else {
        mixed[at] ^= 0x40;
    }
    if let Ok(read) = SigningRequest::from_der(&mixed) {
        assert_eq!(read.verify(), Err(SignatureError::Invalid));
    }
}

#[test]
fn a_12_keys_that_are_too_weak_or_of_another_kind_have_no_type() {
    let subject = ["-subj", "/CN=dev-1"];
    for arguments in [
        &["-newkey", "rsa:1024"][..],
        &["-newkey", "rsa:4608"],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1"],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
        &["-newkey", "ed25519"],
        &["-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"],
    ] {
        let der = by_openssl(&[arguments, &subject].concat());
        let read = SigningRequest::from_der(&der).unwrap();
        assert_eq!(read.key_type(), None, "{arguments:?}");
    }
    let der = by_openssl(&["-newkey", "rsa:2048", "-sha1", "-subj", "/CN=dev-1"]);
    let read = SigningRequest::from_der(&der).unwrap();
    assert_eq!(read.key_type(), Some(KeyType::Rsa));
    assert!(matches!(read.verify(), Err(SignatureError::UnsupportedAlgorithm { .. })));
    let read =
        SigningRequest::from_der(&by_openssl(&["-newkey", "rsa:2048", "-subj", "/CN=a/CN=b"]));
    assert_eq!(read.unwrap().common_name(), Err(CommonNameError::Several));
}

#[test]
fn a_12_a_roca_key_has_no_type() {
    let mut der = by_openssl(&["-newkey", "rsa:2048", "-subj", "/CN=dev-1"]);
    let read = SigningRequest::from_der(&der).unwrap();
    assert_eq!(read.key_type(), Some(KeyType::Rsa));
    // INTEGER of 257 bytes, the first of them 0.
    let modulus = der.windows(5).position(|found| found == b"\x02\x82\x01\x01\x00").unwrap() + 5;
    der[modulus..modulus + 256].copy_from_slice(&hex(ROCA_MODULUS));
    assert_eq!(SigningRequest::from_der(&der).unwrap().key_type(), None);
}

#[test]
fn a_12_a_request_for_a_ca_is_told_from_others() {
    let key = key_of(&rcgen::PKCS_ECDSA_P256_SHA256);
    let ca = request_of("dev-1", &key, |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    assert!(SigningRequest::from_der(&ca).unwrap().wants_ca());
    let named = request_of("dev-1", &key, |params| {
        params.subject_alt_names.push(rcgen::SanType::DnsName("other.test".try_into().unwrap()));
    });
    assert!(!SigningRequest::from_der(&named).unwrap().wants_ca());
}

/// A root, an issuing CA and a device's certificate, all of one kind of key.
fn chain(kind: KeyType) -> [Certificate; 3] {
    let day = Duration::from_secs(86_400);
    let (root_key, key) =
        (PrivateKey::generate(kind).unwrap(), PrivateKey::generate(kind).unwrap());
    let (root_spki, spki) = (root_key.spki_der().unwrap(), key.spki_der().unwrap());
    let draft = |subject, spki, role| Draft {
        serial: [0x80; 16],
        subject,
        spki,
        not_before: NOW.minus(day),
        not_after: NOW.plus(day),
        role,
    };
    let root = issue(&draft("a root", &root_spki, Role::Root), None, &root_key).unwrap();
    let issuing = draft("an issuing CA", &spki, Role::Issuing);
    let issuing = issue(&issuing, Some(&root), &root_key).unwrap();
    let device = SigningRequest::from_der(&request("dev-1", &key_of(&rcgen::PKCS_RSA_SHA256)));
    let device = device.unwrap();
    let leaf = draft("dev-1", device.spki_der(), Role::Device);
    let leaf = issue(&leaf, Some(&issuing), &key).unwrap();
    [leaf, issuing, root]
}

#[test]
fn a_12_what_is_issued_holds_by_openssl() {
    let directory = std::env::temp_dir().join(format!("muster-issuing-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    for kind in [KeyType::P256, KeyType::P384] {
        let [leaf, issuing, root] = chain(kind);
        for (name, certificate) in [("leaf", &leaf), ("issuing", &issuing), ("root", &root)] {
            fs::write(directory.join(name), certificate.to_pem()).unwrap();
        }
        let judged = Command::new("openssl")
            .current_dir(&directory)
            .args(["verify", "-x509_strict", "-purpose", "sslclient", "-check_ss_sig"])
            .args(["-attime", &NOW.unix_seconds().to_string()])
            .args(["-CAfile", "root", "-untrusted", "issuing", "leaf"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&judged.stderr).into_owned();
        assert!(judged.status.success(), "{kind}: {said}");
        let shown = Command::new("openssl")
            .current_dir(&directory)
            .args(["x509", "-in", "leaf", "-noout", "-serial", "-subject", "-ext"])
            .arg("basicConstraints,keyUsage,extendedKeyUsage")
            .output()
            .unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        for expected in [
            "serial=80808080808080808080808080808080",
            "CN = dev-1",
            "CA:FALSE",
            "Digital Signature",
            "TLS Web Client Authentication",
        ] {
            assert!(shown.replace("CN=dev", "CN = dev").contains(expected), "{expected}: {shown}");
        }
    }
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_12_what_is_issued_names_its_issuer_and_its_role() {
    let [leaf, issuing, root] = chain(KeyType::P384);
    assert_eq!(leaf.common_name(), Ok("dev-1"));
    assert!(!leaf.is_ca() && !leaf.key_cert_sign());
    assert_eq!(leaf.authority_key_id(), issuing.subject_key_id());
    assert_eq!(issuing.authority_key_id(), root.subject_key_id());
    assert_eq!((issuing.path_len(), root.path_len()), (Some(0), Some(1)));
    assert_eq!(leaf.verify_signed_by(&issuing), Ok(()));
    assert_eq!(issuing.verify_signed_by(&root), Ok(()));
    assert!(root.is_self_issued() && root.key_cert_sign());
    assert!(leaf.verify_signed_by(&root).is_err());
}

#[test]
fn keys_are_read_in_the_forms_of_openssl_and_never_shown() {
    let key = key_of(&rcgen::PKCS_ECDSA_P256_SHA256);
    let read = PrivateKey::from_pem(&key.serialize_pem()).unwrap();
    assert_eq!(read.spki_der().unwrap(), rcgen::PublicKeyData::subject_public_key_info(&key));
    assert_eq!(format!("{read:?}"), "PrivateKey(…)");
    let stored = serde_json::to_string(&read).unwrap();
    let again: PrivateKey = serde_json::from_str(&stored).unwrap();
    assert_eq!(again.spki_der(), read.spki_der());
    for (arguments, kind) in [
        (&["ecparam", "-name", "secp384r1", "-genkey", "-noout"][..], Ok(KeyType::P384)),
        (&["genrsa", "-traditional", "2048"], Ok(KeyType::Rsa)),
        (&["genrsa", "2048"], Ok(KeyType::Rsa)),
        (&["genpkey", "-algorithm", "ed25519"], Err(PrivateKeyError::Kind)),
    ] {
        let made = Command::new("openssl").args(arguments).output().unwrap();
        let pem = String::from_utf8(made.stdout).unwrap();
        assert_eq!(PrivateKey::from_pem(&pem).and_then(|key| key.kind()), kind, "{arguments:?}");
    }
    assert_eq!(PrivateKey::from_pem("no key").unwrap_err(), PrivateKeyError::Pem);
    assert_eq!(PrivateKey::generate(KeyType::Rsa).unwrap_err(), PrivateKeyError::Kind);
}
