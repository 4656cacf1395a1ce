//! The version of the protocol that a client speaks.

use std::fmt;

use crate::percent;
use crate::rest::error::ApiFault;

/// The first version whose clients know of reprovision policies. Source: `dps-service-api` R-20.
const REPROVISION_FIRST: &str = "2018-09-01";

/// The first version whose devices may ask for a certificate. Source: `dps-service-api` A-12.
const SIGNING_REQUEST_FIRST: &str = "2025-07-01";

/// A version: `YYYY-MM-DD`, perhaps with `-preview` behind it.
///
/// Every date is taken, whether Azure has published a version of it or not: clients come with new
/// ones every year, and none of those that were seen sends a member that breaks an older reader.
/// Source: `dps-service-api`; `dps-device-api` §1; `iot-hub` §1.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiVersion(String);

impl ApiVersion {
    /// Parses a version.
    ///
    /// # Errors
    /// [`ApiFault::MissingApiVersion`] for an empty text, [`ApiFault::UnknownApiVersion`] for one
    /// that is no date.
    pub fn parse(text: &str) -> Result<Self, ApiFault> {
        if text.is_empty() {
            return Err(ApiFault::MissingApiVersion);
        }
        match is_version(text) {
            true => Ok(Self(text.to_owned())),
            false => Err(ApiFault::UnknownApiVersion { given: shown(text) }),
        }
    }

    /// The version in the query of an address, the part behind its `?`.
    ///
    /// # Errors
    /// As [`ApiVersion::parse`].
    pub fn of_query(query: Option<&str>) -> Result<Self, ApiFault> {
        let value = query.and_then(|query| percent::value(query, "api-version"));
        Self::parse(&percent::decoded(value.unwrap_or_default()))
    }

    /// The text, as the client sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a client of this version knows of reprovision policies, so that its silence means
    /// the default.
    pub(crate) fn knows_reprovision_policies(&self) -> bool {
        self.0.as_str() >= REPROVISION_FIRST
    }

    /// Whether a device of this version may ask for a certificate.
    pub(crate) fn knows_signing_requests(&self) -> bool {
        self.0.as_str() >= SIGNING_REQUEST_FIRST
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_version(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let date = lower.strip_suffix("-preview").unwrap_or(&lower);
    let mut parts = date.split('-');
    let mut number = |width: usize| {
        let part = parts.next()?;
        let digits = part.len() == width && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<u16>().ok()).flatten()
    };
    let (year, month, day) = (number(4), number(2), number(2));
    parts.next().is_none()
        && year.is_some_and(|year| year >= 2000)
        && month.is_some_and(|month| (1..=12).contains(&month))
        && day.is_some_and(|day| (1..=31).contains(&day))
}

/// At most 32 characters of what a client sent, for a message.
fn shown(text: &str) -> String {
    text.chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_10_versions_are_dates() {
        for known in [
            "2017-08-31-preview",
            "2017-11-15",
            "2018-04-01",
            "2018-09-01-preview",
            "2019-03-31",
            "2021-06-01",
            "2021-10-01",
            "2021-11-01-preview",
            "2025-07-01-preview",
            "2026-11-15-preview",
            "2017-11-08-Preview",
        ] {
            assert_eq!(ApiVersion::parse(known).unwrap().as_str(), known);
        }
        for unknown in [
            "1",
            "latest",
            "2021-13-01",
            "2021-10-00",
            "2021-10",
            "2021-10-01-x",
            "21-10-01",
            "2021-10-01-",
            "+021-10-01",
            "2021-1-001",
            "0001-01-01",
            "2021-10-01-preview-preview",
        ] {
            assert!(
                matches!(ApiVersion::parse(unknown), Err(ApiFault::UnknownApiVersion { .. })),
                "{unknown}"
            );
        }
    }

    #[test]
    fn a_missing_version_is_told_from_an_unknown_one() {
        for query in [None, Some(""), Some("a=b"), Some("api-version"), Some("api-version=")] {
            let found = ApiVersion::of_query(query);
            assert!(matches!(found, Err(ApiFault::MissingApiVersion)), "{query:?}");
        }
        let query = Some("forceRegistration=true&API-Version=2021%2D10%2D01");
        assert_eq!(ApiVersion::of_query(query).unwrap().as_str(), "2021-10-01");
    }

    #[test]
    fn a_12_certificates_are_asked_for_since_2025_07() {
        let knows = |text| ApiVersion::parse(text).unwrap().knows_signing_requests();
        assert!(knows("2025-07-01-preview"));
        assert!(knows("2026-11-01"));
        assert!(!knows("2021-10-01"));
        assert!(!knows("2025-06-30-preview"));
    }

    #[test]
    fn r_20_reprovision_policies_came_in_2018_09() {
        let knows = |text| ApiVersion::parse(text).unwrap().knows_reprovision_policies();
        assert!(!knows("2018-04-01"));
        assert!(!knows("2017-08-31-preview"));
        assert!(knows("2018-09-01-preview"));
        assert!(knows("2018-09-01"));
        assert!(!knows("2018-08-31-preview"));
        assert!(knows("2021-10-01"));
    }
}
