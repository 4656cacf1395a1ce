//! Limits of a provisioning service.

use provisioning::quota::{Quota, QuotaChange, Use};
use serde::{Deserialize, Serialize};

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

/// Limits to be set. A name that is none is refused, or else a slip of the pen would set nothing.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct QuotaRead {
    registrations: Option<u64>,
    individual_enrollments: Option<u64>,
    enrollment_groups: Option<u64>,
    ca_certificates: Option<u64>,
    linked_hubs: Option<u64>,
}

impl QuotaRead {
    pub(super) const fn change(self) -> QuotaChange {
        QuotaChange {
            registrations: self.registrations,
            individual_enrollments: self.individual_enrollments,
            enrollment_groups: self.enrollment_groups,
            ca_certificates: self.ca_certificates,
            linked_hubs: self.linked_hubs,
        }
    }
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
