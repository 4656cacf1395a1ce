use super::*;

/// 2030-01-01, the expiry of the vectors.
const EXPIRES: i64 = 1_893_456_000;

fn counting() -> SymmetricKey {
    SymmetricKey::from_bytes((0..32).collect()).unwrap()
}

/// A token with this raw `sr`, signed as an SDK would.
fn token_for(raw_resource: &str) -> SasToken {
    let sig = STANDARD.encode(counting().sign(format!("{raw_resource}\n{EXPIRES}").as_bytes()));
    SasToken::parse(&format!("SharedAccessSignature sr={raw_resource}&sig={sig}&se={EXPIRES}"))
        .unwrap()
}

/// Vectors: `dps-device-api` §11.2, with each SDK's spelling of `sr`, order and `skn` (§3.3).
#[test]
fn every_sdks_token_verifies() {
    let c = "sMjkmt46sAJKZoTNKVKaMQsALPGg0F0AqSk8U8YooQ4=";
    let python = "TfXbLYBe1y/4/q3oV1MBE/oZv00vN3Kq+Lz23evk0Z8=";
    let java = "q9XPzfATGz2la9mUCLo757j3w1HwN9o9byqhe0OcvoU=";
    let iis = "Lopb82an+UVWrgMgko6yqfeV8+Pvq5QiV5KTWNc3oIY=";
    let cases = [
        (
            "C",
            "0ne00000001%2fregistrations%2fDev-1",
            c,
            "sr={sr}&sig={sig}&se={se}&skn=registration",
        ),
        (
            "C#",
            "0ne00000001%2Fregistrations%2FDev-1",
            python,
            "sr={sr}&sig={sig}&se={se}&skn=registration",
        ),
        ("Python", "0ne00000001%2Fregistrations%2FDev-1", python, "sr={sr}&sig={sig}&se={se}"),
        ("Java", "0ne00000001/registrations/Dev-1", java, "sr={sr}&sig={sig}&se={se}&skn="),
        (
            "Node",
            "0ne00000001/registrations/Dev-1",
            java,
            "sr={sr}&sig={sig}&skn=registration&se={se}",
        ),
        (
            "IIS",
            "0ne00000001%2Fregistrations%2Fdev-1",
            iis,
            "sr={sr}&sig={sig}&se={se}&skn=registration",
        ),
        ("any order", "0ne00000001/registrations/Dev-1", java, "skn=x&se={se}&sig={sig}&sr={sr}"),
    ];
    for (who, sr, sig, order) in cases {
        for sig in [sig.to_owned(), escape::encode(sig)] {
            let fields = order
                .replace("{sr}", sr)
                .replace("{sig}", &sig)
                .replace("{se}", &EXPIRES.to_string());
            let token = SasToken::parse(&format!("SharedAccessSignature {fields}")).unwrap();
            assert!(token.is_signed_by(&counting()), "{who}: {fields}");
            assert!(!token.is_signed_by(&counting().derive("other")), "{who}");
            assert!(token.is_for("0ne00000001/registrations/Dev-1"), "{who}");
            assert!(token.is_for("0NE00000001/registrations/dev-1"), "{who}");
            assert!(!token.is_for("0ne00000001/registrations/dev-11"), "{who}");
            assert!(!token.is_for("0ne00000001/registrations/dev-"), "{who}");
            assert_eq!(token.raw_resource(), sr);
            let named = ["skn=registration", "skn=x"].iter().any(|skn| fields.contains(skn));
            assert_eq!(token.key_name().is_some(), named, "{who}");
            assert_eq!(token.expires(), Timestamp::from_unix_seconds(EXPIRES));
        }
    }
}

#[test]
fn created_tokens_are_those_of_the_vectors() {
    let expires = Timestamp::from_unix_seconds(EXPIRES);
    let resource = "0ne00000001/registrations/Dev-1";
    assert_eq!(
        create(resource, &counting(), expires, None),
        "SharedAccessSignature sr=0ne00000001%2Fregistrations%2FDev-1\
         &sig=TfXbLYBe1y%2F4%2Fq3oV1MBE%2FoZv00vN3Kq%2BLz23evk0Z8%3D&se=1893456000"
    );
    let named = SasToken::parse(&create(resource, &counting(), expires, Some("a b"))).unwrap();
    assert!(named.is_signed_by(&counting()));
    assert_eq!(named.key_name(), Some("a b"));
    assert_eq!(named.resource(), resource);
}

