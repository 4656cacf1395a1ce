//! Percent-encoding and query strings, as tolerantly as the services read them.

use std::borrow::Cow;

/// Decodes `%XX`; a plus sign stays one. A text that is not well encoded, or not UTF-8 when
/// decoded, is taken as it stands.
///
/// Source: RFC 3986 §2.1.
pub(crate) fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let pair = (*first == b'%').then_some(after).and_then(|after| after.split_at_checked(2));
        match pair.and_then(|(digits, after)| Some((byte_of(digits)?, after))) {
            Some((byte, after)) => {
                bytes.push(byte);
                rest = after;
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn byte_of(digits: &[u8]) -> Option<u8> {
    let [high, low] = digits else { return None };
    let high = char::from(*high).to_digit(16)?;
    let low = char::from(*low).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

/// Encodes all but the unreserved characters. Source: RFC 3986 §2.3.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The pairs of a query string, still encoded; a key without `=` has no value.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| match pair.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (pair, None),
    })
}

/// The value of the first pair whose decoded key is this one, case aside; still encoded.
pub(crate) fn value<'q>(query: &'q str, key: &str) -> Option<&'q str> {
    pairs(query)
        .find(|(found, _)| decoded(found).eq_ignore_ascii_case(key))
        .map(|(_, value)| value.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_decoded_once_and_badly_encoded_ones_are_kept() {
        let cases = [
            ("a%2Fb", "a/b"),
            ("a%2fb+c", "a/b+c"),
            ("%252F", "%2F"),
            ("%", "%"),
            ("%2", "%2"),
            ("%zz%41", "%zzA"),
            ("%FF", "%FF"),
            ("%C3%A4", "ä"),
            ("ä%41", "äA"),
            ("%+1", "%+1"),
        ];
        for (given, expected) in cases {
            assert_eq!(decoded(given), expected, "{given}");
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        for text in ["", "a/b c", "%", "ä€𝄞", "$.mid=1&x"] {
            assert_eq!(decoded(&encoded(text)), text);
        }
        assert_eq!(encoded("$.a/b+#~"), "%24.a%2Fb%2B%23~");
    }

    #[test]
    fn pairs_tell_an_empty_value_from_none() {
        let found: Vec<_> = pairs("a=1&&b&c=&d=x=y").collect();
        assert_eq!(found, [("a", Some("1")), ("b", None), ("c", Some("")), ("d", Some("x=y"))]);
        assert_eq!(value("%24rid=7&API-version=v", "$rid"), Some("7"));
        assert_eq!(value("API-version=v", "api-version"), Some("v"));
        assert_eq!(value("a", "api-version"), None);
    }
}
