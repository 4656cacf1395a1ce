//! The x509-limbo suite (C2SP), where its compiled cases lie beside the checkout.
//!
//! The suite judges TLS servers by RFC 5280. Its anchors play an instance's verified CAs, its peer
//! with the intermediates what a device presents. Each case that ends differently is in the table
//! below, with the reason; a case that ends as expected must not be there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use attestation::x509::{Certificate, StoredCa, build_chain};
use model::Timestamp;
use model::limits::CHAIN_PRESENTED_MAX;
use serde_json::Value;

use crate::pki::timed;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/x509-limbo.json");

/// For cases without a time of their own.
const ORDINARY_TIME: Timestamp = Timestamp::from_unix_seconds(1_717_200_000);

const DIFFERENCES: &[(&str, &[&str])] = &[
    (
        "name constraints are not enforced, so an issuer that has any is refused",
        &[
            "rfc5280::nc::excluded-different-constraint-type",
            "rfc5280::nc::nc-forbids-alternate-chain-ica",
            "rfc5280::nc::nc-forbids-othername-noop",
            "rfc5280::nc::nc-permits-email-domain",
            "rfc5280::nc::nc-permits-email-exact",
            "rfc5280::nc::nc-permits-email-literal-asterisk-exact-match",
            "rfc5280::nc::nc-permits-email-literal-double-asterisk",
            "rfc5280::nc::nc-permits-email-literal-mid-asterisk",
            "rfc5280::nc::permitted-different-constraint-type",
            "rfc5280::nc::permitted-dn-match",
            "rfc5280::nc::permitted-dns-match",
            "rfc5280::nc::permitted-dns-match-more",
            "rfc5280::nc::permitted-ipv4-match",
            "rfc5280::nc::permitted-ipv6-match",
            "rfc5280::nc::permitted-self-issued",
        ],
    ),
    (
        "revocation is the enrollment's business: there are no CRLs",
        &[
            "crl::crlnumber-critical",
            "crl::crlnumber-missing",
            "crl::issuer-missing-crlsign",
            "crl::revoked-certificate-with-crl",
        ],
    ),
    (
        "the depth is fixed at eight certificates",
        &["pathlen::max-chain-depth-0-exhausted", "pathlen::max-chain-depth-1-exhausted"],
    ),
    (
        "key identifiers are hints for finding an issuer; old and hand-made CAs have none",
        &[
            "rfc5280::aki::cross-signed-root-missing-aki",
            "rfc5280::aki::intermediate-missing-aki",
            "rfc5280::aki::leaf-missing-aki",
            "rfc5280::ski::intermediate-missing-ski",
            "rfc5280::ski::root-missing-ski",
        ],
    ),
    (
        "a leaf's extended key usage is not judged: devices present certificates of any purpose",
        &["rfc5280::eku::ee-eku-empty", "rfc5280::eku::ee-wrong-eku"],
    ),
    (
        "a leaf's key usage is not judged: as a leaf it signs nothing but the handshake",
        &["rfc5280::leaf-ku-keycertsign"],
    ),
    (
        "alternative names mean nothing: a device's name is the common name of its subject",
        &[
            "rfc5280::ca-as-leaf-wrong-san",
            "rfc5280::san::ip-in-dns",
            "rfc5280::san::malformed",
            "rfc5280::san::underscore-dns",
        ],
    ),
    (
        "a subject without a common name is refused where the name is asked for, not here",
        &["rfc5280::san::noncritical-with-empty-subject"],
    ),
    (
        "name constraints on a leaf constrain nothing; they refuse it only when critical",
        &["rfc5280::nc::not-allowed-in-ee-noncritical"],
    ),
    (
        "policies are not judged: policy constraints refuse only when critical, as they should be",
        &["rfc5280::pc::ica-noncritical-pc"],
    ),
    (
        "basic constraints count, critical or not: many tools write them as not critical",
        &["rfc5280::root-non-critical-basic-constraints"],
    ),
    (
        "serial numbers are not judged: they identify nothing here",
        &["rfc5280::serial::too-long", "rfc5280::serial::zero"],
    ),
];

struct Outcome {
    id: String,
    expected: bool,
    found: Result<(), String>,
}

fn pem(value: &Value) -> Result<Certificate, String> {
    Certificate::from_upload(value.as_str().unwrap().as_bytes()).map_err(|e| e.to_string())
}

fn pems(case: &Value, field: &str) -> Result<Vec<Certificate>, String> {
    case[field].as_array().into_iter().flatten().map(pem).collect()
}

fn time(case: &Value) -> Timestamp {
    match case["validation_time"].as_str() {
        Some(text) => Timestamp::parse(&text.replace("+00:00", "Z")).unwrap(),
        None => ORDINARY_TIME,
    }
}

/// Judges a case and demands that it does not take long.
fn judge(case: &Value) -> Result<(), String> {
    let id = case["id"].as_str().unwrap();
    let stored: Vec<StoredCa> = pems(case, "trusted_certs")?
        .into_iter()
        .map(|certificate| StoredCa { certificate, verified: true })
        .collect();
    let mut presented = vec![pem(&case["peer_certificate"])?];
    presented.extend(pems(case, "untrusted_intermediates")?);
    let quickly = |presented: &[Certificate]| {
        let (judged, taken) = timed(|| build_chain(presented, &stored, time(case)));
        println!(
            "{taken:>12?} {id}: {}",
            judged.as_ref().map_or_else(|e| e.to_string(), |_| "holds".into())
        );
        assert!(taken < Duration::from_millis(50), "{id} took {taken:?}");
        judged.map(|_| ()).map_err(|e| e.to_string())
    };
    // What is too much to be looked at is cut, so that the search has its say on time as well.
    if presented.len() > CHAIN_PRESENTED_MAX {
        let _ = quickly(&presented[..CHAIN_PRESENTED_MAX]);
    }
    quickly(&presented)
}

fn outcomes(text: &str) -> Vec<Outcome> {
    let cases: Value = serde_json::from_str(text).unwrap();
    let judged = |case: &Value| Outcome {
        id: case["id"].as_str().unwrap().to_owned(),
        expected: case["expected_result"] == "SUCCESS",
        found: judge(case),
    };
    cases.as_array().unwrap().iter().map(judged).collect()
}

#[test]
fn x509_limbo_ends_as_expected_or_as_listed() {
    let Ok(text) = fs::read_to_string(Path::new(CASES)) else {
        println!("skipped: x509-limbo.json does not lie beside the checkout");
        return;
    };
    let mut listed = BTreeMap::new();
    for (reason, ids) in DIFFERENCES {
        for id in *ids {
            assert_eq!(listed.insert(*id, *reason), None, "{id} is listed twice");
        }
    }
    let outcomes = outcomes(&text);
    let mut wrong = Vec::new();
    for Outcome { id, expected, found } in &outcomes {
        let differs = found.is_ok() != *expected;
        if differs != listed.remove(id.as_str()).is_some() {
            wrong.push(format!("{id}: expected {expected}, found {found:?}, listed {}", !differs));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(listed.is_empty(), "not in the suite: {listed:?}");
    println!("{} cases of x509-limbo end as expected or as listed", outcomes.len());
}
