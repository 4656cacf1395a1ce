//! Queries over REST: their bodies, what they may name, what is told of a row.
//!
//! Source: `dps-service-api` §1.12, `iot-hub` §13.

mod paging;
#[cfg(test)]
mod tests;

pub use paging::{Address, Page, Paging};

use ::query::{Query, QueryError, Select, parse};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::ApiFault;
use crate::json::{read, utf8_json};

/// What a query is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    /// Individual enrollments.
    Enrollments,
    /// Enrollment groups.
    EnrollmentGroups,
    /// Registration records of a group.
    DeviceRegistrations,
    /// Devices of a hub, as their twins show them.
    Devices,
}

/// What a query's rows are, as `x-ms-item-type` says it; C# and Java demand the header, and for
/// hubs in this very case.
///
/// Source: `dps-service-api` §1.5, `iot-hub` §13.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemType {
    /// Individual enrollments.
    Enrollment,
    /// Enrollment groups.
    EnrollmentGroup,
    /// Registration records.
    DeviceRegistration,
    /// Whole twins.
    Twin,
    /// Columns or figures.
    Raw,
}

impl ItemType {
    /// The header's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enrollment => "Enrollment",
            Self::EnrollmentGroup => "EnrollmentGroup",
            Self::DeviceRegistration => "DeviceRegistration",
            Self::Twin => "Twin",
            Self::Raw => "Raw",
        }
    }
}

impl Collection {
    /// The name of it in a FROM.
    const fn name(self) -> &'static str {
        match self {
            Self::Enrollments => "enrollments",
            Self::EnrollmentGroups => "enrollmentGroups",
            Self::DeviceRegistrations => "deviceRegistrations",
            Self::Devices => "devices",
        }
    }

    /// Whether a FROM of this name means the collection. Records of a group are also asked for by
    /// the group's own collection: C# SDK, `provisioning/service/samples`, registration states.
    fn answers_to(self, named: &str) -> bool {
        let is = |collection: Self| named.eq_ignore_ascii_case(collection.name());
        is(self) || (self == Self::DeviceRegistrations && is(Self::EnrollmentGroups))
    }

    /// What the rows of a query of it are.
    pub fn item_type(self, query: &Query) -> ItemType {
        match (self, &query.select) {
            (Self::Enrollments, _) => ItemType::Enrollment,
            (Self::EnrollmentGroups, _) => ItemType::EnrollmentGroup,
            (Self::DeviceRegistrations, _) => ItemType::DeviceRegistration,
            (Self::Devices, Select::All) => ItemType::Twin,
            (Self::Devices, Select::Items(_)) => ItemType::Raw,
        }
    }
}

#[derive(Deserialize)]
struct SpecificationJson {
    query: Option<String>,
}

/// The text of a query; empty where there is no body, as `az` sends none for the records of a
/// group.
///
/// # Errors
/// As any JSON body.
pub fn text(body: &[u8]) -> Result<String, ApiFault> {
    if body.trim_ascii().is_empty() {
        return Ok(String::new());
    }
    let SpecificationJson { query } = read(body)?;
    Ok(query.map(|text| of_python(&text).map(str::to_owned).unwrap_or(text)).unwrap_or_default())
}

/// The query in the text form of a Python object, which is what `az` sends for a list:
/// `{'additional_properties': {}, 'query': 'SELECT *'}`.
///
/// Source: azure-iot-cli-extension `azext_iot/operations/dps.py`, seen on the wire.
fn of_python(text: &str) -> Option<&str> {
    let (_, value) = text.trim().strip_prefix('{')?.split_once("'query':")?;
    let value = value.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = value.strip_prefix(quote)?.strip_suffix('}')?.trim_end();
    inner.strip_suffix(quote)
}

/// Reads the text of a query of a collection.
///
/// A provisioning service lists everything for an empty text, for a lone star as in C's samples
/// (`prov_sc_query_sample.c`), and for one without FROM; a hub is told what is meant.
///
/// # Errors
/// [`ApiFault::Invalid`] for a text that is not understood or asks for what is not there.
pub fn asked(text: &str, collection: Collection) -> Result<Query, ApiFault> {
    let is_hub = collection == Collection::Devices;
    if matches!(text.trim(), "" | "*") && !is_hub {
        return Ok(Query::all());
    }
    let refused = |error: QueryError| ApiFault::Invalid(error.to_string());
    let query = parse(text).map_err(refused)?;
    match &query.from {
        Some(from) if !collection.answers_to(&from.collection) => {
            let named = from.collection.chars().take(64).collect();
            return Err(refused(QueryError::OtherCollection { named, asked: collection.name() }));
        }
        None if is_hub => {
            return Err(ApiFault::Invalid("The query has no FROM: add FROM devices.".to_owned()));
        }
        Some(_) | None => {}
    }
    if query.aggregates() && !is_hub {
        return Err(refused(QueryError::Unsupported { what: "GROUP BY or an aggregate" }));
    }
    Ok(query)
}

/// What a query tells of a row, as JSON; none where it does not mean the row.
pub fn told<T: Serialize>(query: &Query, row: &T) -> Option<Vec<u8>> {
    if query.filter.is_none() && query.select == Select::All {
        return Some(utf8_json(row));
    }
    let value = value(row);
    query.keeps(&value).then(|| match query.project(&value) {
        Some(columns) => utf8_json(&columns),
        None => utf8_json(row),
    })
}

/// A row as a query sees it.
#[expect(clippy::expect_used, reason = "see the message")]
pub fn value<T: Serialize>(row: &T) -> Value {
    serde_json::to_value(row).expect("rows have text keys only")
}

/// The body of rows that are JSON already.
pub fn array(rows: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![b'['];
    body.extend_from_slice(&rows.join(&b','));
    body.push(b']');
    body
}
