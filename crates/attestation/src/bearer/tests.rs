//! Tokens good and bad, and the keys that they are judged by.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::json;

use super::*;

const NOW: i64 = 1_900_000_000;
const ISSUER: &str = "https://id.example/plant";

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(NOW)
}

fn p256() -> &'static EcdsaKeyPair {
    static KEY: std::sync::LazyLock<EcdsaKeyPair> = std::sync::LazyLock::new(|| {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
    });
    &KEY
}

fn rsa() -> &'static RsaKeyPair {
    static KEY: std::sync::LazyLock<RsaKeyPair> =
        std::sync::LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
    &KEY
}

fn ec_jwk(pair: &EcdsaKeyPair, kid: &str, curve: &str) -> Value {
    let point = pair.public_key().as_ref();
    let (x, y) = point[1..].split_at((point.len() - 1) / 2);
    json!({"kty": "EC", "crv": curve, "kid": kid, "x": B64.encode(x), "y": B64.encode(y)})
}

fn rsa_jwk(kid: &str) -> Value {
    let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>> {
        n: rsa().public_key().modulus().big_endian_without_leading_zero().to_vec(),
        e: rsa().public_key().exponent().big_endian_without_leading_zero().to_vec(),
    };
    // Some issuers write the sign's zero in front.
    json!({"kty": "RSA", "kid": kid, "use": "sig", "n": B64.encode([&[0], n.as_slice()].concat()),
           "e": B64.encode(e)})
}

fn keys(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

fn issuer() -> Issuer {
    let grant = |value: &str, role, scopes| Grant {
        claim: "roles".to_owned(),
        values: vec![value.to_owned()],
        role,
        scopes,
    };
    Issuer {
        issuer: ISSUER.to_owned(),
        audiences: vec!["muster".to_owned(), "https://iothubs.azure.net".to_owned()],
        clock_skew: Duration::from_secs(60),
        grants: vec![
            grant("Reader of all", Role::Reader, Vec::new()),
            grant("Writer at dps", Role::Contributor, vec![Scope::EveryDps]),
            grant("Writer at a", Role::Contributor, vec![Scope::Dps(name("one")), Scope::Admin]),
        ],
        keys: Arc::new(keys(&[ec_jwk(p256(), "k1", "P-256"), rsa_jwk("k2")])),
    }
}

fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

fn header() -> Value {
    json!({"alg": "ES256", "kid": "k1", "typ": "JWT"})
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "muster", "sub": "ada", "exp": NOW + 600, "nbf": NOW - 5,
           "roles": ["Reader of all"]})
}

/// The object with one member set; `null` takes it away.
fn with(mut object: Value, member: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    members.remove(member);
    if !value.is_null() {
        members.insert(member.to_owned(), value);
    }
    object
}

fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()))
}

fn signed(header: &Value, claims: &Value) -> String {
    let message = message(header, claims);
    let signature = p256().sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    format!("{message}.{}", B64.encode(signature))
}

fn judged(text: &str) -> Result<Bearer, Denied> {
    authorize(&[issuer()], text, Service::Admin, Access::Read, now())
}

#[test]
fn k_20_a_token_of_a_trusted_issuer_names_its_subject_and_role() {
    let found = judged(&signed(&header(), &claims())).unwrap();
    assert_eq!(found.name, "ada of https://id.example/plant");
    assert_eq!(found.role, Role::Reader);
    for (header, claims) in [
        (with(header(), "typ", Value::Null), with(claims(), "nbf", Value::Null)),
        (with(header(), "typ", json!("at+jwt")), with(claims(), "aud", json!(["x", "muster"]))),
        (header(), with(claims(), "exp", json!(1_900_000_600.75))),
        (with(header(), "jwk", json!({"kty": "oct"})), claims()),
    ] {
        assert!(judged(&signed(&header, &claims)).is_ok(), "{header} {claims}");
    }
}

