//! Certificates taken apart and put together wrongly: every part that is off is named.

use attestation::x509::{Certificate, CertificateError, Part};
use rcgen::KeyPair;

use crate::pki::{ca, leaf};

/// The elements of a certificate; the signature is not made anew, as parsing does not look.
#[derive(Clone)]
struct Parts {
    /// Version, serial, algorithm, issuer, validity, subject, key, extensions.
    signed: Vec<Vec<u8>>,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
    trailing: Vec<u8>,
}

const VERSION: usize = 0;
const SERIAL: usize = 1;
const ALGORITHM: usize = 2;
const ISSUER: usize = 3;
const VALIDITY: usize = 4;
const SUBJECT: usize = 5;
const KEY: usize = 6;
const EXTENSIONS: usize = 7;

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let length = match (high, low) {
        (0, 0..=127) => vec![low],
        (0, _) => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag], length.as_slice(), content].concat()
}

/// The elements in these bytes, each with its header.
fn elements(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while bytes.len() > 1 {
        let (header, length) = match bytes[1] {
            0x81 => (3, usize::from(bytes[2])),
            0x82 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
            short => (2, usize::from(short)),
        };
        found.push(bytes[..header + length].to_vec());
        bytes = &bytes[header + length..];
    }
    found
}

fn content(element: &[u8]) -> &[u8] {
    match element[1] {
        0x81 => &element[3..],
        0x82 => &element[4..],
        _ => &element[2..],
    }
}

/// The element with bytes put behind its content, its length put right.
fn extended(whole: &[u8], more: &[u8]) -> Vec<u8> {
    element(whole[0], &[content(whole), more].concat())
}

impl Parts {
    fn sound() -> Self {
        let made = ca("root").path_len(1).self_signed().certificate;
        let outer = elements(content(made.der()));
        let [signed, algorithm, signature] = outer.as_slice() else { panic!("{outer:?}") };
        Self {
            signed: elements(content(signed)),
            algorithm: algorithm.clone(),
            signature: signature.clone(),
            trailing: Vec::new(),
        }
    }

    fn read(&self) -> Result<Certificate, CertificateError> {
        let signed = element(0x30, &self.signed.concat());
        let parts = [signed, self.algorithm.clone(), self.signature.clone(), self.trailing.clone()];
        Certificate::from_der(&element(0x30, &parts.concat()))
    }
}

/// Demands that a sound certificate with this change names this part.
#[track_caller]
fn names(part: Part, change: impl FnOnce(&mut Parts)) {
    let mut parts = Parts::sound();
    parts.read().unwrap();
    change(&mut parts);
    assert_eq!(parts.read().unwrap_err(), CertificateError::Malformed(part));
}

const NULL: [u8; 2] = [5, 0];

#[test]
fn bytes_behind_any_part_are_refused() {
    names(Part::Frame, |parts| parts.trailing = NULL.to_vec());
    names(Part::Extensions, |parts| parts.signed.push(NULL.to_vec()));
    for (place, part) in [
        (VERSION, Part::Version),
        (ISSUER, Part::Issuer),
        (VALIDITY, Part::Validity),
        (SUBJECT, Part::Subject),
        (KEY, Part::PublicKey),
        (EXTENSIONS, Part::Extensions),
    ] {
        names(part, |parts| parts.signed[place] = extended(&parts.signed[place], &NULL));
    }
}

#[test]
fn each_part_must_be_what_it_should() {
    for (place, part) in [
        (SERIAL, Part::Serial),
        (ALGORITHM, Part::SignatureAlgorithm),
        (ISSUER, Part::Issuer),
        (VALIDITY, Part::Validity),
        (SUBJECT, Part::Subject),
        (KEY, Part::PublicKey),
    ] {
        names(part, |parts| parts.signed[place] = NULL.to_vec());
    }
    for (place, part) in
        [(SERIAL, Part::Serial), (VALIDITY, Part::Validity), (KEY, Part::PublicKey)]
    {
        names(part, |parts| parts.signed[place] = element(parts.signed[place][0], &[]));
    }
    names(Part::Signature, |parts| parts.signature = NULL.to_vec());
    names(Part::Signature, |parts| parts.signature = element(3, &[]));
    names(Part::Signature, |parts| parts.signature = element(3, &[4, 0x10]));
    names(Part::Validity, |parts| {
        parts.signed[VALIDITY] = element(0x30, &element(0x17, b"991301000000Z").repeat(2));
    });
    // A subject whose second name is broken: x509-parser alone would stop at the first.
    names(Part::Subject, |parts| {
        let broken = element(0x31, &element(0x30, &NULL));
        parts.signed[SUBJECT] = extended(&parts.signed[SUBJECT], &broken);
    });
}

