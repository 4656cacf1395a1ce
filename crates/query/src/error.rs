//! Why a text is no query that is answered.

use std::fmt;

/// Why a text is not answered. It quotes no more of the text than one word of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryError {
    /// The text is longer than a query may be.
    TooLong {
        /// The bound, in bytes.
        bytes_max: usize,
    },
    /// Parentheses and negations nest too deep.
    TooDeep {
        /// The bound.
        levels: usize,
    },
    /// A string, a quoted name or a number does not end, or is not one.
    Token {
        /// Where it begins, in bytes.
        at: usize,
    },
    /// Something else belongs here.
    Expected {
        /// Where, in bytes.
        at: usize,
        /// What belongs here.
        what: &'static str,
    },
    /// It is of the language, but not answered here.
    Unsupported {
        /// What is not.
        what: &'static str,
    },
    /// A column is neither an aggregate nor grouped by.
    NotGrouped,
    /// The rows fall into too many groups.
    TooManyGroups {
        /// The bound.
        groups_max: usize,
    },
    /// Its FROM names another collection than the one that is asked.
    OtherCollection {
        /// What it names.
        named: String,
        /// What is asked.
        asked: &'static str,
    },
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes_max } => {
                write!(f, "The query is longer than {bytes_max} bytes: shorten it.")
            }
            Self::TooDeep { levels } => {
                write!(f, "The query nests deeper than {levels} levels: flatten it.")
            }
            Self::Token { at } => {
                write!(f, "The query has no whole string, name or number at byte {at}.")
            }
            Self::Expected { at, what } => {
                write!(f, "The query is not understood at byte {at}: {what} belongs there.")
            }
            Self::Unsupported { what } => {
                write!(f, "The query has {what}, which is not supported: leave it out.")
            }
            Self::NotGrouped => f.write_str(
                "The query selects a column that is neither an aggregate nor in GROUP BY: add it \
                 there.",
            ),
            Self::TooManyGroups { groups_max } => {
                write!(f, "The query makes more than {groups_max} groups: group by something else.")
            }
            Self::OtherCollection { named, asked } => write!(
                f,
                "The query is for {named:?}, but the address is for {asked}: make them the same."
            ),
        }
    }
}

impl std::error::Error for QueryError {}
