//! Bearer tokens of an issuer, and where a service may be called from.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use e2e::{
    Credential, HUB1, HubDevice, NodeClient, Provisioning, Sdk, Server, World, in_seconds, world,
};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

const ISSUER: &str = "https://id.plant.example";

/// An issuer whose keys lie in a file, as where there is no network to it.
struct Issuer {
    key: EcdsaKeyPair,
}

impl Issuer {
    /// A server that trusts it.
    fn trusted(world: &World) -> (Self, Server) {
        let own = Self { key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() };
        let (x, y) = own.key.public_key().as_ref()[1..].split_at(32);
        let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig",
                         "x": B64.encode(x), "y": B64.encode(y)});
        fs::write(world.dir().join("keys.json"), json!({"keys": [jwk]}).to_string()).unwrap();
        let file = world.dir().join("issuers.toml");
        fs::write(&file, Self::file()).unwrap();
        let config = format!("[access]\nissuers_file = \"{}\"\n", file.display());
        (own, Server::start_with(world, &config))
    }

    fn file() -> String {
        let role = |name: &str, role: &str| {
            format!(
                "[[issuers.roles]]\nclaim = \"roles\"\nvalues = [\"{name}\"]\nrole = \"{role}\"\n"
            )
        };
        format!(
            "[[issuers]]\nissuer = \"{ISSUER}\"\naudiences = [\"muster\"]\n\
             jwks_file = \"keys.json\"\n{}{}",
            role("Device Provisioning Service Data Reader", "reader"),
            role("Device Provisioning Service Data Contributor", "contributor"),
        )
    }

    fn token(&self, role: &str) -> String {
        let claims = json!({
            "iss": ISSUER, "aud": "muster", "sub": "ada", "exp": in_seconds(600),
            "roles": [format!("Device Provisioning Service Data {role}")],
        });
        self.signed(&json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}), &claims)
    }

    fn signed(&self, header: &Value, claims: &Value) -> String {
        let message =
            format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", B64.encode(signature))
    }
}

/// Runs a command with a token; what it wrote, and whether it was done.
fn muster_as(server: &Server, token: &str, words: &str) -> (bool, String) {
    let words: Vec<&str> = words.split(' ').collect();
    let ran = server.muster_command(&words).env("MUSTER_TOKEN", token).output().unwrap();
    let text = [ran.stdout, ran.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    println!("muster {}: {}\n{text}", words.join(" "), ran.status);
    (ran.status.success(), text)
}

#[test]
fn k_25_a_reader_and_a_contributor_call_by_their_tokens() {
    world(|world| {
        let (issuer, mut server) = Issuer::trusted(world);
        let (reader, contributor) = (issuer.token("Reader"), issuer.token("Contributor"));
        let create =
            "iot dps enrollment create --enrollment-id dev --attestation-type symmetricKey";
        let (done, text) = muster_as(&server, &reader, create);
        assert!(!done && text.contains("The token gives no role that may do this"), "{text}");
        assert!(muster_as(&server, &contributor, create).0);
        let (done, text) = muster_as(&server, &reader, "iot dps enrollment list");
        assert!(done && text.contains("\"dev\""), "{text}");
        let (done, text) = muster_as(&server, &contributor, "iot dps policy list");
        assert!(!done && text.contains("(403001)"), "{text}");

        // Unmodified clients, by a token credential.
        let mut node = NodeClient::provisioning_service_as(world, &server, &reader);
        let read = node.promise("getIndividualEnrollment", &[json!("dev")]);
        assert_eq!(read["attestation"], json!({"type": "symmetricKey"}));
        let shown = "getIndividualEnrollmentAttestationMechanism";
        let refused = node.try_promise(shown, &[json!("dev")]).unwrap_err();
        assert_eq!(refused["status_code"], 403, "{refused}");
        let mut node = NodeClient::registry_as(world, &server, HUB1, &contributor);
        node.promise("create", &[json!({"deviceId": "d1"})]);
        let mut node = NodeClient::registry_as(world, &server, HUB1, &reader);
        let read = node.promise("get", &[json!("d1")]);
        assert!(read["authentication"]["symmetricKey"]["primaryKey"].is_null(), "{read}");

        // What was refused after the token was believed is logged with its subject.
        let show = "iot dps enrollment show --enrollment-id none";
        assert!(!muster_as(&server, &reader, show).0);

        // K-28: who is no longer trusted is refused by the next call.
        let file = world.dir().join("issuers.toml");
        fs::write(&file, Issuer::file().replace("Data Reader", "Data Nobody")).unwrap();
        let (done, text) = muster_as(&server, &reader, "iot dps enrollment list");
        assert!(!done && text.contains("(403001)"), "{text}");
        fs::write(&file, "").unwrap();
        let (done, text) = muster_as(&server, &contributor, "iot dps enrollment list");
        assert!(!done && text.contains("its issuer is not trusted"), "{text}");
        assert!(server.muster("iot dps enrollment list").is_array(), "the key goes on working");
        assert!(server.stop().success());
        let log = fs::read_to_string(world.dir().join("server.log")).unwrap();
        assert!(log.contains("ada of https://id.plant.example"), "the log names the subject");
        assert!(!log.contains(&reader) && !log.contains(&contributor), "and no token");
    });
}

#[test]
fn k_21_k_22_k_23_bad_tokens_are_refused() {
    world(|world| {
        let (issuer, server) = Issuer::trusted(world);
        let header = json!({"alg": "ES256", "kid": "k1"});
        let good = json!({
            "iss": ISSUER, "aud": "muster", "sub": "ada", "exp": in_seconds(600),
            "roles": ["Device Provisioning Service Data Contributor"],
        });
        let with = |member: &str, value: Value| {
            let mut claims = good.clone();
            claims[member] = value;
            issuer.signed(&header, &claims)
        };
        let list = "iot dps enrollment list";
        assert!(muster_as(&server, &issuer.signed(&header, &good), list).0);
        let other = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let hmac = {
            let message = format!(
                "{}.{}",
                B64.encode(json!({"alg": "HS256", "kid": "k1"}).to_string()),
                B64.encode(good.to_string())
            );
            let public = fs::read(world.dir().join("keys.json")).unwrap();
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &public);
            format!("{message}.{}", B64.encode(aws_lc_rs::hmac::sign(&key, message.as_bytes())))
        };
        for (what, token) in [
            ("another audience", with("aud", json!("https://iothubs.azure.net"))),
            ("another issuer", with("iss", json!("https://id.other.example"))),
            ("expired", with("exp", json!(in_seconds(-61)))),
            ("not valid yet", with("nbf", json!(in_seconds(120)))),
            ("alg none", issuer.signed(&json!({"alg": "none"}), &good)),
            ("HS256 with the public key", hmac),
            ("unknown kid", issuer.signed(&json!({"alg": "ES256", "kid": "k2"}), &good)),
            ("wrong signature", Issuer { key: other }.signed(&header, &good)),
            ("too large", with("x", json!("x".repeat(8_000)))),
        ] {
            let (done, text) = muster_as(&server, &token, list);
            assert!(!done && text.contains("(401002)"), "{what}: {text}");
        }
    });
}

