//! Counts that an instance may not pass: their bounds, how they are changed, how far they are used.

use std::fmt;

use model::limits;
use serde::{Deserialize, Serialize};

use crate::enrollment::Mechanism;
use crate::view::InstanceView;

/// Bounds on what an instance holds. Source: `dps-service-api` §7.
///
/// A bound below what is there already removes nothing: it lets no more in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Registration records (S-22, D-11).
    pub registrations: u64,
    /// Individual enrollments.
    pub individual_enrollments: u64,
    /// Enrollment groups of each attestation kind.
    pub enrollment_groups: u64,
    /// CA certificates.
    pub ca_certificates: u64,
    /// Linked hubs.
    #[serde(default = "linked_hubs_max")]
    pub linked_hubs: u64,
}

/// What an instance has that was written before the bound could be set.
const fn linked_hubs_max() -> u64 {
    limits::LINKED_HUBS_MAX
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            registrations: limits::REGISTRATIONS_MAX,
            individual_enrollments: limits::INDIVIDUAL_ENROLLMENTS_MAX,
            enrollment_groups: limits::ENROLLMENT_GROUPS_MAX,
            ca_certificates: limits::CA_CERTIFICATES_MAX,
            linked_hubs: linked_hubs_max(),
        }
    }
}

/// Bounds that an operator wants to be others; the rest stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaChange {
    /// Registration records.
    pub registrations: Option<u64>,
    /// Individual enrollments.
    pub individual_enrollments: Option<u64>,
    /// Enrollment groups of each attestation kind.
    pub enrollment_groups: Option<u64>,
    /// CA certificates.
    pub ca_certificates: Option<u64>,
    /// Linked hubs.
    pub linked_hubs: Option<u64>,
}

/// A bound that is none: more than an instance can be asked to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// The bound, as operators write it.
    pub of: &'static str,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the limit of {} is above {}", self.of, limits::QUOTA_MAX)
    }
}

impl std::error::Error for TooLarge {}

impl QuotaChange {
    /// The bounds once changed.
    ///
    /// # Errors
    /// [`TooLarge`] for the first bound above [`limits::QUOTA_MAX`].
    pub fn applied_to(&self, present: Quota) -> Result<Quota, TooLarge> {
        let bound = |of, wanted: Option<u64>, present| match wanted {
            Some(wanted) if wanted > limits::QUOTA_MAX => Err(TooLarge { of }),
            wanted => Ok(wanted.unwrap_or(present)),
        };
        Ok(Quota {
            registrations: bound("registrations", self.registrations, present.registrations)?,
            individual_enrollments: bound(
                "individualEnrollments",
                self.individual_enrollments,
                present.individual_enrollments,
            )?,
            enrollment_groups: bound(
                "enrollmentGroups",
                self.enrollment_groups,
                present.enrollment_groups,
            )?,
            ca_certificates: bound(
                "caCertificates",
                self.ca_certificates,
                present.ca_certificates,
            )?,
            linked_hubs: bound("linkedHubs", self.linked_hubs, present.linked_hubs)?,
        })
    }
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Registration records.
    Registrations,
    /// Individual enrollments.
    IndividualEnrollments,
    /// Enrollment groups by X.509.
    X509EnrollmentGroups,
    /// Enrollment groups by symmetric key.
    SymmetricKeyEnrollmentGroups,
    /// CA certificates.
    CaCertificates,
    /// Linked hubs.
    LinkedHubs,
    /// Shared access policies; their bound is fixed.
    AccessPolicies,
}

impl Limited {
    /// Its name, as operators read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registrations => "registrations",
            Self::IndividualEnrollments => "individualEnrollments",
            Self::X509EnrollmentGroups => "x509EnrollmentGroups",
            Self::SymmetricKeyEnrollmentGroups => "symmetricKeyEnrollmentGroups",
            Self::CaCertificates => "caCertificates",
            Self::LinkedHubs => "linkedHubs",
            Self::AccessPolicies => "accessPolicies",
        }
    }
}

/// One limit and how far it is used; more may be there than the limit, where that was lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// What is limited.
    pub of: Limited,
    /// How many there may be.
    pub limit: u64,
    /// How many there are.
    pub used: u64,
}

/// Every limit of an instance and its use (S-30). The two counts are those that the store keeps.
pub fn uses(view: &InstanceView, registrations: u64, individual_enrollments: u64) -> Vec<Use> {
    let quota = view.dps.quota;
    let groups = |mechanism| {
        let same = view.groups.iter().filter(|row| row.value.attestation.mechanism() == mechanism);
        number(same.count())
    };
    [
        (Limited::Registrations, quota.registrations, registrations),
        (Limited::IndividualEnrollments, quota.individual_enrollments, individual_enrollments),
        (Limited::X509EnrollmentGroups, quota.enrollment_groups, groups(Mechanism::X509)),
        (
            Limited::SymmetricKeyEnrollmentGroups,
            quota.enrollment_groups,
            groups(Mechanism::SymmetricKey),
        ),
        (Limited::CaCertificates, quota.ca_certificates, number(view.ca_certificates.len())),
        (Limited::LinkedHubs, quota.linked_hubs, number(view.dps.linked_hubs.len())),
        (
            Limited::AccessPolicies,
            number(limits::ACCESS_POLICIES_MAX),
            number(view.dps.policies.len()),
        ),
    ]
    .into_iter()
    .map(|(of, limit, used)| Use { of, limit, used })
    .collect()
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
