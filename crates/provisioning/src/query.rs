//! Which queries of entries and records are answered.
//!
//! A query lists everything of one collection: no grammar is published, and `az` sends the text
//! form of a Python object. So any text is taken, unless it plainly asks for what would
//! not be given: another collection, or a part of this one.

use std::fmt;

/// What a query is asked of; the wire's words for a FROM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    /// Individual enrollments.
    Enrollments,
    /// Enrollment groups.
    EnrollmentGroups,
    /// Registration records of a group.
    DeviceRegistrations,
}

impl Collection {
    const fn name(self) -> &'static str {
        match self {
            Self::Enrollments => "enrollments",
            Self::EnrollmentGroups => "enrollmentGroups",
            Self::DeviceRegistrations => "deviceRegistrations",
        }
    }

    /// Whether a FROM of this name means the collection. Records of a group are also asked for by
    /// the group's own collection: C# SDK, `provisioning/service/samples`, registration states.
    fn answers_to(self, named: &str) -> bool {
        let is = |collection: Self| named.eq_ignore_ascii_case(collection.name());
        is(self) || (self == Self::DeviceRegistrations && is(Self::EnrollmentGroups))
    }
}

/// Why a query is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryError {
    /// It asks for another collection.
    OtherCollection {
        /// What was asked.
        asked: Collection,
        /// What it asks for.
        named: String,
    },
    /// It asks for a part only; to answer with the whole would mislead.
    Unsupported {
        /// The clause.
        clause: &'static str,
    },
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherCollection { asked, named } => write!(
                f,
                "The query is for {named:?}, but the address is for {}: make them the same",
                asked.name()
            ),
            Self::Unsupported { clause } => {
                write!(f, "The query has {clause}, which is not supported: list all and filter")
            }
        }
    }
}

impl std::error::Error for QueryError {}

/// Judges the text of a query.
///
/// # Errors
/// [`QueryError`] for a text that asks for something else than the whole collection.
pub fn check(text: &str, asked: Collection) -> Result<(), QueryError> {
    let is_mark = |c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.';
    let mut words = text.split(is_mark).filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        if is("from") {
            let named = words.peek().copied().unwrap_or_else(|| asked.name());
            if !asked.answers_to(named) {
                return Err(QueryError::OtherCollection { asked, named: named.to_owned() });
            }
        } else if is("where") {
            return Err(QueryError::Unsupported { clause: "WHERE" });
        } else if is("group") && words.peek().is_some_and(|next| next.eq_ignore_ascii_case("by")) {
            return Err(QueryError::Unsupported { clause: "GROUP BY" });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_01_any_text_lists_the_whole_collection() {
        for text in [
            "",
            "*",
            "SELECT *",
            "SELECT * FROM enrollments",
            "select * from ENROLLMENTS",
            "select *  from",
            "{'additional_properties': {}, 'query': 'SELECT *'}",
            "{'additional_properties': {}, 'query': 'SELECT * FROM enrollments'}",
            "SELECT registrationId FROM enrollments",
        ] {
            assert_eq!(check(text, Collection::Enrollments), Ok(()), "{text}");
        }
        let records = Collection::DeviceRegistrations;
        assert_eq!(check("SELECT * FROM enrollmentGroups", records), Ok(()));
        let groups = Collection::EnrollmentGroups;
        assert_eq!(check("SELECT * FROM enrollmentgroups", groups), Ok(()));
    }

    #[test]
    fn q_01_another_collection_is_refused() {
        let cases = [
            ("select * from devices", Collection::Enrollments, "devices"),
            ("SELECT * FROM enrollmentGroups", Collection::Enrollments, "enrollmentGroups"),
            ("SELECT * FROM enrollments", Collection::DeviceRegistrations, "enrollments"),
        ];
        for (text, asked, named) in cases {
            let named = named.to_owned();
            assert_eq!(check(text, asked), Err(QueryError::OtherCollection { asked, named }));
        }
    }

    #[test]
    fn a_filter_is_refused_rather_than_ignored() {
        for (text, clause) in [
            ("SELECT * FROM enrollments WHERE deviceId = 'a'", "WHERE"),
            ("select * where x=1", "WHERE"),
            ("SELECT * FROM enrollments group by x", "GROUP BY"),
        ] {
            let found = check(text, Collection::Enrollments);
            assert_eq!(found, Err(QueryError::Unsupported { clause }));
        }
    }
}