#[test]
fn versions_are_1_to_3_and_only_3_has_extensions() {
    let version = |n: u8| element(0xa0, &element(2, &[n]));
    names(Part::Version, |parts| parts.signed[VERSION] = version(3));
    names(Part::Version, |parts| parts.signed[VERSION] = element(0xa0, &element(2, &[0, 2])));
    names(Part::Extensions, |parts| parts.signed[VERSION] = version(1));
    names(Part::Extensions, |parts| drop(parts.signed.remove(VERSION)));
    for (given, shown) in [(0, 1), (1, 2), (2, 3)] {
        let mut parts = Parts::sound();
        parts.signed[VERSION] = version(given);
        parts.signed.remove(EXTENSIONS);
        assert_eq!(parts.read().unwrap().version(), shown);
    }
}

#[test]
fn both_places_must_name_one_signature_algorithm() {
    // Another sequence that is as well formed: ecdsa-with-SHA384.
    let other = element(0x30, &element(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3]));
    names(Part::SignatureAlgorithm, |parts| parts.algorithm = other.clone());
    names(Part::SignatureAlgorithm, |parts| parts.signed[ALGORITHM] = other);
}

#[test]
fn unique_identifiers_are_skipped_in_their_place() {
    let mut parts = Parts::sound();
    parts.signed.insert(EXTENSIONS, element(0x81, &[0, 1]));
    parts.signed.insert(EXTENSIONS + 1, element(0x82, &[0, 1]));
    parts.read().unwrap();
    names(Part::Extensions, |parts| parts.signed.push(element(0x81, &[0, 1])));
}

/// The order of the group of P-256. Source: SEC 2 §2.4.2.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// A number of DER, subtracted from the order.
fn order_minus(number: &[u8]) -> Vec<u8> {
    let mut padded = [0; 32];
    for (to, from) in padded.iter_mut().rev().zip(number.iter().rev()) {
        *to = *from;
    }
    let mut borrow = false;
    for (digit, order) in padded.iter_mut().zip(P256_ORDER).rev() {
        let (difference, first) = order.overflowing_sub(*digit);
        let (difference, second) = difference.overflowing_sub(u8::from(borrow));
        (*digit, borrow) = (difference, first || second);
    }
    let bytes: Vec<u8> = padded.into_iter().skip_while(|digit| *digit == 0).collect();
    if bytes[0] >= 0x80 { [&[0], bytes.as_slice()].concat() } else { bytes }
}

/// Anyone can write another valid signature under a certificate that he has: a thumbprint alone
/// must not decide that a device is kept out. The content's hash stays.
#[test]
fn a_rewritten_signature_changes_the_thumbprint_but_not_the_content() {
    let mut parts = Parts::sound();
    let before = parts.read().unwrap();
    let bits = content(&parts.signature)[1..].to_vec();
    let numbers = elements(content(&bits));
    let other = element(2, &order_minus(content(&numbers[1])));
    let rewritten = element(0x30, &[numbers[0].clone(), other].concat());
    parts.signature = element(3, &[&[0], rewritten.as_slice()].concat());
    let after = parts.read().unwrap();
    assert_eq!(before.verify_signed_by(&before), Ok(()));
    assert_eq!(after.verify_signed_by(&before), Ok(()));
    assert_ne!(before.thumbprint(), after.thumbprint());
    assert_eq!(before.content_hash(), after.content_hash());
}

/// Reads a certificate with these extensions, each the content of its sequence.
fn with_extensions(list: &[Vec<u8>]) -> Result<Certificate, CertificateError> {
    let mut parts = Parts::sound();
    let list: Vec<u8> = list.iter().flat_map(|one| element(0x30, one)).collect();
    parts.signed[EXTENSIONS] = element(0xa3, &element(0x30, &list));
    parts.read()
}