#[test]
fn k_20_each_algorithm_that_is_believed_verifies() {
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let mut issuer = issuer();
    issuer.keys = Arc::new(keys(&[
        ec_jwk(p256(), "k1", "P-256"),
        rsa_jwk("k2"),
        ec_jwk(&p384, "k3", "P-384"),
    ]));
    for (algorithm, kid) in [("RS256", "k2"), ("PS256", "k2"), ("ES384", "k3"), ("ES256", "k1")] {
        let message = message(&json!({"alg": algorithm, "kid": kid}), &claims());
        let random = SystemRandom::new();
        let signature = match algorithm {
            "RS256" | "PS256" => {
                let mut signature = vec![0; rsa().public_modulus_len()];
                let padding: &dyn aws_lc_rs::signature::RsaEncoding =
                    if algorithm == "RS256" { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
                rsa().sign(padding, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
            "ES384" => p384.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            _ => p256().sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
        };
        let judge = |signature: &[u8]| {
            let text = format!("{message}.{}", B64.encode(signature));
            let judged = authorize(
                std::slice::from_ref(&issuer),
                &text,
                Service::Admin,
                Access::Read,
                now(),
            );
            judged.map(|bearer| bearer.role)
        };
        assert_eq!(judge(&signature), Ok(Role::Reader), "{algorithm}");
        let mut flipped = signature.clone();
        flipped[40] ^= 1;
        assert_eq!(judge(&flipped), Err(Denied::Signature), "{algorithm}");
        assert_eq!(judge(&signature[1..]), Err(Denied::Signature), "{algorithm}");
        assert_eq!(judge(&[]), Err(Denied::Signature), "{algorithm}");
    }
}

#[test]
fn k_21_tokens_by_no_algorithm_or_by_a_secret_are_refused() {
    let unsigned = format!("{}.", message(&json!({"alg": "none"}), &claims()));
    assert_eq!(judged(&unsigned), Err(Denied::Algorithm));
    for algorithm in ["none", "None", "HS256", "HS512", "RS1", "EdDSA", "es256", "RS512", ""] {
        let header = with(header(), "alg", json!(algorithm));
        assert_eq!(judged(&signed(&header, &claims())), Err(Denied::Algorithm), "{algorithm}");
    }
    // The public key as the secret of an HMAC.
    let message = message(&json!({"alg": "HS256", "kid": "k2"}), &claims());
    let secret = rsa_jwk("k2").to_string();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let mac = aws_lc_rs::hmac::sign(&key, message.as_bytes());
    let forged = format!("{message}.{}", B64.encode(mac));
    assert_eq!(judged(&forged), Err(Denied::Algorithm));
    // An algorithm that the key of this id is not for.
    let header = json!({"alg": "ES256", "kid": "k2"});
    let unknown = Denied::UnknownKey { issuer: ISSUER.to_owned() };
    assert_eq!(judged(&signed(&header, &claims())), Err(unknown));
}

#[test]
fn k_22_a_token_for_others_or_of_others_is_refused() {
    let check = |member: &str, value: Value, denied: &Denied| {
        let text = signed(&header(), &with(claims(), member, value.clone()));
        assert_eq!(judged(&text).as_ref(), Err(denied), "{member} {value}");
    };
    for audience in
        [json!("other"), json!(["x"]), json!("muster "), json!([]), Value::Null, json!(1)]
    {
        check("aud", audience, &Denied::Audience);
    }
    for issuer in [json!("https://id.example/plant/"), json!("HTTPS://ID.EXAMPLE/PLANT")] {
        check("iss", issuer, &Denied::UnknownIssuer);
    }
    check("iss", Value::Null, &Denied::Malformed);
    for subject in [Value::Null, json!(""), json!(7), json!("a\nb"), json!("a".repeat(256))] {
        check("sub", subject, &Denied::Subject);
    }
    check("roles", json!(["Writer"]), &Denied::Right);
    check("roles", Value::Null, &Denied::Right);
}

#[test]
fn k_23_a_token_counts_between_its_dates_with_a_grace() {
    let at = |exp: Value, nbf: Value| {
        judged(&signed(&header(), &with(with(claims(), "exp", exp), "nbf", nbf))).map(drop)
    };
    assert_eq!(at(json!(NOW - 59), json!(NOW + 60)), Ok(()));
    assert_eq!(at(json!(NOW - 60), json!(NOW)), Err(Denied::Expired));
    assert_eq!(at(json!(NOW + 60), json!(NOW + 61)), Err(Denied::NotYetValid));
    for none in [Value::Null, json!("2030"), json!(-1), json!(-1e300)] {
        assert_eq!(at(none, json!(NOW)), Err(Denied::Expired));
    }
    assert_eq!(at(json!(1e300), json!(NOW)), Ok(()));
    assert_eq!(at(json!(i64::MAX), json!(NOW)), Ok(()));
    assert_eq!(at(json!(NOW + 60), json!("now")), Err(Denied::NotYetValid));
}

#[test]
fn k_24_keys_are_found_by_their_id_and_one_alone_without() {
    let unknown = Err(Denied::UnknownKey { issuer: ISSUER.to_owned() });
    let header = |kid: Value| with(header(), "kid", kid);
    assert_eq!(judged(&signed(&header(json!("k9")), &claims())), unknown);
    assert!(judged(&signed(&header(Value::Null), &claims())).is_ok(), "one P-256 key alone");
    let mut several = issuer();
    let other = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (first, second) = (ec_jwk(&other, "k3", "P-256"), ec_jwk(p256(), "k1", "P-256"));
    several.keys = Arc::new(keys(&[first, second]));
    let judge = |kid| {
        let text = signed(&header(kid), &claims());
        authorize(std::slice::from_ref(&several), &text, Service::Admin, Access::Read, now())
    };
    assert_eq!(judge(Value::Null), unknown);
    assert!(judge(json!("k1")).is_ok());
    assert_eq!(judge(json!("k3")), Err(Denied::Signature), "another key's signature");
    several.keys = Arc::default();
    let text = signed(&header(json!("k1")), &claims());
    assert_eq!(authorize(&[several], &text, Service::Admin, Access::Read, now()), unknown);
}

#[test]
fn k_25_a_role_holds_where_it_is_given() {
    let (a, b) = (name("one"), name("two"));
    let judge = |roles: &[&str], service, needed| {
        let text = signed(&header(), &with(claims(), "roles", json!(roles)));
        authorize(&[issuer()], &text, service, needed, now()).map(|bearer| bearer.role)
    };
    let no = Err(Denied::Right);
    for service in [Service::Dps(&a), Service::Hub(&a), Service::Admin] {
        assert_eq!(judge(&["Reader of all"], service, Access::Read), Ok(Role::Reader));
        assert_eq!(judge(&["Reader of all"], service, Access::Write), no);
        let all = ["Reader of all", "Writer at dps", "Writer at a"];
        assert_eq!(judge(&all, service, Access::Own), no);
    }
    let writer = Ok(Role::Contributor);
    assert_eq!(judge(&["Writer at dps"], Service::Dps(&b), Access::Write), writer);
    assert_eq!(judge(&["Writer at dps"], Service::Hub(&b), Access::Read), no);
    assert_eq!(judge(&["Writer at dps"], Service::Admin, Access::Read), no);
    assert_eq!(judge(&["Writer at a"], Service::Dps(&a), Access::Write), writer);
    assert_eq!(judge(&["Writer at a"], Service::Admin, Access::Write), writer);
    assert_eq!(judge(&["Writer at a"], Service::Dps(&b), Access::Read), no);
    assert_eq!(judge(&["Writer at a"], Service::Hub(&a), Access::Read), no);
}

#[test]
fn k_25_roles_are_found_in_texts_lists_and_scopes() {
    let claims = json!({
        "roles": ["a", "b c", 7], "role": "b c", "scp": "x y.z", "flag": true,
        "realm_access": {"roles": ["deep"]},
    });
    let is_for = |claim: &str, value: &str| {
        let grant = Grant {
            claim: claim.to_owned(),
            values: vec!["never".to_owned(), value.to_owned()],
            role: Role::Reader,
            scopes: Vec::new(),
        };
        grant.is_for(&claims)
    };
    for (claim, value) in [
        ("roles", "b c"),
        ("role", "b c"),
        ("scp", "y.z"),
        ("/realm_access/roles", "deep"),
        ("/roles", "a"),
    ] {
        assert!(is_for(claim, value), "{claim} {value}");
    }
    for (claim, value) in [
        ("roles", "b"),
        ("role", "b"),
        ("scp", "y"),
        ("scp", "x y.z"),
        ("flag", "true"),
        ("roles", "7"),
        ("realm_access", "deep"),
        ("none", ""),
    ] {
        assert!(!is_for(claim, value), "{claim} {value}");
    }
}

#[test]
fn k_26_what_is_no_token_is_refused_before_anything_is_believed() {
    let good = signed(&header(), &claims());
    for end in 0..good.len() {
        assert!(judged(&good[..end]).is_err(), "{end}");
    }
    let swapped = with(claims(), "sub", json!("eve"));
    let signature = good.rsplit_once('.').unwrap().1;
    let forged = format!("{}.{signature}", message(&header(), &swapped));
    assert_eq!(judged(&forged), Err(Denied::Signature));
    assert_eq!(judged(&format!("{good}=")), Err(Denied::Malformed), "padding");
    assert_eq!(judged(&format!("{good}.x")), Err(Denied::Malformed), "four parts");
    assert_eq!(judged(&"a".repeat(8193)), Err(Denied::TooLong));
    let long = with(claims(), "x", json!("a".repeat(8192)));
    assert_eq!(judged(&signed(&header(), &long)), Err(Denied::TooLong));
    let critical = with(header(), "crit", json!(["b64"]));
    assert_eq!(judged(&signed(&critical, &claims())), Err(Denied::Malformed));
    let logout = with(header(), "typ", json!("logout+jwt"));
    assert_eq!(judged(&signed(&logout, &claims())), Err(Denied::Malformed));
    let twice = B64.encode(r#"{"alg":"ES256","kid":"k1","alg":"none"}"#);
    let rest = good.split_once('.').unwrap().1;
    assert_eq!(judged(&format!("{twice}.{rest}")), Err(Denied::Malformed));
    assert_eq!(judged(&signed(&header(), &json!([1]))), Err(Denied::Malformed));
}

#[test]
fn k_27_a_set_of_keys_is_read_strictly_and_what_is_for_others_left_out() {
    let (ec, rsa) = (ec_jwk(p256(), "k1", "P-256"), rsa_jwk("k2"));
    let others = [
        with(ec.clone(), "use", json!("enc")),
        with(ec.clone(), "key_ops", json!(["sign"])),
        with(ec.clone(), "alg", json!("ECDH-ES")),
        with(ec.clone(), "crv", json!("P-521")),
        with(ec.clone(), "x", json!("AA")),
        with(rsa.clone(), "n", json!(B64.encode([1_u8; 128]))),
        with(rsa, "e", Value::Null),
        json!({"kty": "oct", "k": "AAAA"}),
    ];
    let parse = |keys: &[Value]| KeySet::parse(json!({"keys": keys}).to_string().as_bytes());
    assert_eq!(parse(&others), Err(KeySetError::Nothing));
    let published = |text: &[u8]| KeySet::published(text).map(|keys| keys.is_empty());
    assert_eq!(published(json!({"keys": others}).to_string().as_bytes()), Ok(true));
    assert_eq!(published(br#"{"keys": []}"#), Ok(true));
    assert!(matches!(published(b"{}"), Err(KeySetError::Malformed(_))));
    let mut all = others.to_vec();
    all.push(ec.clone());
    assert_eq!(parse(&all), parse(std::slice::from_ref(&ec)));
    assert_eq!(parse(&[with(ec.clone(), "d", json!("AA"))]), Err(KeySetError::Private));
    assert_eq!(parse(&vec![ec; 65]), Err(KeySetError::TooMany));
    assert!(matches!(KeySet::parse(b"{}"), Err(KeySetError::Malformed(_))));
    assert_eq!(KeySet::parse(&vec![b' '; 256 * 1024 + 1]), Err(KeySetError::TooLong));
}
