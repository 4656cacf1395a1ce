//! DER, written. Source: X.690 §8.1, §10.1.

use model::Timestamp;

use crate::x509::der::tag;

/// Tags that are only written.
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SET: u8 = 0x31;
/// The object identifier of a common name, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// The first year that takes four digits. Source: RFC 5280 §4.1.2.5.
const YEAR_OF_FOUR_DIGITS_FIRST: &str = "2050";

/// One element of these parts, one after the other.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let digits = trimmed(&length);
    match (digits.len(), digits.first()) {
        (1, Some(short)) if *short < 0x80 => out.push(*short),
        (count, _) => {
            out.push(0x80 | u8::try_from(count).unwrap_or_default());
            out.extend_from_slice(digits);
        }
    }
    out.extend_from_slice(&content);
    out
}

/// A sequence of these elements.
pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(tag::SEQUENCE, parts)
}

/// A positive number; zero bytes alone make a one.
pub(super) fn positive(bytes: &[u8]) -> Vec<u8> {
    match trimmed(bytes) {
        [0] | [] => element(tag::INTEGER, &[&[1]]),
        digits if digits.first().is_some_and(|first| *first >= 0x80) => {
            element(tag::INTEGER, &[&[0], digits])
        }
        digits => element(tag::INTEGER, &[digits]),
    }
}

/// A bit string of whole bytes.
pub(super) fn bits(bytes: &[u8]) -> Vec<u8> {
    element(tag::BIT_STRING, &[&[0], bytes])
}

/// A name of one common name.
pub(super) fn common_name(text: &str) -> Vec<u8> {
    let kind = element(tag::OID, &[COMMON_NAME]);
    let value = element(UTF8_STRING, &[text.as_bytes()]);
    sequence(&[&element(SET, &[&sequence(&[&kind, &value])])])
}

/// A time, in whole seconds.
pub(super) fn time(at: Timestamp) -> Vec<u8> {
    // `YYYY-MM-DDThh:mm:ss.…`
    let digits: String = at.to_string().chars().filter(char::is_ascii_digit).take(14).collect();
    let (tag, digits) = match digits.split_at_checked(2) {
        Some((_, short)) if digits.as_str() < YEAR_OF_FOUR_DIGITS_FIRST => (UTC_TIME, short),
        Some(_) | None => (GENERALIZED_TIME, digits.as_str()),
    };
    element(tag, &[digits.as_bytes(), b"Z"])
}

/// The digits of a number without leading zeros, of which one stays.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros.min(bytes.len().saturating_sub(1))..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_numbers_have_their_one_spelling() {
        assert_eq!(element(4, &[]), [4, 0]);
        assert_eq!(element(4, &[&[0; 127]])[..2], [4, 127]);
        assert_eq!(element(4, &[&[0; 128]])[..3], [4, 0x81, 128]);
        assert_eq!(element(4, &[&[0; 256]])[..4], [4, 0x82, 1, 0]);
        assert_eq!(positive(&[0, 0, 5]), [2, 1, 5]);
        assert_eq!(positive(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(positive(&[0, 0]), [2, 1, 1]);
    }

    #[test]
    fn years_from_2050_have_four_digits() {
        let at = |seconds| String::from_utf8(time(Timestamp::from_unix_seconds(seconds))).unwrap();
        assert_eq!(at(0), "\u{17}\u{d}700101000000Z");
        assert_eq!(at(2_524_607_999), "\u{17}\u{d}491231235959Z");
        assert_eq!(at(2_524_608_000), "\u{18}\u{f}20500101000000Z");
    }
}