#[test]
fn a_signature_covers_resource_and_expiry_but_not_the_key_name() {
    let text = create("h/devices/d", &counting(), Timestamp::from_unix_seconds(EXPIRES), Some("p"));
    let signed = |text: &str| SasToken::parse(text).unwrap().is_signed_by(&counting());
    assert!(signed(&text));
    assert!(!signed(&text.replace("se=1893456000", "se=1893456001")));
    assert!(!signed(&text.replace("se=1893456000", "se=01893456000")));
    assert!(!signed(&text.replace("%2Fd&", "%2Fe&")));
    assert!(signed(&text.replace("skn=p", "skn=q")));
}

#[test]
fn k_02_a_prefix_is_compared_by_segment() {
    let covered = |sr: &str, asked: &str| token_for(sr).covers(asked);
    for (sr, asked) in [
        ("h.example/a/b", "h.example/a/b"),
        ("h.example/a/b", "h.example/a/b/c"),
        ("h.example%2Fa%2fb", "h.example/a/b/c/d"),
        ("h.example", "h.example/a"),
        ("h.example", "h.example"),
        ("h.example/", "h.example/a"),
        ("h.example/a/", "h.example/a"),
    ] {
        assert!(covered(sr, asked), "{sr} should cover {asked}");
    }
    for (sr, asked) in [
        ("h.example/a/b", "h.example/a/bc"),
        ("h.example/a/b", "h.example/a"),
        ("h.example/a/b", "h.example"),
        ("h.example/a/b", "h.example/a/B"),
        ("h.example/a/b", "h.example/b/a/b"),
        ("h.example/a//", "h.example/a"),
        ("h.exampl", "h.example"),
        ("h.example", "h.example.evil"),
        ("example", "h.example"),
        ("/", "h.example/a"),
        ("/a", "h.example/a"),
        (":443", "h.example"),
        ("https://", "h.example"),
        ("/a", "/a/b"),
        ("h.example/devices/dev", "h.example/devices/dev1"),
        ("h.example/devices/dev%252F", "h.example/devices/dev/x"),
    ] {
        assert!(!covered(sr, asked), "{sr} should not cover {asked}");
    }
}

#[test]
fn k_03_the_raw_text_is_what_is_signed() {
    let lower = token_for("h%2fdevices%2fd");
    let upper = token_for("h%2Fdevices%2Fd");
    assert!(lower.is_signed_by(&counting()) && upper.is_signed_by(&counting()));
    assert_eq!(lower.resource(), upper.resource());
    let sig = escape::encode(&STANDARD.encode(lower.signature));
    let swapped = format!("SharedAccessSignature sr=h%2Fdevices%2Fd&sig={sig}&se={EXPIRES}");
    assert!(!SasToken::parse(&swapped).unwrap().is_signed_by(&counting()));
}

#[test]
fn k_04_hosts_compare_without_case_and_other_hosts_are_refused() {
    let token = token_for("DPS.LocalHost");
    assert!(token.covers("dps.localhost/enrollments/a"));
    assert!(!token.covers("dps2.localhost/enrollments/a"));
    assert!(!token.covers("localhost/enrollments/a"));
}

#[test]
fn k_14_a_port_and_a_scheme_do_not_matter() {
    for sr in [
        "localhost%3A8443",
        "LOCALHOST:8443",
        "localhost",
        "https%3A%2F%2Flocalhost%3A8443",
        "amqps://localhost",
    ] {
        assert!(token_for(sr).covers("localhost/enrollments"), "{sr}");
        assert!(token_for(sr).covers("https://localhost:443/enrollments"), "{sr}");
    }
    assert!(!token_for("localhost:x").covers("localhost"));
    assert!(!token_for("a/b://localhost").covers("localhost"));
}

#[test]
fn k_05_expiry_has_five_minutes_of_grace() {
    let token = token_for("h");
    let at = |seconds| Timestamp::from_unix_seconds(EXPIRES + seconds);
    assert!(!token.is_expired(at(-1)));
    assert!(!token.is_expired(at(300)));
    assert!(token.is_expired(at(301)));
}

#[test]
fn a_huge_expiry_is_clamped() {
    let parse = |se: &str| SasToken::parse(&fields("h", &sig(), se)).map(|t| t.expires());
    let last = Timestamp::from_unix_seconds(i64::MAX);
    for huge in ["253402300800", "9223372036854775807", "9223372036854775808", &"9".repeat(3000)] {
        assert_eq!(parse(huge), Ok(last), "{huge}");
    }
    assert_eq!(parse("0"), Ok(Timestamp::from_unix_seconds(0)));
    for bad in ["-1", "+1", "1.0", "0x10", "1e9", " 1", "1 1", "%31", "１"] {
        assert_eq!(parse(bad), Err(SasError::Malformed(SasField::Expiry)), "{bad}");
    }
}

fn sig() -> String {
    STANDARD.encode([7; 32])
}