#[test]
fn s_75_a_rule_ends_a_live_session_and_tells_operators_why() {
    world(|world| {
        let server = Server::start(world);
        let entry = server.dps().put(
            "/enrollments/meter-1",
            &json!({"registrationId": "meter-1", "iotHubs": [HUB1], "allocationPolicy": "static",
                    "attestation": {"type": "symmetricKey", "symmetricKey": {}}}),
        );
        let keys = entry.expect(200)["attestation"]["symmetricKey"].clone();
        let credential = Credential::Key(keys["primaryKey"].as_str().unwrap());
        let provisioning = Provisioning::new(world, &server);
        let register = || provisioning.register(Sdk::PythonMqtt, "meter-1", credential);
        register().assert_assigned(HUB1, "meter-1");
        let start =
            || HubDevice::start(world, &server, Sdk::PythonMqtt, HUB1, "meter-1", credential);
        let mut device = start();
        device.ready();

        let add = "ip-filter-rule add --filter-name lan --action reject --ip-mask 127.0.0.0/8";
        server.muster(&format!("iot hub {add} --hub-name hub1 --target deviceApi"));
        device.assert_disconnected_within(Duration::from_secs(5));
        let refused = start();
        refused.refused();
        // Operators are not concerned by a rule about devices.
        server.hub("hub1").get("/devices/meter-1").expect(200);
        server.muster("iot hub ip-filter-rule remove --hub-name hub1 --filter-name lan");
        start().ready();

        server.muster(&format!("iot dps {add} --target deviceApi"));
        let outcome = register();
        assert_ne!(outcome.answer["outcome"], "assigned", "{outcome:?}");
        server.muster("iot dps ip-filter-rule remove --filter-name lan");
        register().assert_assigned(HUB1, "meter-1");

        // S-75: the API of operators says which rule it is; who would be shut out has to say so.
        let words: Vec<&str> = "iot dps".split(' ').chain(add.split(' ')).collect();
        let ran = server.muster_command(&words).output().unwrap();
        let told = String::from_utf8(ran.stderr).unwrap();
        assert!(!ran.status.success() && told.contains("give --yes"), "{told}");
        server.muster(&format!("iot dps {add} --yes"));
        let words = ["iot", "dps", "enrollment", "list"];
        let ran = server.muster_command(&words).output().unwrap();
        let told = String::from_utf8(ran.stderr).unwrap();
        let why = "The IP filter rule lan (Reject 127.0.0.0/8) refuses 127.0.0.1. (403100)";
        assert!(told.contains(why), "{told}");
        // The administration is reached from the server's own machine all the same.
        server.muster("iot dps ip-filter-rule remove --filter-name lan --yes");
        server.muster("iot dps enrollment list");
        server.muster("iot dps update --public-network-access Disabled");
        server.muster("iot dps enrollment list");
        assert_eq!(server.muster("iot dps show")["properties"]["publicNetworkAccess"], "Disabled");
    });
}
