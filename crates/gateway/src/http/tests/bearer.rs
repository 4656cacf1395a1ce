//! Bearer tokens at the APIs of operators.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use attestation::bearer::{Grant, Issuer, KeySet, Role};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::{Value, json};
use store::memory::Memory;
use store::suite::fixtures;
use store::{Commit, Store, Write};

use crate::issuers::Issuers;
use crate::tests::World;
use crate::tests::operator::{Answer, DPS, HUB};

const ADMIN: &str = "muster.localhost";
const ISSUER: &str = "https://id.example";

/// An issuer whose keys and grants a test can change.
struct Fake {
    trusted: Mutex<Arc<Vec<Issuer>>>,
    unknown: Mutex<Vec<String>>,
}

impl Issuers for Fake {
    fn trusted(&self) -> Arc<Vec<Issuer>> {
        self.trusted.lock().unwrap().clone()
    }

    fn unknown_key(&self, issuer: &str) {
        self.unknown.lock().unwrap().push(issuer.to_owned());
    }
}

struct Signer {
    world: World,
    fake: Arc<Fake>,
    key: EcdsaKeyPair,
}

fn issuer(key: &EcdsaKeyPair) -> Issuer {
    let (x, y) = key.public_key().as_ref()[1..].split_at(32);
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "k1", "x": B64.encode(x),
                     "y": B64.encode(y)});
    let grant = |value: &str, role| Grant {
        claim: "roles".to_owned(),
        values: vec![value.to_owned()],
        role,
        scopes: Vec::new(),
    };
    Issuer {
        issuer: ISSUER.to_owned(),
        audiences: vec!["muster".to_owned()],
        clock_skew: Duration::from_secs(60),
        grants: vec![grant("reader", Role::Reader), grant("contributor", Role::Contributor)],
        keys: Arc::new(KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap()),
    }
}

impl Signer {
    async fn new() -> Self {
        Self::over(World::new().await)
    }

    fn over(mut world: World) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let trusted = Mutex::new(Arc::new(vec![issuer(&key)]));
        let fake = Arc::new(Fake { trusted, unknown: Mutex::default() });
        Arc::get_mut(&mut world.gateway).unwrap().issuers = fake.clone();
        Self { world, fake, key }
    }

    fn token(&self, role: &str) -> String {
        self.token_with(&json!({"alg": "ES256", "kid": "k1"}), role)
    }

    fn token_with(&self, header: &Value, role: &str) -> String {
        let expires = self.world.gateway.service.now().unix_seconds() + 600;
        let claims = json!({"iss": ISSUER, "aud": "muster", "sub": "ada", "exp": expires,
                            "roles": [role]});
        let message =
            format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("Bearer {message}.{}", B64.encode(signature))
    }

    async fn ask(&self, host: &str, request: &str, token: &str, body: &str) -> Answer {
        self.world.ask(host, request, &[("Authorization", token)], body).await
    }
}

const ENTRY: &str = r#"{"registrationId": "dev", "attestation": {"type": "symmetricKey"}}"#;

