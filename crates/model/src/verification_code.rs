//! What an operator has a CA sign, to prove that its key is at hand.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::id::{IdError, text_value};

/// The common name of the certificate that proves possession of a CA's key: 48 hexadecimal
/// digits in upper case, 192 random bits.
///
/// Short enough for a common name, which has 64 characters (RFC 5280, `ub-common-name`).
/// Source: `dps-service-api` C-01; the real service's codes have the same length.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerificationCode(String);

impl VerificationCode {
    /// Digits of a code.
    pub const DIGITS: usize = 48;

    /// Parses a code.
    ///
    /// # Errors
    /// [`IdError`] with the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let is_digit = |c: char| c.is_ascii_digit() || ('A'..='F').contains(&c);
        if let Some((at, character)) = text.char_indices().find(|(_, c)| !is_digit(*c)) {
            return Err(IdError::Character { character, at });
        }
        match text.len() {
            0 => Err(IdError::Empty),
            Self::DIGITS => Ok(Self(text.to_owned())),
            _ => Err(IdError::TooLong(Self::DIGITS)),
        }
    }

    /// The code that 24 random bytes make.
    pub fn from_random(bytes: [u8; Self::DIGITS / 2]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02X}")).collect())
    }

    /// The code's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
text_value!(VerificationCode);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_made_of_random_bytes_and_read_again() {
        let mut bytes = [0xAB; 24];
        bytes[0] = 1;
        let code = VerificationCode::from_random(bytes);
        assert!(code.as_str().starts_with("01ABAB"));
        assert_eq!(VerificationCode::parse(code.as_str()), Ok(code));
        for bad in ["", "0", &"a".repeat(48), &"A".repeat(49), "ü"] {
            assert!(VerificationCode::parse(bad).is_err(), "{bad}");
        }
    }
}
