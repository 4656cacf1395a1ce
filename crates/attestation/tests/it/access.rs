//! Tokens judged against the policies of a service.

use attestation::SymmetricKey;
use attestation::access::{Denied, Policy, authorize};
use attestation::sas::{SasToken, create};
use model::PolicyName;

use crate::pki::NOW;

fn key(first: u8) -> SymmetricKey {
    SymmetricKey::from_bytes((first..first + 32).collect()).unwrap()
}

fn policies() -> Vec<Policy<char>> {
    let policy = |name: &str, rights: &[char], first| Policy {
        name: PolicyName::parse(name).unwrap(),
        rights: rights.to_vec(),
        primary: key(first),
        secondary: key(first + 1),
    };
    vec![policy("reader", &['r'], 1), policy("owner", &['r', 'w'], 3)]
}

/// The rights of the policy that a token gives, when one of them is asked for.
fn judged(token: &str, right: char) -> Result<String, Denied> {
    let token = SasToken::parse(token).unwrap();
    let grants = |rights: &[char]| rights.contains(&right);
    authorize(&policies(), &token, "dps.example/enrollments/a", grants, NOW)
        .map(|policy| policy.name.as_str().to_owned())
}

#[test]
fn a_token_gives_what_its_policy_grants() {
    let soon = NOW.plus(std::time::Duration::from_secs(60));
    let late = NOW.minus(std::time::Duration::from_secs(301));
    let token = |resource, key: &SymmetricKey, name| create(resource, key, soon, name);
    let host = "dps.example";
    let cases = [
        ("k_06 primary", token(host, &key(3), Some("owner")), 'w', Ok("owner")),
        ("k_06 secondary", token(host, &key(4), Some("owner")), 'w', Ok("owner")),
        ("the name in any case", token(host, &key(1), Some("READER")), 'r', Ok("reader")),
        ("k_08 no such right", token(host, &key(1), Some("reader")), 'w', Err(Denied::Right)),
        ("k_07 no name", token(host, &key(1), None), 'r', Err(Denied::UnknownPolicy)),
        ("k_07 other name", token(host, &key(1), Some("x")), 'r', Err(Denied::UnknownPolicy)),
        ("k_07 other's key", token(host, &key(1), Some("owner")), 'r', Err(Denied::Signature)),
        ("k_05", create(host, &key(3), late, Some("owner")), 'r', Err(Denied::Expired)),
        ("k_04", token("dps2.example", &key(3), Some("owner")), 'r', Err(Denied::Resource)),
        ("k_02", token("dps.example/enroll", &key(3), Some("owner")), 'r', Err(Denied::Resource)),
        // Nothing is told about a token that nobody signed.
        ("forged", create("x", &key(9), late, Some("owner")), 'x', Err(Denied::Signature)),
    ];
    for (what, token, right, expected) in cases {
        assert_eq!(judged(&token, right), expected.map(str::to_owned), "{what}");
    }
}

#[test]
fn a_policy_is_stored_and_read_back() {
    for policy in policies() {
        let text = serde_json::to_string(&policy).unwrap();
        let read: Policy<char> = serde_json::from_str(&text).unwrap();
        assert_eq!((&read.name, &read.rights), (&policy.name, &policy.rights));
        assert!(read.primary.same_as(&policy.primary));
        assert!(read.secondary.same_as(&policy.secondary));
        assert!(!format!("{policy:?}").contains(&policy.primary.to_base64()));
    }
    assert!(serde_json::from_str::<Policy<char>>("{\"name\":\"a\"}").is_err());
}
