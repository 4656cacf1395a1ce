//! Shared access signatures, signed as they are asked for, right or wrong.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use std::time::{SystemTime, UNIX_EPOCH};

/// A token over `resource` as it stands here, which is how it stands in the token as well.
///
/// # Panics
///
/// When the key isn't base64.
pub fn sas_token(resource: &str, key: &str, expires: u64, key_name: Option<&str>) -> String {
    let signature = sas_signature(resource, key, expires);
    let token =
        format!("SharedAccessSignature sr={resource}&sig={}&se={expires}", escape(&signature));
    match key_name {
        Some(name) => format!("{token}&skn={}", escape(name)),
        None => token,
    }
}

/// The signature of such a token alone, base64.
///
/// # Panics
///
/// When the key isn't base64.
pub fn sas_signature(resource: &str, key: &str, expires: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64.decode(key).unwrap());
    BASE64.encode(hmac::sign(&key, format!("{resource}\n{expires}").as_bytes()))
}

/// Unix seconds, so many from now.
pub fn in_seconds(from_now: i64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    now.checked_add_signed(from_now).unwrap()
}

/// Percent-encodes all but letters, digits and `-._~`, with upper-case digits.
pub fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
