//! Hashes of certificates and keys.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The text is not a hash: wrong length, or not hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThumbprintError;

impl fmt::Display for ThumbprintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not a thumbprint in hexadecimal digits")
    }
}
impl std::error::Error for ThumbprintError {}

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
                if text.len() != $bytes * 2 || !text.is_ascii() {
                    return Err(ThumbprintError);
                }
                for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
                    let pair = std::str::from_utf8(pair).map_err(|_| ThumbprintError)?;
                    if pair.starts_with('+') {
                        return Err(ThumbprintError);
                    }
                    *byte = u8::from_str_radix(pair, 16).map_err(|_| ThumbprintError)?;
                }
                Ok(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            /// Upper-case hexadecimal digits, as the services write them.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
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
        assert!(Sha1Thumbprint::parse(&"+b".repeat(20)).is_err());
        assert!(Sha256::parse(&text).is_err());
    }
}
