//! Queries: their bodies, their pages, their headers (§1.12).

use model::limits::{QUERY_PAGE_DEFAULT, QUERY_PAGE_MAX};
use serde::Deserialize;

use super::token;
use crate::json::read;
use crate::percent;
use crate::rest::error::ApiFault;

/// What a query's rows are, as the header names it; C# and Java demand the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemType {
    /// Individual enrollments.
    Enrollment,
    /// Enrollment groups.
    EnrollmentGroup,
    /// Registration records.
    DeviceRegistration,
}

impl ItemType {
    /// The header's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enrollment => "enrollment",
            Self::EnrollmentGroup => "enrollmentGroup",
            Self::DeviceRegistration => "deviceRegistration",
        }
    }
}

/// How many rows, after which one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Rows at the most, 1..=1000.
    pub limit: usize,
    /// The last key of the page before.
    pub after: Option<String>,
}

/// Reads `x-ms-max-item-count` and `x-ms-continuation`.
///
/// # Errors
/// [`ApiFault::Header`] for a count that is no number.
pub fn page(count: Option<&str>, continuation: Option<&str>) -> Result<PageRequest, ApiFault> {
    let limit = match count.map(str::trim) {
        None | Some("" | "0") => QUERY_PAGE_DEFAULT,
        Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            // A number past all bounds is past this one as well.
            text.parse().unwrap_or(QUERY_PAGE_MAX).clamp(1, QUERY_PAGE_MAX)
        }
        Some(_) => return Err(ApiFault::Header { name: "x-ms-max-item-count" }),
    };
    let after = continuation
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(|text| percent::decoded(text).into_owned());
    Ok(PageRequest { limit, after })
}

/// The headers of a page. `next` is its last key where more follow: the header is left out on the
/// last page, because Node goes on for as long as it is there.
///
/// Source: `dps-service-api` §1.5, §8.
pub fn headers(item: ItemType, limit: usize, next: Option<&str>) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("x-ms-item-type", item.as_str().to_owned()),
        ("x-ms-max-item-count", limit.to_string()),
    ];
    headers.extend(next.map(|last| ("x-ms-continuation", token(last))));
    headers
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
    Ok(query.unwrap_or_default())
}
