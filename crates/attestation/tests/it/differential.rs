//! Chains that chance made, judged by us, by webpki and by OpenSSL.
//!
//! Where webpki accepts a client's chain we accept it; where OpenSSL accepts a partial chain we
//! do, and else only where the tests say why.

use std::fs;
use std::path::Path;
use std::process::Command;

use attestation::x509::{Certificate, Chain, ChainError, StoredCa, build_chain};
use rcgen::{ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::pki::{Held, NOW, Plan, ca, leaf};

/// What a device presents to an instance that has one verified CA.
struct Case {
    presented: Vec<Certificate>,
    anchor: Certificate,
    /// Whether nothing is wrong with the anchor; webpki does not look.
    anchor_is_sound: bool,
}

/// A stream of numbers from a seed (xorshift64*).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(u64::try_from(len).unwrap())).unwrap()
    }
}

/// A plan with, at times, something that can refuse a chain; tells whether there is.
///
/// Not made: a CA without basic constraints but with keyCertSign, which OpenSSL takes for one of
/// the old days and we, like RFC 5280, do not.
fn spoiled(plan: Plan, chance: &mut Chance) -> (Plan, bool) {
    match chance.below(24) {
        0 => (plan.expired(), true),
        1 => (plan.not_yet_valid(), true),
        2 => (plan.unknown_extension(true), true),
        3 => (plan.basic(IsCa::ExplicitNoCa).key_usages(&[]), true),
        4 => (plan.basic(IsCa::NoCa).key_usages(&[]), true),
        5 => (plan.key_usages(&[KeyUsagePurpose::CrlSign]), true),
        6 | 7 => (plan.path_len(0), true),
        8 | 9 => (plan.path_len(1), true),
        10 => (plan.key_usages(&[]), false),
        11 => (plan.unknown_extension(false), false),
        12 | 13 => (plan.without_authority_key_id(), false),
        _ => (plan, false),
    }
}

fn case(seed: u64) -> Case {
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let levels = 1 + chance.index(4);
    let mut cas: Vec<Held> = Vec::new();
    let mut sound = Vec::new();
    for level in 0..levels {
        // At times the name of the CA above: a self-issued certificate.
        let named = if level > 0 && chance.one_in(6) { level - 1 } else { level };
        let algorithm =
            [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519]
                [chance.index(3)];
        let (mut plan, spoiled) =
            spoiled(ca(&format!("ca {named}")).algorithm(algorithm), &mut chance);
        // OpenSSL takes a self-issued certificate that names no key for a self-signed one.
        plan.params.use_authority_key_identifier_extension |= named != level;
        cas.push(match cas.last() {
            None => plan.self_signed(),
            Some(issuer) => signed(plan, issuer, &mut chance),
        });
        sound.push(!spoiled);
    }
    let mut device = leaf("device");
    if chance.one_in(3) {
        device.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    }
    let (device, _) = match chance.below(8) {
        0 => (device.basic(IsCa::Ca(rcgen::BasicConstraints::Unconstrained)), false),
        1 => spoiled(device, &mut chance),
        _ => (device, false),
    };
    let device = signed(device, &cas[levels - 1], &mut chance);
    let anchor = chance.index(levels);
    let mut others: Vec<Certificate> = cas.iter().map(|ca| ca.certificate.clone()).collect();
    if chance.one_in(8) {
        others.remove(chance.index(levels));
    }
    if chance.one_in(4) {
        others.push(ca("stranger").self_signed().certificate);
    }
    let turn = chance.index(others.len().max(1));
    others.rotate_left(turn);
    let mut presented = vec![device.certificate];
    presented.extend(others);
    Case { presented, anchor: cas[anchor].certificate.clone(), anchor_is_sound: sound[anchor] }
}

/// Signed by the issuer, or at times by an impostor of its name.
fn signed(plan: Plan, issuer: &Held, chance: &mut Chance) -> Held {
    if !chance.one_in(16) {
        return plan.signed_by(issuer);
    }
    let name = issuer.certificate.common_name().unwrap().to_owned();
    plan.without_authority_key_id().signed_by(&ca(&name).self_signed())
}

fn judged(case: &Case) -> Result<Chain, ChainError> {
    let stored = [StoredCa { certificate: case.anchor.clone(), verified: true }];
    build_chain(&case.presented, &stored, NOW)
}

fn webpki_accepts(case: &Case) -> bool {
    let der = |one: &Certificate| CertificateDer::from(one.der().to_vec());
    let (anchor, leaf) = (der(&case.anchor), der(&case.presented[0]));
    let others: Vec<_> = case.presented[1..].iter().map(der).collect();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
        u64::try_from(NOW.unix_seconds()).unwrap(),
    ));
    let Ok(leaf) = webpki::EndEntityCert::try_from(&leaf) else { return false };
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &[webpki::anchor_from_trusted_cert(&anchor).unwrap()],
        &others,
        now,
        webpki::KeyUsage::client_auth(),
        None,
        None,
    )
    .is_ok()
}

fn openssl_accepts(case: &Case, folder: &Path) -> bool {
    let file = |name: &str, certificates: &[Certificate]| {
        let path = folder.join(name);
        fs::write(&path, certificates.iter().map(Certificate::to_pem).collect::<String>()).unwrap();
        path
    };
    let mut verify = Command::new("openssl");
    verify
        .args(["verify", "-partial_chain", "-attime", &NOW.unix_seconds().to_string(), "-trusted"])
        .arg(file("anchor.pem", std::slice::from_ref(&case.anchor)));
    if case.presented.len() > 1 {
        verify.arg("-untrusted").arg(file("others.pem", &case.presented[1..]));
    }
    verify.arg(file("leaf.pem", &case.presented[..1])).output().unwrap().status.success()
}

/// Whether two different CAs have one name.
fn has_namesakes(case: &Case) -> bool {
    let cas = &case.presented[1..];
    cas.iter().any(|a| cas.iter().any(|b| a != b && a.subject_raw() == b.subject_raw()))
}

#[test]
fn what_webpki_accepts_we_accept() {
    let (mut both, mut ours) = (0, 0);
    for seed in 0..1_500 {
        let case = case(seed);
        match (judged(&case), webpki_accepts(&case)) {
            (Ok(_), true) => both += 1,
            (Ok(_), false) => ours += 1,
            // webpki does not read the key usage of issuers.
            (Err(ChainError::KeyUsage { .. }), true) | (Err(_), false) => {}
            (Err(error), true) => {
                assert!(!case.anchor_is_sound, "seed {seed}: webpki accepts, we say {error}");
            }
        }
    }
    println!("of 1500 chains both accept {both}, we alone {ours}");
    assert!(both > 300 && ours > 10, "the generator has become dull: {both}, {ours}");
}

#[test]
fn openssl_and_we_accept_the_same() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("skipped: there is no openssl");
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("attestation-differential");
    fs::create_dir_all(&folder).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for seed in 2_000..2_150 {
        let case = case(seed);
        let ours = judged(&case);
        let theirs = openssl_accepts(&case, &folder);
        // OpenSSL checks signatures last, and does not step back from a wrong namesake then.
        let stepped_back = ours.is_ok() && has_namesakes(&case);
        assert!(ours.is_ok() == theirs || stepped_back, "seed {seed}: we say {ours:?}");
        if theirs { accepted += 1 } else { refused += 1 }
    }
    println!("OpenSSL agrees on {accepted} accepted and {refused} refused chains");
    assert!(accepted > 20 && refused > 20, "the generator has become dull");
}
