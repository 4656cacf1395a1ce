//! Limits of a provisioning service.

use std::collections::BTreeMap;

use provisioning::quota::{Quota, QuotaChange, Use};
use serde::Serialize;
use serde_json::Value;

use crate::rest::error::ApiFault;

/// All limits that an operator can set.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QuotaJson {
    registrations: u64,
    individual_enrollments: u64,
    enrollment_groups: u64,
    ca_certificates: u64,
    linked_hubs: u64,
}

impl QuotaJson {
    pub(super) const fn of(quota: Quota) -> Self {
        let Quota {
            registrations,
            individual_enrollments,
            enrollment_groups,
            ca_certificates,
            linked_hubs,
        } = quota;
        Self {
            registrations,
            individual_enrollments,
            enrollment_groups,
            ca_certificates,
            linked_hubs,
        }
    }
}

/// Limits to be set, by their names.
pub(super) type QuotaRead = BTreeMap<String, Value>;

/// Reads the limits that are to be others. A name that is none is refused, or else a slip of the
/// pen would set nothing.
pub(super) fn change(read: QuotaRead) -> Result<QuotaChange, ApiFault> {
    let malformed = |because| ApiFault::Malformed { because };
    let mut change = QuotaChange::default();
    for (name, value) in read {
        let limit = match name.as_str() {
            "registrations" => &mut change.registrations,
            "individualEnrollments" => &mut change.individual_enrollments,
            "enrollmentGroups" => &mut change.enrollment_groups,
            "caCertificates" => &mut change.ca_certificates,
            "linkedHubs" => &mut change.linked_hubs,
            _ => {
                let given: String = name.chars().take(64).collect();
                return Err(malformed(format!(
                    "quota: there is no limit {given:?}; there are registrations, \
                     individualEnrollments, enrollmentGroups, caCertificates, linkedHubs"
                )));
            }
        };
        if !value.is_null() {
            let number = value.as_u64().ok_or_else(|| {
                malformed(format!("quota.{name}: is not a whole number of 0 or more"))
            })?;
            *limit = Some(number);
        }
    }
    Ok(change)
}

/// A limit and how far it is used.
#[derive(Serialize)]
pub struct UseJson {
    name: &'static str,
    limit: u64,
    used: u64,
}

/// A limit and how far it is used, as JSON.
pub const fn use_json(found: &Use) -> UseJson {
    UseJson { name: found.of.name(), limit: found.limit, used: found.used }
}

#[cfg(test)]
mod tests {
    use super::super::dps_body;
    use super::*;

    #[test]
    fn s_30_a_limit_that_is_none_is_told_with_its_name() {
        let check = |quota: &str, because: &str| {
            let body = format!(r#"{{"properties": {{"quota": {quota}}}}}"#);
            let fault = dps_body(body.as_bytes()).unwrap_err();
            let ApiFault::Malformed { because: told } = fault else { panic!("{fault:?}") };
            assert!(told.starts_with(because), "{told}");
        };
        check(r#"{"nosuch": 5}"#, "quota: there is no limit \"nosuch\"; there are registrations, ");
        for value in [r#""lots""#, "-1", "0.5", "[1]"] {
            let because = "quota.enrollmentGroups: is not a whole number of 0 or more";
            check(&format!(r#"{{"enrollmentGroups": {value}}}"#), because);
        }
        let body = br#"{"properties": {"quota": {"linkedHubs": 3, "registrations": null}}}"#;
        let change = QuotaChange { linked_hubs: Some(3), ..QuotaChange::default() };
        assert_eq!(dps_body(body).unwrap().quota, change);
    }
}