fn fields(sr: &str, sig: &str, se: &str) -> String {
    format!("SharedAccessSignature sr={sr}&sig={sig}&se={se}")
}

#[test]
fn malformed_tokens_name_what_is_wrong() {
    use SasError::*;
    use SasField::*;
    let sig = sig();
    let cases: Vec<(String, SasError)> = vec![
        (String::new(), Scheme),
        ("SharedAccessSignature".into(), Scheme),
        (format!("Bearer sr=h&sig={sig}&se=1"), Scheme),
        (format!("sr=h&sig={sig}&se=1"), Scheme),
        ("SharedAccessSignature sr".into(), Field),
        (format!("{}&", fields("h", &sig, "1")), Field),
        (format!("SharedAccessSignature sig={sig}&se=1"), Missing(Resource)),
        (fields("", &sig, "1"), Missing(Resource)),
        ("SharedAccessSignature sr=h&se=1".into(), Missing(Signature)),
        (fields("h", "", "1"), Missing(Signature)),
        (fields("h", &sig, ""), Missing(Expiry)),
        (format!("SharedAccessSignature sr=h&sig={sig}"), Missing(Expiry)),
        (format!("{}&sr=h", fields("h", &sig, "1")), Duplicate(Resource)),
        (format!("{}&SR=i", fields("h", &sig, "1")), Duplicate(Resource)),
        (format!("{}&sig=x", fields("h", &sig, "1")), Duplicate(Signature)),
        (format!("{}&se=1", fields("h", &sig, "1")), Duplicate(Expiry)),
        (format!("{}&skn=&skn=a", fields("h", &sig, "1")), Duplicate(KeyName)),
        (fields("%f", &sig, "1"), Malformed(Resource)),
        (fields("%ff", &sig, "1"), Malformed(Resource)),
        (fields("h%00", &sig, "1"), Malformed(Resource)),
        (fields("h%0A", &sig, "1"), Malformed(Resource)),
        (format!("{}&skn=%0d", fields("h", &sig, "1")), Malformed(KeyName)),
        (fields("h", "AAAA", "1"), Malformed(Signature)),
        (fields("h", &STANDARD.encode([7; 33]), "1"), Malformed(Signature)),
        (fields("h", "%3", "1"), Malformed(Signature)),
        (fields("h", &sig.replace('=', ""), "1"), Malformed(Signature)),
        (format!("SharedAccessSignature sr={}", "a".repeat(SAS_BYTES_MAX)), TooLong),
    ];
    for (text, error) in cases {
        assert_eq!(SasToken::parse(&text).unwrap_err(), error, "{text}");
    }
}

#[test]
fn unknown_fields_and_spellings_of_the_scheme_are_tolerated() {
    for text in [
        format!("sharedaccesssignature  sr=h&sig={}&se=1", sig()),
        format!(" {} ", fields("h", &sig(), "1")),
        format!("{}&x=y", fields("h", &sig(), "1")),
    ] {
        assert!(SasToken::parse(&text).is_ok(), "{text}");
    }
}

#[test]
fn a_raw_plus_in_the_signature_is_a_plus() {
    let with_plus = "TfXbLYBe1y/4/q3oV1MBE/oZv00vN3Kq+Lz23evk0Z8=";
    let token = fields("0ne00000001%2Fregistrations%2FDev-1", with_plus, "1893456000");
    assert!(SasToken::parse(&token).unwrap().is_signed_by(&counting()));
    let spaced = token.replace('+', "%20");
    assert_eq!(SasToken::parse(&spaced).unwrap_err(), SasError::Malformed(SasField::Signature));
}

#[test]
fn debug_hides_the_signature() {
    let token = token_for("h");
    let shown = format!("{token:?}");
    assert!(!shown.contains("sig"), "{shown}");
    assert!(!shown.contains(&STANDARD.encode(token.signature)), "{shown}");
}

proptest::proptest! {
    #[test]
    fn parse_is_total(text in "\\PC*") {
        let _ = SasToken::parse(&text);
        let _ = SasToken::parse(&format!("SharedAccessSignature {text}"));
    }

    #[test]
    fn created_tokens_parse_back(resource in "[ -~]{1,200}", name in "[ -~]{1,64}", at in 0..EXPIRES) {
        let expires = Timestamp::from_unix_seconds(at);
        let token = SasToken::parse(&create(&resource, &counting(), expires, Some(&name))).unwrap();
        proptest::prop_assert!(token.is_signed_by(&counting()));
        proptest::prop_assert_eq!(token.resource(), resource.as_str());
        proptest::prop_assert_eq!(token.key_name(), Some(name.as_str()));
        proptest::prop_assert_eq!(token.expires(), expires);
        proptest::prop_assert!(token.is_for(&resource));
    }
}
