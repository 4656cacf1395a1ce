//! `muster iot dps credential`.

use serde_json::{Value, json};

use super::{reply, run};
use crate::failure::Kind;

fn one_dps() -> Value {
    json!({"value": [{"name": "dps1", "properties": {}}]})
}

fn policy() -> Value {
    json!({"name": "fleet", "etag": "e1", "properties": {"validityDays": 30,
        "issuer": {"subject": "CN=fleet issuing CA 1", "expiry": "2030-01-01T00:00:00Z"}}})
}

const POLICY: &str = "/muster/v1/dps/dps1/credential/policies/fleet";

fn words<'w>(verb: &'w str, more: &[&'w str]) -> Vec<&'w str> {
    let words = ["iot", "dps", "credential", "policy", verb, "--dps-name", "dps1", "-n", "fleet"];
    [&words[..], more].concat()
}

#[tokio::test]
async fn a_12_a_policy_is_created_with_the_options_of_az() {
    let more = ["--cert-validity-days", "7", "--cert-key-type", "ecc", "--key-types", "p-256"];
    let replies = vec![reply(200, &one_dps()), reply(200, &policy())];
    let ran = run(&words("create", &more), replies).await.ok();
    assert_eq!(ran.lines()[1], format!("PUT {POLICY}?api-version=2026-11-01"));
    let said = json!({"validityDays": 7, "keyTypes": ["P-256"], "issuer": {"keyType": "P-384"}});
    assert_eq!(ran.body(1), json!({"properties": said}));
    assert!(ran.out.contains("CN=fleet issuing CA 1"), "{}", ran.out);
}

#[tokio::test]
async fn a_12_an_operators_ca_is_sent_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    std::fs::write(&chain, "chain").unwrap();
    std::fs::write(&key, "key").unwrap();
    let (chain, key) = (chain.to_str().unwrap(), key.to_str().unwrap());
    let more = ["--issuer-path", chain, "--issuer-key", key];
    let replies = vec![reply(200, &one_dps()), reply(200, &policy())];
    let ran = run(&words("renew-issuer", &more), replies).await.ok();
    assert_eq!(ran.lines()[1], format!("POST {POLICY}/renewIssuer?api-version=2026-11-01"));
    assert_eq!(ran.body(1), json!({"certificate": "chain", "privateKey": "key"}));
    let alone = super::parse(&words("renew-issuer", &["--issuer-path", chain]));
    assert!(alone.is_err(), "a CA without its key signs nothing");
}

#[tokio::test]
async fn a_12_a_policy_is_changed_revoked_and_deleted() {
    let replies = || vec![reply(200, &one_dps()), reply(200, &policy())];
    let ran = run(&words("update", &["--cvd", "1"]), replies()).await.ok();
    assert_eq!(ran.body(1), json!({"properties": {"validityDays": 1}}));
    assert_eq!(ran.header(1, "if-match"), Some("*"));
    let ran = run(&words("update", &[]), Vec::new()).await;
    assert_eq!(ran.failure().0, Kind::Usage);
    let ran = run(&words("revoke-issuer", &["--yes", "--etag", "e1"]), replies()).await.ok();
    assert_eq!(ran.lines()[1], format!("POST {POLICY}/revokeIssuer?api-version=2026-11-01"));
    assert_eq!(ran.header(1, "if-match"), Some("\"e1\""));
    let gone = vec![reply(200, &one_dps()), reply(204, &Value::Null)];
    let ran = run(&words("delete", &["-y"]), gone).await.ok();
    assert_eq!(ran.lines()[1], format!("DELETE {POLICY}?api-version=2026-11-01"));
}

#[tokio::test]
async fn a_12_policies_and_the_root_are_shown() {
    let list = ["iot", "dps", "credential", "policy", "list", "--dps-name", "dps1", "-o", "table"];
    let all = json!({"value": [policy()]});
    let ran = run(&list, vec![reply(200, &one_dps()), reply(200, &all)]).await.ok();
    assert!(ran.out.contains("CN=fleet issuing CA 1"), "{}", ran.out);
    assert!(ran.out.lines().next().unwrap().ends_with("  Last revoked"), "{}", ran.out);
    let mut one = policy();
    one["properties"]["issuer"]["certificate"] = "AAAA".into();
    one["properties"]["issuer"]["chain"] = "AAAA\nBBBB".into();
    let replies = || vec![reply(200, &one_dps()), reply(200, &one)];
    let ran = run(&words("show", &[]), replies()).await.ok();
    assert_eq!((ran.out.matches("AAAA").count(), ran.out.matches("BBBB").count()), (1, 1));
    let ran = run(&words("show", &["-o", "json"]), replies()).await.ok();
    assert_eq!(ran.out.matches("AAAA").count(), 2, "a program is told all");
    let root = json!({"name": "dps1", "properties": {"root": {"subject": "CN=root"}}});
    let show = ["iot", "dps", "credential", "show", "--dps-name", "dps1"];
    let ran = run(&show, vec![reply(200, &one_dps()), reply(200, &root)]).await.ok();
    assert_eq!(ran.lines()[1], "GET /muster/v1/dps/dps1/credential?api-version=2026-11-01");
    assert!(ran.out.contains("CN=root"));
}

#[tokio::test]
async fn a_12_an_enrollment_names_its_policy() {
    let words = [
        "iot",
        "dps",
        "enrollment",
        "create",
        "--login",
        "HostName=dps1.localhost;SharedAccessKeyName=o;SharedAccessKey=AAECAwQFBgcICQoLDA0ODw==",
        "--enrollment-id",
        "dev",
        "--at",
        "symmetrickey",
        "--credential-policy",
        "fleet",
    ];
    let ran = run(&words, vec![reply(200, &json!({}))]).await.ok();
    assert_eq!(ran.body(0)["credentialPolicyName"], "fleet");
}
