//! What a twin may hold (`iot-hub` §4.4).

use std::fmt;

use serde_json::{Map, Number, Value};

use super::Section;

/// The greatest size of one half's values as JSON, in bytes.
const SECTION_BYTES_MAX: usize = 32 * 1024;
/// The greatest size of the tags as JSON, in bytes.
const TAGS_BYTES_MAX: usize = 8 * 1024;
/// The greatest length of a key, in bytes.
const KEY_BYTES_MAX: usize = 1024;
/// The greatest length of a string, in bytes.
const STRING_BYTES_MAX: usize = 4096;
/// The deepest nesting, in levels.
const LEVELS_MAX: usize = 10;
/// The least integer.
const INTEGER_MIN: i64 = -4_503_599_627_370_496;
/// The greatest integer.
const INTEGER_MAX: i64 = 4_503_599_627_370_495;

/// Why a twin can not be written so. A place is named by its keys, cut short where it is long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TwinError {
    /// Objects and arrays nest too deep.
    TooDeep {
        /// Where.
        at: String,
    },
    /// A key is empty, too long, or has a control character, `.`, `$` or a space.
    Key {
        /// Below what.
        at: String,
    },
    /// A string is too long.
    StringTooLong {
        /// Where.
        at: String,
    },
    /// An integer is out of bounds.
    Integer {
        /// Where.
        at: String,
    },
    /// The tags or one half of the properties are too large.
    TooLarge {
        /// Which.
        what: &'static str,
        /// Their size as JSON.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
}

impl fmt::Display for TwinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooDeep { at } => write!(f, "{at:?} nests deeper than {LEVELS_MAX} levels"),
            Self::Key { at } => write!(
                f,
                "{at:?} has a key that is empty, longer than {KEY_BYTES_MAX} bytes or has one of \
                 '.', '$', ' ' or a control character"
            ),
            Self::StringTooLong { at } => {
                write!(f, "{at:?} is longer than {STRING_BYTES_MAX} bytes")
            }
            Self::Integer { at } => {
                write!(f, "{at:?} is an integer out of {INTEGER_MIN} to {INTEGER_MAX}")
            }
            Self::TooLarge { what, bytes, bytes_max } => {
                write!(f, "the {what} take {bytes} bytes, more than {bytes_max}")
            }
        }
    }
}

impl std::error::Error for TwinError {}

/// Whether a device may report this.
///
/// # Errors
/// [`TwinError`].
pub fn check_reported(patch: &Map<String, Value>) -> Result<(), TwinError> {
    check_object(patch, 1, "reported")
}

/// Whether one half is small enough.
///
/// # Errors
/// [`TwinError::TooLarge`].
pub fn check_size(section: &Section) -> Result<(), TwinError> {
    size("properties", &section.values, SECTION_BYTES_MAX)
}

/// Whether a twin may begin with this (T-02 of `dps-service-api`).
///
/// # Errors
/// [`TwinError`].
pub fn check_initial(
    tags: &Map<String, Value>,
    desired: &Map<String, Value>,
) -> Result<(), TwinError> {
    check_object(tags, 1, "tags")?;
    check_tags_size(tags)?;
    check_object(desired, 1, "desired")?;
    size("properties", desired, SECTION_BYTES_MAX)
}

pub(super) fn check_tags_size(tags: &Map<String, Value>) -> Result<(), TwinError> {
    size("tags", tags, TAGS_BYTES_MAX)
}

fn size(
    what: &'static str,
    values: &Map<String, Value>,
    bytes_max: usize,
) -> Result<(), TwinError> {
    let bytes = serde_json::to_vec(values).map(|json| json.len()).unwrap_or(usize::MAX);
    match bytes <= bytes_max {
        true => Ok(()),
        false => Err(TwinError::TooLarge { what, bytes, bytes_max }),
    }
}

pub(super) fn check_object(
    object: &Map<String, Value>,
    level: usize,
    at: &str,
) -> Result<(), TwinError> {
    if level > LEVELS_MAX {
        return Err(TwinError::TooDeep { at: place(at) });
    }
    for (key, value) in object {
        let odd = |c: char| c.is_control() || ".$ ".contains(c);
        if key.is_empty() || key.len() > KEY_BYTES_MAX || key.chars().any(odd) {
            return Err(TwinError::Key { at: place(at) });
        }
        check_value(value, level, &format!("{at}.{key}"))?;
    }
    Ok(())
}

fn check_value(value: &Value, level: usize, at: &str) -> Result<(), TwinError> {
    let is_out = |number: &Number| match (number.as_i64(), number.as_u64()) {
        (Some(whole), _) => !(INTEGER_MIN..=INTEGER_MAX).contains(&whole),
        (None, Some(_)) => true,
        (None, None) => false,
    };
    match value {
        Value::Object(child) => check_object(child, level + 1, at),
        Value::Array(_) if level >= LEVELS_MAX => Err(TwinError::TooDeep { at: place(at) }),
        Value::Array(some) => some.iter().try_for_each(|one| check_value(one, level + 1, at)),
        Value::String(text) if text.len() > STRING_BYTES_MAX => {
            Err(TwinError::StringTooLong { at: place(at) })
        }
        Value::Number(number) if is_out(number) => Err(TwinError::Integer { at: place(at) }),
        Value::String(_) | Value::Number(_) | Value::Null | Value::Bool(_) => Ok(()),
    }
}

/// At most 64 characters of a place.
fn place(at: &str) -> String {
    at.chars().take(64).collect()
}