#[test]
fn an_extension_is_a_name_a_flag_and_a_value() {
    let name = element(6, &[0x2a, 3]);
    let value = element(4, &NULL);
    let flag = |value: u8| element(1, &[value]);
    let unknown =
        |list: &[Vec<u8>]| with_extensions(list).map(|one| one.has_unknown_critical_extension());
    assert_eq!(unknown(&[[name.clone(), value.clone()].concat()]), Ok(false));
    assert_eq!(unknown(&[[name.clone(), flag(0), value.clone()].concat()]), Ok(false));
    assert_eq!(unknown(&[[name.clone(), flag(0xff), value.clone()].concat()]), Ok(true));
    for bad in [
        [name.clone(), flag(1), value.clone()].concat(),
        [name.clone(), element(1, &[0xff, 0xff]), value.clone()].concat(),
        [name.clone(), value.clone(), NULL.to_vec()].concat(),
        [value.clone(), name.clone()].concat(),
        name.clone(),
        value.clone(),
        Vec::new(),
    ] {
        let refused = unknown(std::slice::from_ref(&bad)).unwrap_err();
        assert_eq!(refused, CertificateError::Malformed(Part::Extensions), "{bad:?}");
    }
    let refused = CertificateError::Malformed(Part::Extensions);
    assert_eq!(with_extensions(&[]).unwrap_err(), refused);
    let many = |count: u8| -> Vec<Vec<u8>> {
        (0..count).map(|n| [element(6, &[0x2a, n]), value.clone()].concat()).collect()
    };
    assert_eq!(with_extensions(&many(65)).unwrap_err(), refused);
    with_extensions(&many(64)).unwrap();
    let twice = vec![[name, value].concat(); 2];
    assert_eq!(with_extensions(&twice).unwrap_err(), refused);
}

/// Reads a self-signed certificate with one more extension.
fn with_extension(
    oid: &[u64],
    critical: bool,
    content: &[u8],
) -> Result<Certificate, CertificateError> {
    let plan = leaf("x").without_authority_key_id().extension(oid, critical, content);
    let made = plan.params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    Certificate::from_der(made.der())
}

#[test]
fn basic_constraints_and_key_usage_must_be_well_formed() {
    let basic = |content: &[u8]| {
        with_extension(&[2, 5, 29, 19], false, content).map(|one| (one.is_ca(), one.path_len()))
    };
    assert_eq!(basic(&[0x30, 0]), Ok((false, None)));
    assert_eq!(basic(&[0x30, 3, 1, 1, 0xff]), Ok((true, None)));
    assert_eq!(basic(&[0x30, 6, 1, 1, 0xff, 2, 1, 5]), Ok((true, Some(5))));
    // A path length means nothing without CA:TRUE.
    assert_eq!(basic(&[0x30, 3, 2, 1, 0]), Ok((false, None)));
    for bad in [
        [0x30, 3, 1, 1].as_slice(),
        &[],
        &[0x30, 0, 0],
        &[0x30, 6, 1, 1, 0xff, 2, 1, 0xff],
        &[0x30, 9, 1, 1, 0xff, 2, 1, 0, 2, 1, 0],
        &[0x30, 10, 1, 1, 0xff, 2, 5, 1, 0, 0, 0, 0],
    ] {
        assert_eq!(basic(bad), Err(CertificateError::Malformed(Part::BasicConstraints)), "{bad:?}");
    }
    let usage = |content: &[u8]| {
        with_extension(&[2, 5, 29, 15], true, content).map(|one| one.key_cert_sign())
    };
    assert_eq!(usage(&[3, 2, 2, 4]), Ok(true));
    assert_eq!(usage(&[3, 2, 7, 0x80]), Ok(false));
    assert_eq!(usage(&[3, 1, 0]), Ok(false));
    for bad in [[4, 2, 2, 4].as_slice(), &[], &[3, 2, 2, 4, 0]] {
        assert_eq!(usage(bad), Err(CertificateError::Malformed(Part::KeyUsage)), "{bad:?}");
    }
}

/// RFC 5280 wants both not critical; a broken one is no reason to refuse.
#[test]
fn key_identifiers_are_hints_unless_critical() {
    let (authority, subject) = ([2, 5, 29, 35], [2, 5, 29, 14]);
    let read = |oid: &[u64], critical, content: &[u8]| {
        let one = with_extension(oid, critical, content).unwrap();
        let ids = one.authority_key_id().or_else(|| one.subject_key_id()).map(<[u8]>::to_vec);
        (ids, one.unknown_critical_extension().map(str::to_owned))
    };
    assert_eq!(read(&authority, false, &[0x30, 3, 0x80, 1, 7]), (Some(vec![7]), None));
    assert_eq!(read(&subject, false, &[4, 1, 7]), (Some(vec![7]), None));
    assert_eq!(read(&authority, false, &[0x30, 0]), (None, None));
    assert_eq!(read(&authority, false, &[4, 1, 7]), (None, None));
    assert_eq!(read(&subject, false, &[0x30, 1]), (None, None));
    let (_, unknown) = read(&authority, true, &[0x30, 3, 0x80, 1, 7]);
    assert_eq!(unknown.as_deref(), Some("2.5.29.35"));
    let (_, unknown) = read(&subject, true, &[4, 1, 7]);
    assert_eq!(unknown.as_deref(), Some("2.5.29.14"));
}
