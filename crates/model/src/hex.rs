//! Bytes as hexadecimal digits, without the formatting machinery: a registration writes dozens.

const LOWER: [u8; 16] = *b"0123456789abcdef";
const UPPER: [u8; 16] = *b"0123456789ABCDEF";

/// The two digits of a byte, each a letter of `alphabet`.
const fn pair(alphabet: &[u8; 16], byte: u8) -> [u8; 2] {
    [digit(alphabet, byte >> 4), digit(alphabet, byte & 15)]
}

#[expect(clippy::indexing_slicing, reason = "there are 16 digits for 16 numbers")]
const fn digit(alphabet: &[u8; 16], number: u8) -> u8 {
    alphabet[(number & 15) as usize]
}

/// The two upper-case digits of a byte.
pub(crate) const fn upper_pair(byte: u8) -> [u8; 2] {
    pair(&UPPER, byte)
}

fn text(alphabet: &[u8; 16], bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| pair(alphabet, *byte)).map(char::from);
    let mut text = String::with_capacity(bytes.len() * 2);
    text.extend(digits);
    text
}

/// Upper-case digits, two a byte.
pub fn upper(bytes: &[u8]) -> String {
    text(&UPPER, bytes)
}

/// Lower-case digits, two a byte.
pub fn lower(bytes: &[u8]) -> String {
    text(&LOWER, bytes)
}

/// The bytes of a GUID in its usual form, `8-4-4-4-12` lower-case digits.
pub fn guid(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.extend(pair(&LOWER, byte).map(char::from));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_as_the_standard_library_writes_them() {
        let all: Vec<u8> = (0..=255).collect();
        let formatted = |byte: &u8| format!("{byte:02x}");
        let expected: String = all.iter().map(formatted).collect();
        assert_eq!(lower(&all), expected);
        assert_eq!(upper(&all), expected.to_uppercase());
        assert_eq!((lower(&[]), upper(&[])), (String::new(), String::new()));
    }

    #[test]
    fn a_guid_has_five_parts() {
        let bytes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255];
        assert_eq!(guid(bytes), "00010203-0405-0607-0809-0a0b0c0d0eff");
    }
}
