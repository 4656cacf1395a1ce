//! JSON texts: read with a bound on nesting, written in the form that a protocol needs.

use std::io;

use model::{MAX_DEPTH_DEFAULT, depth_at_most};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::ser::{CompactFormatter, Formatter};

use crate::rest::error::ApiFault;

/// Writes a value as JSON.
pub fn utf8_json<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    written(value, CompactFormatter)
}

/// Writes a value as JSON in ASCII alone: all else is `\uXXXX`.
///
/// Source: Node SDK `provisioning/transport/mqtt/src/mqtt.ts` decodes a payload as ASCII before
/// it parses it.
pub fn ascii_json<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    written(value, Ascii)
}

/// A formatter without spaces that escapes what is not ASCII.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut units = [0_u16; 2];
        for character in fragment.chars() {
            if character.is_ascii() {
                write!(writer, "{character}")?;
            } else {
                for unit in character.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[expect(clippy::expect_used, reason = "see the message")]
fn written<T: Serialize + ?Sized, F: Formatter>(value: &T, formatter: F) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    value
        .serialize(&mut serializer)
        .expect("bodies have text keys only, and writing to memory does not fail");
    bytes
}

/// Reads a JSON text; members that the type does not have are skipped (V-26).
///
/// # Errors
/// [`ApiFault::TooDeep`] before anything is built of the text, [`ApiFault::Malformed`] for a text
/// that is not of the type.
pub(crate) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiFault> {
    if !depth_at_most(text, MAX_DEPTH_DEFAULT) {
        return Err(ApiFault::TooDeep { levels: MAX_DEPTH_DEFAULT });
    }
    serde_json::from_slice(text)
        .map_err(|because| ApiFault::Malformed { because: because.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_not_ascii_is_escaped() {
        let value = json!({"grün": "€ and 𝄞\n\u{7f}"});
        let text = String::from_utf8(ascii_json(&value)).unwrap();
        let escaped = r#"{"gr\u00fcn":"\u20ac and \ud834\udd1e\n#"}"#.replace('#', "\u{7f}");
        assert_eq!(text, escaped);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    /// Found by `free_json_round_trips`: serde_json reads some fractions a little off by default.
    #[test]
    fn fractions_keep_their_last_digit() {
        for text in ["-918381810.4990375", "0.1", "1e308", "123456789.123456789"] {
            let value: Value = read(text.as_bytes()).unwrap();
            let again: Value = read(&utf8_json(&value)).unwrap();
            assert_eq!(value, again);
            assert_eq!(value.as_f64(), text.parse().ok());
        }
    }

    #[test]
    fn deep_texts_are_refused_unread() {
        let text = format!("{}{}", "[".repeat(33), "]".repeat(33));
        assert!(matches!(read::<Value>(text.as_bytes()), Err(ApiFault::TooDeep { levels: 32 })));
        assert!(matches!(read::<Value>(b"{"), Err(ApiFault::Malformed { .. })));
        assert!(matches!(read::<Value>(b""), Err(ApiFault::Malformed { .. })));
    }

    proptest! {
        #[test]
        fn ascii_texts_mean_the_same(text in any::<String>()) {
            let written = ascii_json(&Value::String(text.clone()));
            prop_assert!(written.is_ascii());
            prop_assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), text);
        }
    }
}
