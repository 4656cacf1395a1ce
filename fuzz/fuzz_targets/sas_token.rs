//! A token parses or not, without a panic, and says the same when it is made again.
#![no_main]

use attestation::SymmetricKey;
use attestation::sas::{self, SasToken};
use libfuzzer_sys::fuzz_target;
use model::Timestamp;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    parse(text);
    parse(&format!("SharedAccessSignature {text}"));
    make(text);
});

fn parse(text: &str) {
    let Ok(token) = SasToken::parse(text) else {
        return;
    };
    assert!(text.contains(token.raw_resource()));
    assert!(!token.resource().chars().any(char::is_control));
    assert!(token.key_name().is_none_or(|name| !name.is_empty()));
    assert!(token.is_for(token.resource()));
    assert!(!token.is_signed_by(&key()));
    // Whatever it covers it also covers further down.
    if token.covers("h.example/devices/d") {
        assert!(token.covers("H.example:8883/devices/d/modules/m"));
        assert!(!token.covers("h.example.other/devices/d"));
    }
}

/// Any text without control characters can be a token's resource and key name.
fn make(text: &str) {
    if text.is_empty() || text.len() > 500 || text.chars().any(char::is_control) {
        return;
    }
    let expires = Timestamp::from_unix_seconds(1_893_456_000);
    let made = sas::create(text, &key(), expires, Some(text));
    let read = SasToken::parse(&made).expect("a token that was made is a token");
    assert_eq!((read.resource(), read.key_name(), read.expires()), (text, Some(text), expires));
    assert!(read.is_signed_by(&key()));
}

/// The key of the vectors: bytes 0 to 31.
fn key() -> SymmetricKey {
    SymmetricKey::from_bytes((0..32).collect()).expect("32 bytes are a key")
}
