//! Ids that operators and devices choose.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limits::{CERTIFICATE_NAME_CHARS_MAX, ID_CHARS_MAX, POLICY_NAME_CHARS_MAX};

/// Why a text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdError {
    /// The text is empty.
    Empty,
    /// The text has fewer characters than the bound, which is given.
    TooShort(usize),
    /// The text has more characters than the bound, which is given.
    TooLong(usize),
    /// A character is not of the id's alphabet.
    Character {
        /// The offending character.
        character: char,
        /// Its byte offset.
        at: usize,
    },
    /// The first character may not be special.
    Start,
    /// The last character may not be special.
    End,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooShort(min) => write!(f, "is shorter than {min} characters"),
            Self::TooLong(max) => write!(f, "is longer than {max} characters"),
            Self::Character { character, at } => {
                write!(f, "has the character {character:?} at offset {at}, which is not allowed")
            }
            Self::Start => f.write_str("starts with a special character"),
            Self::End => f.write_str("ends with a special character"),
        }
    }
}

impl std::error::Error for IdError {}

/// An id that keeps the text as it was given and compares by its lower-case form.
macro_rules! caseless_id {
    ($(#[$meta:meta])* $name:ident, $check:path) => {
        $(#[$meta])*
        #[derive(Clone)]
        pub struct $name {
            shown: String,
            key: String,
        }

        impl $name {
            /// Parses the text.
            ///
            /// # Errors
            /// Every rule of the alphabet and the length, as [`IdError`].
            pub fn parse(text: &str) -> Result<Self, IdError> {
                $check(text)?;
                Ok(Self { shown: text.to_owned(), key: text.to_ascii_lowercase() })
            }

            /// The text as it was given.
            pub fn as_str(&self) -> &str {
                &self.shown
            }

            /// The lower-case form, by which two ids are the same.
            pub fn key(&self) -> &str {
                &self.key
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.key == other.key
            }
        }
        impl Eq for $name {}
        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.key.cmp(&other.key)
            }
        }
        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.key.hash(state);
            }
        }
        text_value!($name);
    };
}

/// Text forms shared by all ids: `Display`, `Debug`, serde.
macro_rules! text_value {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.as_str())
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
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
pub(crate) use text_value;

caseless_id!(
    /// A device's claim at provisioning: 1 to 128 of `A-Z a-z 0-9 - . _ :`, not starting with a
    /// special character, ending in an alphanumeric or `-`. Compared without case.
    ///
    /// Source: `dps-service-api` V-01; REST "Individual Enrollment", `registrationId`.
    RegistrationId,
    provisioning_id
);

caseless_id!(
    /// The id of an enrollment group: alphabet and length of [`RegistrationId`].
    ///
    /// Source: `dps-service-api` V-02.
    EnrollmentGroupId,
    provisioning_id
);

caseless_id!(
    /// The name of a CA certificate in an instance: 1 to 256 of `A-Z a-z 0-9 - . _`.
    ///
    /// Source: ARM `Microsoft.Devices/provisioningServices/certificates`, `certificateName`.
    CertificateName,
    certificate_name
);

caseless_id!(
    /// The name of a shared access policy: 1 to 64 of `A-Z a-z 0-9 - . _ +`.
    PolicyName,
    policy_name
);

caseless_id!(
    /// The name of a region that devices are in: 1 to 64 of `A-Z a-z 0-9 - . _ +`.
    RegionName,
    policy_name
);

/// A device identity's id on a hub: 1 to 128 ASCII characters, alphanumeric or one of
/// `- : . + % _ # * ? ! ( ) , = @ $ '`. Compared with case.
///
/// Source: `iot-hub` §2.3, IoT Hub developer guide "Identity registry".
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(String);

impl DeviceId {
    /// Parses the text.
    ///
    /// # Errors
    /// Every rule of the alphabet and the length, as [`IdError`].
    pub fn parse(text: &str) -> Result<Self, IdError> {
        bounded(text, ID_CHARS_MAX, |c| {
            c.is_ascii_alphanumeric() || "-:.+%_#*?!(),=@$';".contains(c)
        })?;
        Ok(Self(text.to_owned()))
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
text_value!(DeviceId);

impl From<&RegistrationId> for DeviceId {
    /// Every registration id is a device id: its alphabet is a part of the hub's.
    fn from(id: &RegistrationId) -> Self {
        Self(id.as_str().to_owned())
    }
}

fn bounded(text: &str, max: usize, allowed: impl Fn(char) -> bool) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > max {
        return Err(IdError::TooLong(max));
    }
    match text.char_indices().find(|(_, c)| !allowed(*c)) {
        Some((at, character)) => Err(IdError::Character { character, at }),
        None => Ok(()),
    }
}

fn provisioning_id(text: &str) -> Result<(), IdError> {
    bounded(text, ID_CHARS_MAX, |c| c.is_ascii_alphanumeric() || "-._:".contains(c))?;
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(IdError::Start);
    }
    if !text.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-') {
        return Err(IdError::End);
    }
    Ok(())
}

fn certificate_name(text: &str) -> Result<(), IdError> {
    bounded(text, CERTIFICATE_NAME_CHARS_MAX, |c| c.is_ascii_alphanumeric() || "-._".contains(c))
}

fn policy_name(text: &str) -> Result<(), IdError> {
    bounded(text, POLICY_NAME_CHARS_MAX, |c| c.is_ascii_alphanumeric() || "-._+".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v_01_registration_id_alphabet_and_ends() {
        for good in ["a", "A-1", "sn-007.a_b:c", "x-", &"a".repeat(128)] {
            assert!(RegistrationId::parse(good).is_ok(), "{good}");
        }
        assert_eq!(RegistrationId::parse(""), Err(IdError::Empty));
        assert_eq!(RegistrationId::parse(&"a".repeat(129)), Err(IdError::TooLong(128)));
        assert_eq!(RegistrationId::parse("-a"), Err(IdError::Start));
        assert_eq!(RegistrationId::parse("a."), Err(IdError::End));
        assert_eq!(RegistrationId::parse("a/b"), Err(IdError::Character { character: '/', at: 1 }));
        assert_eq!(
            RegistrationId::parse("a\0b"),
            Err(IdError::Character { character: '\0', at: 1 })
        );
    }

    #[test]
    fn registration_ids_compare_without_case_and_keep_their_text() {
        let shown = RegistrationId::parse("Sensor-THL-002").unwrap();
        assert_eq!(shown, RegistrationId::parse("sensor-thl-002").unwrap());
        assert_eq!(shown.as_str(), "Sensor-THL-002");
        assert_eq!(shown.key(), "sensor-thl-002");
    }

    #[test]
    fn v_03_device_ids_keep_case() {
        assert_ne!(DeviceId::parse("A").unwrap(), DeviceId::parse("a").unwrap());
        assert!(DeviceId::parse("a b").is_err());
    }
}
