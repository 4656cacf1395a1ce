//! JSON texts: read with a bound on nesting, written in the form that a protocol needs.

use std::fmt;
use std::io;
use std::marker::PhantomData;

use model::{MAX_DEPTH_DEFAULT, depth_at_most};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::error::Category;
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
        if fragment.is_ascii() {
            return writer.write_all(fragment.as_bytes());
        }
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

/// What an object is read into. A struct alone would take an array as well, its members in order.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// Reads a member that is an object or `null`.
pub(crate) fn object<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<Object<T>>::deserialize(deserializer).map(|read| read.map(|Object(value)| value))
}

/// Reads an object's JSON text; members that the type does not have are skipped (V-26).
///
/// # Errors
/// [`ApiFault::TooDeep`] before anything is built of the text, [`ApiFault::Malformed`] for a text
/// that is not of the type.
pub(crate) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiFault> {
    shallow(text).map(|Object(value)| value)
}

/// Reads a list's JSON text.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_list<T: DeserializeOwned>(text: &[u8]) -> Result<Vec<T>, ApiFault> {
    shallow(text)
}

fn shallow<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiFault> {
    if !depth_at_most(text, MAX_DEPTH_DEFAULT) {
        return Err(ApiFault::TooDeep { levels: MAX_DEPTH_DEFAULT });
    }
    serde_json::from_slice(text).map_err(|error| malformed(&error))
}

/// The fault of a text that is not of a type. It says where and of what type, and not a word of
/// the text itself: a key that was put in the wrong place would else go into answers and logs.
pub(crate) fn malformed(error: &serde_json::Error) -> ApiFault {
    let what = match error.classify() {
        Category::Data => mismatch(&error.to_string()),
        Category::Syntax | Category::Eof | Category::Io => "it is not JSON".to_owned(),
    };
    // A text that was read into memory first has no lines any more.
    let because = match (error.line(), error.column()) {
        (0, _) => what,
        (line, column) => format!("{what}, at line {line} column {column}"),
    };
    ApiFault::Malformed { because }
}

/// The types in serde's words `invalid type: string "…", expected a map`.
fn mismatch(text: &str) -> String {
    for (serdes, ours) in
        [("duplicate field `", "is there twice"), ("missing field `", "is missing")]
    {
        if let Some((member, _)) = text.strip_prefix(serdes).and_then(|rest| rest.split_once('`')) {
            return format!("{member} {ours}");
        }
    }
    let types = text.strip_prefix("invalid type: ").and_then(|rest| {
        let found = rest.split([' ', ',']).next()?;
        let (_, expected) = rest.rsplit_once(", expected ")?;
        let expected = expected.split(" at line ").next()?;
        Some((found, if expected.starts_with("struct ") { "an object" } else { expected }))
    });
    match types {
        Some((found, expected)) => format!("{found} where {expected} belongs"),
        None => "a member holds what it may not hold".to_owned(),
    }
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
            let value: Value = read(format!(r#"{{"x":{text}}}"#).as_bytes()).unwrap();
            let again: Value = read(&utf8_json(&value)).unwrap();
            assert_eq!(value, again);
            assert_eq!(value["x"].as_f64(), text.parse().ok());
        }
    }

    #[test]
    fn deep_texts_are_refused_unread() {
        let text = format!("{}{}", "[".repeat(33), "]".repeat(33));
        assert!(matches!(read::<Value>(text.as_bytes()), Err(ApiFault::TooDeep { levels: 32 })));
        assert!(matches!(read::<Value>(b"{"), Err(ApiFault::Malformed { .. })));
        assert!(matches!(read::<Value>(b""), Err(ApiFault::Malformed { .. })));
    }

    #[test]
    fn faults_name_types_and_places_but_no_values() {
        #[derive(Debug, serde::Deserialize)]
        struct Inner {
            _key: Option<String>,
        }
        #[derive(Debug, serde::Deserialize)]
        struct Outer {
            _inner: Option<Inner>,
            _list: Option<Vec<String>>,
            _flag: Option<bool>,
        }
        let check = |text: &str, expected: &str| {
            let fault = read::<Outer>(text.as_bytes()).unwrap_err();
            assert_eq!(fault, ApiFault::Malformed { because: expected.to_owned() });
        };
        check(
            r#"{"_inner":"c2VjcmV0, expected a key"}"#,
            "string where an object belongs, at line 1 column 36",
        );
        check(r#"{"_list":{}}"#, "map where a sequence belongs, at line 1 column 9");
        check(r#"{"_flag":17}"#, "integer where a boolean belongs, at line 1 column 11");
        check("7", "integer where an object belongs, at line 1 column 1");
        check(r#"{"_flag":true,"_flag":true}"#, "_flag is there twice, at line 1 column 21");
        check("{\n\"_flag\":c2VjcmV0", "it is not JSON, at line 2 column 9");
        check("", "it is not JSON, at line 1 column 0");
    }

    /// Found by Schemathesis: serde reads `["a"]` into a struct of one text.
    #[test]
    fn v_26_an_array_is_no_object() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Inner {
            key: Option<String>,
        }
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Outer {
            #[serde(default, deserialize_with = "object")]
            inner: Option<Inner>,
        }
        let because = "sequence where an object belongs, at line 1 column";
        for (text, column) in [(r#"[{"key":"a"}]"#, 0), (r#"{"inner":["a"]}"#, 9)] {
            let fault = read::<Outer>(text.as_bytes()).unwrap_err();
            let because = format!("{because} {column}");
            assert_eq!(fault, ApiFault::Malformed { because }, "{text}");
        }
        for text in ["{}", r#"{"inner":null}"#] {
            assert_eq!(read(text.as_bytes()), Ok(Outer { inner: None }), "{text}");
        }
        let whole = read(br#"{"inner":{"key":"a","other":1}}"#);
        assert_eq!(whole, Ok(Outer { inner: Some(Inner { key: Some("a".to_owned()) }) }));
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
