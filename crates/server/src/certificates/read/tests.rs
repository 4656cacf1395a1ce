use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_RSA_SHA256, RsaKeySize, date_time_ymd,
};

use super::*;

/// Within the dates of [`params`].
const NOW: &str = "2030-06-01T00:00:00Z";

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2030, 1, 1);
    params.not_after = date_time_ymd(2030, 12, 31);
    params
}

/// A leaf and its intermediate, and the leaf's key.
fn chain(leaf: &CertificateParams, key: &KeyPair) -> (String, String) {
    let mut ca = params(&[]);
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(rcgen::DnType::CommonName, "root");
    let root = Issuer::new(ca.clone(), KeyPair::generate().unwrap());
    ca.distinguished_name.push(rcgen::DnType::CommonName, "intermediate");
    ca.not_after = date_time_ymd(2030, 9, 1);
    let between = KeyPair::generate().unwrap();
    let intermediate = ca.signed_by(&between, &root).unwrap().pem();
    let issuer = Issuer::new(ca, between);
    (leaf.signed_by(key, &issuer).unwrap().pem(), intermediate)
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn host(text: &str) -> HostName {
    HostName::parse(text).unwrap()
}

/// Reading has these faults and no other.
#[track_caller]
fn check(chain: &str, key: &str, hosts: &[&str], now: &str, expected: &[&str]) {
    let hosts: Vec<HostName> = hosts.iter().map(|name| host(name)).collect();
    let faults = read(chain, key, &hosts, at(now)).map(|own| own.names).unwrap_err();
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, part) in faults.iter().zip(expected) {
        assert!(fault.contains(part), "{part} in {faults:#?}");
    }
}

#[test]
fn a_good_chain_is_shown_for_all_its_names_until_its_first_end() {
    let key = KeyPair::generate().unwrap();
    let (leaf, above) = chain(&params(&["dps.example.com", "*.hubs.example.com"]), &key);
    let own = read(&format!("{leaf}{above}"), &key.serialize_pem(), &[], at(NOW)).unwrap();
    let names: Vec<String> = own.names.iter().map(Name::to_string).collect();
    assert_eq!(names, ["dps.example.com", "*.hubs.example.com"]);
    assert_eq!((own.key, own.certified.cert.len()), (KeyKind::Ecdsa, 2));
    assert_eq!(own.ends, at("2030-09-01T00:00:00Z"), "the intermediate ends first");
    assert_eq!(own.topmost, above.replace("\r\n", "\n"));
    assert!(own.warnings.is_empty());
    let listed = [host("a.hubs.example.com")];
    let own = read(&leaf, &key.serialize_pem(), &listed, at(NOW)).unwrap();
    assert_eq!(own.names, [Name::Host(host("a.hubs.example.com"))]);
}

#[test]
fn a_wildcard_stands_for_one_label() {
    let below = Name::parse("*.example.com").unwrap();
    for (name, covered) in [
        ("a.example.com", true),
        ("a.b.example.com", false),
        ("example.com", false),
        ("aexample.com", false),
    ] {
        assert_eq!(below.covers(&host(name)), covered, "{name}");
    }
}

#[test]
fn rsa_is_taken_from_2048_bits() {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let (leaf, _) = chain(&params(&["x.example"]), &key);
    let own = read(&leaf, &key.serialize_pem(), &[], at(NOW)).unwrap();
    assert_eq!(own.key, KeyKind::Rsa);
    // Made with `openssl req -x509 -newkey rsa:1024 -days 36500 -subj /CN=x.example
    // -addext subjectAltName=DNS:x.example`.
    let (weak, key) = (include_str!("weak.pem"), include_str!("weak.key.pem"));
    check(weak, key, &[], "2040-01-01T00:00:00Z", &["RSA of 1024 bits is weak"]);
}

#[test]
fn keys_of_kinds_that_devices_do_not_know_are_refused() {
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let (leaf, _) = chain(&params(&["x.example"]), &key);
    check(&leaf, &key.serialize_pem(), &[], NOW, &["is of no kind that devices know"]);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let key = KeyPair::generate().unwrap();
    let (leaf, _) = chain(&params(&["x.example"]), &key);
    let (_, stranger) = chain(&params(&["x.example"]), &key);
    let other = KeyPair::generate().unwrap().serialize_pem();
    let both = format!("{leaf}{stranger}");
    check(
        &both,
        &other,
        &["x.example", "y.example"],
        "2031-02-01T00:00:00Z",
        &[
            "chain: certificate 1 has expired at 2030-12-31",
            "chain: certificate 2 has expired at 2030-09-01",
            "chain: certificate 1 is not signed by the next one",
            "hosts: y.example is none of the certificate's names, which are x.example",
            "key: is not the key of the chain's first certificate",
        ],
    );
}

#[test]
fn a_certificate_of_tomorrow_is_not_shown_today() {
    let key = KeyPair::generate().unwrap();
    let (leaf, _) = chain(&params(&["x.example"]), &key);
    let day_before = "2029-12-31T00:00:00Z";
    check(&leaf, &key.serialize_pem(), &[], day_before, &["certificate 1 is not valid before"]);
}

#[test]
fn wrong_labels_are_named() {
    let key = KeyPair::generate().unwrap();
    let (leaf, _) = chain(&params(&["x.example"]), &key);
    let pem = key.serialize_pem();
    let trusted = leaf.replace(" CERTIFICATE-", " TRUSTED CERTIFICATE-");
    check(&trusted, &pem, &[], NOW, &["chain: holds \"TRUSTED CERTIFICATE\""]);
    check(&pem, &leaf, &[], NOW, &["chain: holds \"PRIVATE KEY\"", "key: holds \"CERTIFICATE\""]);
    check("", "", &[], NOW, &["chain: holds no PEM section", "key: holds no PEM section"]);
    let encrypted = pem.replace(" PRIVATE", " ENCRYPTED PRIVATE");
    check(&leaf, &encrypted, &[], NOW, &["key: is encrypted"]);
    check(&leaf, &format!("{pem}{pem}"), &[], NOW, &["key: holds 2 PEM sections"]);
    let cut = &leaf[..leaf.len() / 2];
    check(cut, &pem, &[], NOW, &["chain: "]);
    let parameters =
        format!("-----BEGIN EC PARAMETERS-----\nBgg=\n-----END EC PARAMETERS-----\n{pem}");
    assert!(read(&leaf, &parameters, &[], at(NOW)).is_ok());
}

#[test]
fn a_leaf_must_be_for_servers_and_name_a_host() {
    let key = KeyPair::generate().unwrap();
    let mut client = params(&["x.example"]);
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let (leaf, _) = chain(&client, &key);
    check(&leaf, &key.serialize_pem(), &[], NOW, &["lacks serverAuth"]);
    let (leaf, _) = chain(&params(&[]), &key);
    check(&leaf, &key.serialize_pem(), &[], NOW, &["names no host"]);
    let mut ca = params(&["x.example"]);
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (leaf, _) = chain(&ca, &key);
    let own = read(&leaf, &key.serialize_pem(), &[], at(NOW)).unwrap();
    assert!(own.warnings[0].contains("is a CA"), "{:?}", own.warnings);
}
