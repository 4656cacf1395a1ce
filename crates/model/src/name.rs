//! Names of services and the hosts that they answer to.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::id::{IdError, text_value};
use crate::limits::{self, SUBSCRIPTION_NAME_CHARS_MAX};

/// A DNS host name in lower case, without port or trailing dot: 1 to 253 of `a-z 0-9 - . _`.
///
/// Source: RFC 1123 §2.1; underscores are let through because SDKs let them through.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// Parses a host name; case is folded, one trailing dot is dropped.
    ///
    /// # Errors
    /// [`IdError`] for an empty, overlong or otherwise impossible name.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > 253 {
            return Err(IdError::TooLong(253));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if let Some((at, character)) = text.char_indices().find(|(_, c)| !allowed(*c)) {
            return Err(IdError::Character { character, at });
        }
        if text.split('.').any(|label| label.is_empty() || label.len() > 63) {
            return Err(IdError::End);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// Parses `host` or `host:port` and drops the port.
    ///
    /// # Errors
    /// As [`HostName::parse`].
    pub fn parse_authority(text: &str) -> Result<Self, IdError> {
        match text.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => Self::parse(host),
            Some(_) | None => Self::parse(text),
        }
    }

    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first label, which is the *hub name* where one is asked for.
    pub fn first_label(&self) -> &str {
        self.0.split('.').next().unwrap_or(&self.0)
    }
}
text_value!(HostName);

/// The name of a provisioning service or a hub: 3 to 50 of `a-z 0-9 -`, no dash at either end,
/// not digits alone; in lower case.
///
/// Source: `dps-service-api` §4, the ARM name pattern.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(String);

impl ServiceName {
    /// Parses a name; case is folded.
    ///
    /// # Errors
    /// [`IdError`] with the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        at_least(text, limits::SERVICE_NAME_CHARS_MIN)?;
        if text.len() > 50 {
            return Err(IdError::TooLong(50));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if let Some((at, character)) = text.char_indices().find(|(_, c)| !allowed(*c)) {
            return Err(IdError::Character { character, at });
        }
        if text.starts_with('-') || text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(IdError::Start);
        }
        if text.ends_with('-') {
            return Err(IdError::End);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
text_value!(ServiceName);

/// The name of an event subscription: 3 to 64 of `A-Z a-z 0-9 -`, no dash at either end; in lower
/// case.
///
/// Source: ARM, the event subscription's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionName(String);

impl SubscriptionName {
    /// Parses a name; case is folded.
    ///
    /// # Errors
    /// [`IdError`] with the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        at_least(text, limits::SUBSCRIPTION_NAME_CHARS_MIN)?;
        if text.len() > SUBSCRIPTION_NAME_CHARS_MAX {
            return Err(IdError::TooLong(SUBSCRIPTION_NAME_CHARS_MAX));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if let Some((at, character)) = text.char_indices().find(|(_, c)| !allowed(*c)) {
            return Err(IdError::Character { character, at });
        }
        match (text.starts_with('-'), text.ends_with('-')) {
            (true, _) => Err(IdError::Start),
            (_, true) => Err(IdError::End),
            (false, false) => Ok(Self(text.to_ascii_lowercase())),
        }
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
text_value!(SubscriptionName);

/// The id scope of a provisioning service: `0ne` and 8 hexadecimal digits, case kept,
/// compared without case.
///
/// Source: `dps-service-api` §1.1; tokens of iot-identity-service carry it in lower case.
#[derive(Clone)]
pub struct IdScope {
    shown: String,
    key: String,
}

impl IdScope {
    /// Parses a scope: 1 to 32 ASCII alphanumerics.
    ///
    /// # Errors
    /// [`IdError`] with the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > 32 {
            return Err(IdError::TooLong(32));
        }
        if let Some((at, character)) = text.char_indices().find(|(_, c)| !c.is_ascii_alphanumeric())
        {
            return Err(IdError::Character { character, at });
        }
        Ok(Self { shown: text.to_owned(), key: text.to_ascii_lowercase() })
    }

    /// The scope that four random bytes make.
    pub fn from_random(bytes: [u8; 4]) -> Self {
        let shown = format!("0ne{:08X}", u32::from_be_bytes(bytes));
        let key = shown.to_ascii_lowercase();
        Self { shown, key }
    }

    /// The scope as it was made.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// The lower-case form, by which two scopes are the same.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl PartialEq for IdScope {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl Eq for IdScope {}
impl std::hash::Hash for IdScope {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}
text_value!(IdScope);

fn at_least(text: &str, min: usize) -> Result<(), IdError> {
    match text.len() {
        0 => Err(IdError::Empty),
        chars if chars < min => Err(IdError::TooShort(min)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_fold_case_and_drop_ports() {
        assert_eq!(HostName::parse("DPS.localhost.").unwrap().as_str(), "dps.localhost");
        assert_eq!(
            HostName::parse_authority("hub1.localhost:8443").unwrap().as_str(),
            "hub1.localhost"
        );
        assert!(HostName::parse("a..b").is_err());
        assert!(HostName::parse("a/b").is_err());
        assert!(HostName::parse("").is_err());
    }

    #[test]
    fn scopes_are_made_of_random_bytes() {
        let scope = IdScope::from_random([0, 0xF8, 0xCE, 0x56]);
        assert_eq!(scope.as_str(), "0ne00F8CE56");
        assert_eq!(scope, IdScope::parse("0NE00f8ce56").unwrap());
    }

    #[test]
    fn a_short_name_is_not_called_empty() {
        assert_eq!(ServiceName::parse("ab"), Err(IdError::TooShort(3)));
        assert_eq!(SubscriptionName::parse("a"), Err(IdError::TooShort(3)));
        assert_eq!(ServiceName::parse(""), Err(IdError::Empty));
        assert_eq!(IdError::TooShort(3).to_string(), "is shorter than 3 characters");
    }

    #[test]
    fn subscription_names_follow_the_arm_pattern() {
        assert_eq!(SubscriptionName::parse("To-Ops").unwrap().as_str(), "to-ops");
        for bad in ["ab", "-abc", "abc-", "a_b", &"a".repeat(65)] {
            assert!(SubscriptionName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn service_names_follow_the_arm_pattern() {
        assert!(ServiceName::parse("dps").is_ok());
        for bad in ["ab", "123", "-abc", "abc-", "a_b", &"a".repeat(51)] {
            assert!(ServiceName::parse(bad).is_err(), "{bad}");
        }
    }
}
