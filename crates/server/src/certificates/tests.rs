use rcgen::{CertificateParams, KeyPair};

use super::*;

fn own(names: &[&str], key: KeyKind) -> Arc<Own> {
    let pair = match key {
        KeyKind::Ecdsa => KeyPair::generate().unwrap(),
        KeyKind::Rsa => {
            KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap()
        }
    };
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().self_signed(&pair).unwrap();
    let now = Timestamp::parse("2030-01-01T00:00:00Z").unwrap();
    Arc::new(read::read(&certificate.pem(), &pair.serialize_pem(), &[], now).unwrap())
}

fn shown(table: &Table, host: &str) -> Option<Arc<CertifiedPair>> {
    table.pair(&HostName::parse(host).unwrap()).cloned()
}

#[test]
fn a_name_is_shown_its_own_certificate_before_a_wildcards() {
    let exact = own(&["a.example"], KeyKind::Ecdsa);
    let below = own(&["*.example"], KeyKind::Ecdsa);
    let table = Table::new([&below, &exact].into_iter());
    let is = |host: &str, own: &Own| {
        shown(&table, host).is_some_and(|pair| {
            pair.ecdsa.as_ref().is_some_and(|shown| Arc::ptr_eq(shown, &own.certified))
        })
    };
    assert!(is("a.example", &exact));
    assert!(is("b.example", &below));
    for other in ["example", "b.a.example", "localhost"] {
        assert!(shown(&table, other).is_none(), "{other}");
    }
}

#[test]
fn two_kinds_of_key_for_one_name_make_a_pair() {
    let (ecdsa, rsa) = (own(&["a.example"], KeyKind::Ecdsa), own(&["a.example"], KeyKind::Rsa));
    let second = own(&["a.example"], KeyKind::Ecdsa);
    let table = Table::new([&ecdsa, &rsa, &second].into_iter());
    let pair = shown(&table, "a.example").unwrap();
    assert!(Arc::ptr_eq(pair.ecdsa.as_ref().unwrap(), &ecdsa.certified), "the first is shown");
    assert!(Arc::ptr_eq(pair.rsa.as_ref().unwrap(), &rsa.certified));
}

/// A file's content is this number's hash.
fn held(number: u8) -> Sha256 {
    attestation::sha256(&[number])
}

fn good() -> Result<Own, Vec<String>> {
    Ok(own(&["a.example"], KeyKind::Ecdsa).as_ref().clone())
}

fn bad() -> Result<Own, Vec<String>> {
    Err(vec!["key: is not the key".to_owned()])
}

fn watched() -> Watched {
    Watched::new(good().unwrap(), held(1))
}

#[test]
fn files_that_hold_what_is_shown_are_not_read_again() {
    let mut watched = watched();
    assert!(watched.look(held(1), || unreachable!(), Look::Poll).is_none());
}

#[test]
fn a_good_replacement_is_taken_at_once_and_its_end_is_told_anew() {
    let mut watched = watched();
    watched.told = Stage::Over;
    let before = watched.own().thumbprint;
    assert!(matches!(watched.look(held(2), good, Look::Poll), Some(News::Replaced)));
    assert_ne!(watched.own().thumbprint, before);
    assert_eq!(watched.told, Stage::Far);
}

#[test]
fn a_poll_between_the_replacements_of_chain_and_key_tells_nothing() {
    let mut watched = watched();
    assert!(watched.look(held(2), bad, Look::Poll).is_none());
    assert!(!watched.is_faulty());
    assert!(matches!(watched.look(held(3), good, Look::Poll), Some(News::Replaced)));
}

#[test]
fn a_faulty_replacement_keeps_the_old_one_and_is_told_once() {
    let mut watched = watched();
    let before = watched.own().thumbprint;
    assert!(watched.look(held(2), bad, Look::Poll).is_none());
    assert!(matches!(watched.look(held(2), bad, Look::Poll), Some(News::Refused(_))));
    for _ in 0..3 {
        assert!(watched.look(held(2), bad, Look::Poll).is_none(), "it was told");
        assert!(watched.is_faulty());
    }
    assert_eq!(watched.own().thumbprint, before);
    // The same files may become good as time goes by: they were not yet valid.
    assert!(matches!(watched.look(held(2), good, Look::Poll), Some(News::Replaced)));
    assert!(!watched.is_faulty());
}

#[test]
fn an_operator_who_asks_is_told_at_once() {
    let mut watched = watched();
    assert!(matches!(watched.look(held(2), bad, Look::Asked), Some(News::Refused(_))));
    assert!(matches!(watched.look(held(1), bad, Look::Poll), Some(News::Mended)));
    assert!(!watched.is_faulty());
}
