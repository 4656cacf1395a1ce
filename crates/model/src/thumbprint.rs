//! Hashes of certificates and keys.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::hex::upper_pair;

/// The text is not a hash: wrong length, or not hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThumbprintError;

impl fmt::Display for ThumbprintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not a thumbprint in hexadecimal digits")
    }
}
impl std::error::Error for ThumbprintError {}

/// The byte that two hexadecimal digits say.
fn byte_of(pair: &[u8]) -> Option<u8> {
    pair.iter().try_fold(0, |byte: u8, &letter| {
        let value = u8::try_from(char::from(letter).to_digit(16)?).ok()?;
        Some(byte << 4 | value)
    })
}

macro_rules! hash_value {
    ($(#[$meta:meta])* $name:ident, $bytes:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// Reads hexadecimal digits of either case.
            ///
            /// # Errors
            /// [`ThumbprintError`] unless the text is exactly the hash's digits.
            pub fn parse(text: &str) -> Result<Self, ThumbprintError> {
                let mut bytes = [0_u8; $bytes];
                if text.len() != $bytes * 2 {
                    return Err(ThumbprintError);
                }
                for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                    *byte = byte_of(pair).ok_or(ThumbprintError)?;
                }
                Ok(Self(bytes))
            }

            /// Gives the digits to `work`. Every record holds several hashes: formatted byte by
            /// byte they took more time than the rest of it.
            fn with_digits<T>(&self, work: impl FnOnce(&str) -> T) -> Option<T> {
                let mut digits = [0_u8; $bytes * 2];
                for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
                    pair.copy_from_slice(&upper_pair(byte));
                }
                std::str::from_utf8(&digits).ok().map(work)
            }
        }

        impl fmt::Display for $name {
            /// Upper-case hexadecimal digits, as the services write them.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.with_digits(|digits| f.write_str(digits)).unwrap_or(Err(fmt::Error))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.with_digits(|digits| serializer.serialize_str(digits))
                    .unwrap_or_else(|| Err(ser::Error::custom(ThumbprintError)))
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(&text).map_err(de::Error::custom)
            }
        }
    };
}

hash_value!(
    /// A SHA-256 hash: of a DER certificate where the name says *thumbprint*, else of a key.
    Sha256,
    32
);
hash_value!(
    /// The SHA-1 hash of a DER certificate.
    Sha1Thumbprint,
    20
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_either_case_are_read() {
        let text = "ab".repeat(20);
        assert_eq!(Sha1Thumbprint::parse(&text).unwrap().to_string(), text.to_uppercase());
        let all = "0123456789ABCDEFabcdef9f8e7d6c5b4a392810";
        assert_eq!(Sha1Thumbprint::parse(all).unwrap().to_string(), all.to_uppercase());
        assert!(Sha1Thumbprint::parse(&"+b".repeat(20)).is_err());
        assert!(Sha1Thumbprint::parse(&"0g".repeat(20)).is_err());
        assert!(Sha1Thumbprint::parse(&"é".repeat(20)).is_err());
        assert!(Sha256::parse(&text).is_err());
    }
}
