//! Symmetric keys of devices, groups and policies.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::limits::SYMMETRIC_KEY_BYTES;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A key of 16..=64 bytes that signs SAS tokens and derives the keys of a group's devices.
///
/// Never shown, wiped when dropped, compared in constant time only ([`SymmetricKey::same_as`]).
/// Its storage form is base64 text. Source: `dps-service-api` V-15.
#[derive(Clone)]
pub struct SymmetricKey(Zeroizing<Vec<u8>>);

/// Why bytes or a text are not a symmetric key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The text is not base64 of the standard alphabet with padding.
    NotBase64,
    /// The key has fewer than 16 or more than 64 bytes.
    Length,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBase64 => f.write_str("is not base64"),
            Self::Length => write!(
                f,
                "is not {} to {} bytes long",
                SYMMETRIC_KEY_BYTES.start(),
                SYMMETRIC_KEY_BYTES.end()
            ),
        }
    }
}

impl std::error::Error for KeyError {}

impl SymmetricKey {
    /// Takes the key's bytes.
    ///
    /// # Errors
    /// [`KeyError::Length`] unless there are 16..=64 of them.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(bytes);
        match SYMMETRIC_KEY_BYTES.contains(&bytes.len()) {
            true => Ok(Self(bytes)),
            false => Err(KeyError::Length),
        }
    }

    /// Reads the base64 text that operators and devices hold.
    ///
    /// # Errors
    /// Both of [`KeyError`].
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        if text.len() > SYMMETRIC_KEY_BYTES.end().div_ceil(3) * 4 {
            return Err(KeyError::Length);
        }
        Self::from_bytes(STANDARD.decode(text).map_err(|_| KeyError::NotBase64)?)
    }

    /// The base64 text, for an operator who may see it.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0.as_slice())
    }

    /// The HMAC-SHA256 of a message.
    pub fn sign(&self, message: &[u8]) -> [u8; 32] {
        let mut tag = [0; 32];
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        tag.copy_from_slice(hmac::sign(&key, message).as_ref());
        tag
    }

    /// Whether `tag` is this key's HMAC-SHA256 of the message, told in constant time.
    pub fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        self.sign(message).as_slice().ct_eq(tag).into()
    }

    /// The key of one device of a group that has this key.
    ///
    /// The id is taken as it is written, case and all. Source: `dps-device-api` §6.3;
    /// `concepts-symmetric-key-attestation.md`, "Group enrollments".
    #[must_use]
    pub fn derive(&self, registration_id: &str) -> Self {
        self.derive_from(registration_id.as_bytes())
    }

    /// The key that is this key's HMAC-SHA256 of a message.
    pub(crate) fn derive_from(&self, message: &[u8]) -> Self {
        Self(Zeroizing::new(self.sign(message).to_vec()))
    }

    /// The key's bytes, for wrapping them.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether both are the same key, told in constant time.
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl fmt::Debug for SymmetricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SymmetricKey(…)")
    }
}

impl Serialize for SymmetricKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(self.to_base64()))
    }
}

impl<'de> Deserialize<'de> for SymmetricKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Self::from_base64(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str =
        "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";

    fn counting() -> SymmetricKey {
        SymmetricKey::from_bytes((0..32).collect()).unwrap()
    }

    /// Vectors: `dps-device-api` §11.1.
    #[test]
    fn derived_keys_are_the_documented_ones() {
        let group = SymmetricKey::from_base64(GROUP).unwrap();
        let cases = [
            (
                &group,
                "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6",
                "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=",
            ),
            (&counting(), "Dev-1", "GkFHJHrTwJ7AfqTb3UTgwGK11Zu6L2tOjMLnOl+M2w4="),
            (&counting(), "dev-1", "uPrGCZtSCJ9Nt+iY0r7te47dbsu7OCYEU9tz7kQloUs="),
        ];
        for (group, id, derived) in cases {
            assert_eq!(group.derive(id).to_base64(), derived, "{id}");
        }
    }

    #[test]
    fn v_15_lengths_from_16_to_64_bytes_are_keys() {
        for length in [16, 32, 36, 64] {
            let key = SymmetricKey::from_bytes(vec![7; length]).unwrap();
            assert!(SymmetricKey::from_base64(&key.to_base64()).unwrap().same_as(&key));
        }
        for length in [0, 1, 15, 65, 100] {
            assert_eq!(
                SymmetricKey::from_bytes(vec![7; length]).unwrap_err(),
                KeyError::Length,
                "{length}"
            );
            assert_eq!(
                SymmetricKey::from_base64(&STANDARD.encode(vec![7; length])).unwrap_err(),
                KeyError::Length,
                "{length}"
            );
        }
    }

    #[test]
    fn only_padded_standard_base64_is_a_key() {
        let good = counting().to_base64();
        for bad in [
            good.trim_end_matches('=').to_owned(),
            format!(" {good}"),
            format!("{good}\n"),
            format!("{}-", &good[..43]),
            "ä".repeat(20),
        ] {
            assert_eq!(SymmetricKey::from_base64(&bad).unwrap_err(), KeyError::NotBase64, "{bad}");
        }
        for length in ["", &"-".repeat(89)] {
            assert_eq!(SymmetricKey::from_base64(length).unwrap_err(), KeyError::Length);
        }
    }

    #[test]
    fn verify_demands_the_whole_tag() {
        let key = counting();
        let tag = key.sign(b"message");
        assert!(key.verify(b"message", &tag));
        assert!(!key.verify(b"messagf", &tag));
        assert!(!key.derive("x").verify(b"message", &tag));
        for length in 0..32 {
            assert!(!key.verify(b"message", &tag[..length]), "{length}");
        }
        for bit in 0..256 {
            let mut wrong = tag;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify(b"message", &wrong), "{bit}");
        }
        assert!(!key.verify(b"message", &[tag.as_slice(), &[0]].concat()));
    }

    #[test]
    fn keys_are_the_same_by_their_bytes() {
        assert!(counting().same_as(&counting()));
        assert!(!counting().same_as(&counting().derive("a")));
        assert!(!counting().same_as(&SymmetricKey::from_bytes((0..33).collect()).unwrap()));
    }

    #[test]
    fn debug_hides_and_serde_round_trips() {
        let key = SymmetricKey::from_base64(GROUP).unwrap();
        assert_eq!(format!("{key:?}"), "SymmetricKey(…)");
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(text, format!("\"{GROUP}\""));
        assert!(serde_json::from_str::<SymmetricKey>(&text).unwrap().same_as(&key));
        assert!(serde_json::from_str::<SymmetricKey>("\"AA==\"").is_err());
    }
}