#[tokio::test]
async fn k_25_a_reader_reads_and_a_contributor_writes_at_every_api() {
    let signer = Signer::new().await;
    signer.world.enroll("dev").await;
    let query = r#"{"query": "SELECT * FROM enrollments"}"#;
    let query_devices = r#"{"query": "SELECT * FROM devices"}"#;
    // What a reader may, what a contributor may, and what neither may.
    let (read, write, own) = ((true, true), (false, true), (false, false));
    for (host, request, body, (reader, contributor)) in [
        (DPS, "GET /enrollments/dev", "", read),
        (DPS, "POST /enrollments/query", query, read),
        (DPS, "GET /enrollmentGroups/x", "", read),
        (DPS, "GET /registrations/x", "", read),
        (DPS, "POST /registrations/x/query", "", read),
        (DPS, "POST /enrollments/dev/attestationmechanism", "", write),
        (DPS, "PUT /enrollments/new", &ENTRY.replace("dev", "new"), write),
        (DPS, "POST /enrollments", "{}", write),
        (DPS, "DELETE /registrations/x", "", write),
        (DPS, "POST /muster/v1/enrollments/load", "", write),
        (HUB, "GET /devices", "", read),
        (HUB, "GET /devices/x", "", read),
        (HUB, "GET /twins/x", "", read),
        (HUB, "GET /statistics/devices", "", read),
        (HUB, "GET /statistics/service", "", read),
        (HUB, "POST /devices/query", query_devices, read),
        (HUB, "PUT /devices/x", r#"{"deviceId": "x"}"#, write),
        (HUB, "PATCH /twins/x", "{}", write),
        (HUB, "PUT /twins/x", "{}", write),
        (HUB, "POST /devices", "[]", write),
        (HUB, "DELETE /devices/x", "", write),
        (ADMIN, "GET /muster/v1/dps", "", read),
        (ADMIN, "GET /muster/v1/dps/dps", "", read),
        (ADMIN, "GET /muster/v1/dps/dps/linked-hubs", "", read),
        (ADMIN, "GET /muster/v1/dps/dps/certificates", "", read),
        (ADMIN, "GET /muster/v1/hubs/hub1", "", read),
        (ADMIN, "GET /muster/v1/explanations/x", "", read),
        (ADMIN, "PUT /muster/v1/dps/dps", "", write),
        (ADMIN, "PUT /muster/v1/hubs/hub9", "", write),
        (ADMIN, "DELETE /muster/v1/hubs/hub9", "", write),
        (ADMIN, "POST /muster/v1/dps/dps/certificates/x/generateVerificationCode", "", write),
        (ADMIN, "POST /muster/v1/dps/dps/listkeys", "", own),
        (ADMIN, "GET /muster/v1/dps/dps/listkeys", "", own),
        (ADMIN, "GET /muster/v1/hubs/hub1/listkeys", "", own),
        (ADMIN, "GET /muster/v1/hubs/hub1/policies/iothubowner", "", own),
        (ADMIN, "PUT /muster/v1/dps/dps/policies/mine", "{}", own),
        (ADMIN, "DELETE /muster/v1/dps/dps/policies/provisioningserviceowner", "", own),
        (ADMIN, "POST /muster/v1/hubs/hub1/policies/iothubowner/renew", "{}", own),
    ] {
        for (role, may) in [("reader", reader), ("contributor", contributor), ("none", false)] {
            let answer = signer.ask(host, request, &signer.token(role), body).await;
            assert_ne!(answer.status, 401, "{request} by {role}: {}", answer.body);
            assert_eq!(answer.status != 403, may, "{request} by {role}: {}", answer.body);
            if !may {
                let told = answer.header("www-authenticate").unwrap();
                assert!(told.starts_with("Bearer error=\"insufficient_scope\""), "{told}");
            }
        }
    }
}

#[tokio::test]
async fn k_25_a_reader_sees_a_device_without_its_keys() {
    let signer = Signer::new().await;
    signer.ask(HUB, "PUT /devices/x", &signer.token("contributor"), r#"{"deviceId": "x"}"#).await;
    let keys = |answer: &Value| answer["authentication"]["symmetricKey"].clone();
    let none = json!({"primaryKey": null, "secondaryKey": null});
    let read = signer.ask(HUB, "GET /devices/x", &signer.token("reader"), "").await.expect(200);
    assert_eq!(keys(&read), none);
    let list = signer.ask(HUB, "GET /devices", &signer.token("reader"), "").await.expect(200);
    assert_eq!(keys(&list[0]), none);
    let read = signer.ask(HUB, "GET /devices/x", &signer.token("contributor"), "").await;
    assert!(keys(&read.expect(200))["primaryKey"].is_string());
}

#[tokio::test]
async fn k_25_a_reader_sees_no_query_of_a_webhook() {
    let signer = Signer::new().await;
    let entry = |member: &str| {
        json!({member: "dev", "attestation": {"type": "symmetricKey"},
            "allocationPolicy": "custom", "customAllocationDefinition": {
                "webhookUrl": "https://a.test/choose?code=KEY", "apiVersion": "2021-10-01"}})
    };
    for (kind, id) in [("enrollments", "registrationId"), ("enrollmentGroups", "enrollmentGroupId")]
    {
        let put = format!("PUT /{kind}/dev");
        signer.world.operate(DPS, &put, &[], &entry(id).to_string()).await.expect(200);
        let (get, query) = (format!("GET /{kind}/dev"), format!("POST /{kind}/query"));
        let is = |like: &str| {
            let text = "SELECT * FROM {} WHERE customAllocationDefinition.webhookUrl = '{}'";
            json!({"query": text.replacen("{}", kind, 1).replacen("{}", like, 1)}).to_string()
        };
        let (whole, masked) = ("https://a.test/choose?code=KEY", "https://a.test/choose?****");
        for (role, shown, not) in [("reader", masked, whole), ("contributor", whole, masked)] {
            let told = signer.ask(DPS, &get, &signer.token(role), "").await.expect(200);
            assert_eq!(told["customAllocationDefinition"]["webhookUrl"], shown, "{role}");
            let all = signer.ask(DPS, &query, &signer.token(role), "").await.expect(200);
            assert_eq!(all[0]["customAllocationDefinition"]["webhookUrl"], shown, "{role}");
            // Nor is it found by guessing.
            for (like, rows) in [(shown, 1), (not, 0)] {
                let found = signer.ask(DPS, &query, &signer.token(role), &is(like)).await;
                assert_eq!(found.expect(200).as_array().unwrap().len(), rows, "{role} {like}");
            }
        }
    }
}

#[tokio::test]
async fn k_20_a_token_that_is_not_believed_is_401_with_a_challenge() {
    let signer = Signer::new().await;
    let good = signer.token("reader");
    for (token, challenge) in [
        (signer.token_with(&json!({"alg": "none"}), "reader"), "invalid_token"),
        (format!("{good}A"), "invalid_token"),
        ("Bearer x".to_owned(), "invalid_token"),
        (format!("Bearer {}", "a".repeat(9000)), "invalid_token"),
        ("Bearer".to_owned(), "Bearer"),
        ("Basic YTpi".to_owned(), "Bearer"),
        (String::new(), "Bearer"),
    ] {
        for (host, path) in [(DPS, "/enrollments/x"), (HUB, "/devices"), (ADMIN, "/muster/v1/dps")]
        {
            let answer = signer.ask(host, &format!("GET {path}"), &token, "").await;
            let told = answer.header("www-authenticate").unwrap_or_default().to_owned();
            assert!(told.contains(challenge), "{host} {told}");
            answer.expect(401);
        }
    }
    let lower = good.replace("Bearer", "bearer");
    signer.ask(HUB, "GET /devices", &lower, "").await.expect(200);
    // A device has no bearer token.
    let send = "POST /devices/x/messages/events";
    let sent = signer.ask(HUB, send, &signer.token("contributor"), "{}").await;
    assert_eq!(sent.header("www-authenticate"), None);
    sent.expect(401);
}

#[tokio::test]
async fn k_28_who_is_no_longer_trusted_is_refused_by_the_next_call() {
    let signer = Signer::new().await;
    let (token, get) = (signer.token("reader"), "GET /enrollments/x");
    signer.ask(DPS, get, &token, "").await.expect(404);
    let mut less = issuer(&signer.key);
    less.grants.clear();
    *signer.fake.trusted.lock().unwrap() = Arc::new(vec![less]);
    signer.ask(DPS, get, &token, "").await.expect(403);
    *signer.fake.trusted.lock().unwrap() = Arc::default();
    let refused = signer.ask(DPS, get, &token, "").await;
    assert_eq!(refused.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    refused.expect(401);
    let nobody = signer.ask(DPS, get, "", "").await;
    assert_eq!(nobody.header("www-authenticate"), None, "there is no issuer to go to");
}

#[tokio::test]
async fn k_24_an_unknown_key_is_told_to_who_can_fetch_it() {
    let signer = Signer::new().await;
    let unknown = signer.token_with(&json!({"alg": "ES256", "kid": "k2"}), "reader");
    signer.ask(DPS, "GET /enrollments/x", &unknown, "").await.expect(401);
    assert_eq!(*signer.fake.unknown.lock().unwrap(), [ISSUER]);
}

#[tokio::test]
async fn k_20_the_audit_trail_names_the_bearer() {
    let store = Arc::new(Memory::new());
    let writes = vec![Write::Dps(Box::new(fixtures::dps("dps")))];
    store.commit(Commit { writes, ..Commit::default() }).await.unwrap();
    let signer = Signer::over(World::over(store.clone()).await);
    let body = ENTRY.replace("dev", "new");
    signer.ask(DPS, "PUT /enrollments/new", &signer.token("contributor"), &body).await.expect(200);
    let lines = store.audit_lines();
    assert_eq!(lines.last().unwrap().actor, "ada of https://id.example");
}

#[tokio::test]
async fn an_exception_that_is_not_there_is_not_called_an_enrollment() {
    let signer = Signer::new().await;
    signer.world.enroll("dev").await;
    let request = "DELETE /muster/v1/dps/dps/expiry-exceptions/enrollments/dev";
    let answer = signer.ask(ADMIN, request, &signer.token("contributor"), "").await.expect(404);
    assert_eq!(answer["message"], "Expiry exception not found.");
}
