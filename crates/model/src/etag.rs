//! Etags, conditional requests and row revisions.

use serde::{Deserialize, Serialize};

/// The version of a stored row, given by the store at each write; never used twice for one key.
///
/// A number without meaning beyond equality: not an order across rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// An entity tag without its surrounding quotes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Etag(String);

impl Etag {
    /// Makes an etag of a text, dropping one pair of quotes.
    pub fn new(text: &str) -> Self {
        Self(unquoted(text).to_owned())
    }

    /// The text without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text with its own quotes, as DPS writes it into JSON.
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

/// What the caller demands of the entity's present version.
///
/// Source: `dps-service-api`, `iot-hub` §2.4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IfMatch {
    /// No header, or an empty one: nothing is demanded.
    #[default]
    Absent,
    /// `*` or `"*"`: the entity must exist.
    Any,
    /// The entity's etag must be this one.
    Etag(Etag),
}

impl IfMatch {
    /// Reads the header's value in any of the spellings that SDKs use.
    pub fn parse(header: Option<&str>) -> Self {
        match header.map(|text| unquoted(text.trim())) {
            None | Some("") => Self::Absent,
            Some("*") => Self::Any,
            Some(text) => Self::Etag(Etag::new(text)),
        }
    }
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_29_if_match_spellings() {
        for any in ["*", "\"*\"", " * "] {
            assert_eq!(IfMatch::parse(Some(any)), IfMatch::Any);
        }
        assert_eq!(IfMatch::parse(None), IfMatch::Absent);
        assert_eq!(IfMatch::parse(Some("\"\"")), IfMatch::Absent);
        assert_eq!(IfMatch::parse(Some("\"x\"")), IfMatch::parse(Some("x")));
        assert_ne!(IfMatch::parse(Some("\"x")), IfMatch::parse(Some("x")));
    }
}
