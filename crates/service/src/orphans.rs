//! Records that deleted enrollment groups left behind (R-08, S-20 to S-24).

use model::{EnrollmentGroupId, ServiceName, limits};
use provisioning::registration::Registration;
use provisioning::view::Versioned;
use store::{Commit, Condition, Orphaned, Write};

use crate::{ApiError, Call, Fault, Found, Service};

/// Records that are deleted as one. Source: ours, as for loads; a registration beside it waits for
/// one such commit at the most.
const COMMIT_RECORDS_MAX: usize = 500;
/// Records that one call deletes. Source: ours, well below a second.
const CALL_RECORDS_MAX: usize = 5_000;

/// How far a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purged {
    /// Records that it deleted.
    pub deleted: u64,
    /// Whether there are more: call again.
    pub more: bool,
}

impl Service {
    /// How many records an enrollment group owns, those of earlier groups of its id included.
    ///
    /// # Errors
    /// [`ApiError::Fault`].
    pub async fn registration_count(
        &self,
        dps: &ServiceName,
        group: &EnrollmentGroupId,
    ) -> Result<u64, ApiError> {
        Ok(self.store.registration_count_of_group(dps, group).await?)
    }

    /// The deleted groups that left records behind, in the order of their ids, after a key.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] for the service.
    pub async fn orphaned(
        &self,
        dps: &ServiceName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Found<Orphaned>, ApiError> {
        self.dps(dps).await?;
        let page = self.store.orphaned(dps, after, limit).await?;
        Ok(Found { rows: page.views, next: page.next })
    }

    /// Deletes records that a deleted group left behind, a bounded number of them: to call again
    /// is to go on. Identities on hubs stay.
    ///
    /// A record that another entry takes over meanwhile is spared, and so are all once there is a
    /// group of this id again.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] for the service; `Invalid` while the group is there.
    pub async fn purge_orphaned(
        &self,
        call: &Call,
        dps: &ServiceName,
        group: &EnrollmentGroupId,
    ) -> Result<Purged, ApiError> {
        self.dps(dps).await?;
        let mut deleted = 0;
        let mut conflicts = 0;
        while deleted < CALL_RECORDS_MAX {
            if self.store.group(dps, group).await?.is_some() {
                return Err(ApiError::Invalid(format!(
                    "enrollment group {group} exists, so that its records are no orphans"
                )));
            }
            let room = COMMIT_RECORDS_MAX.min(CALL_RECORDS_MAX - deleted);
            let page = self.store.registrations_of_group(dps, group, None, room).await?;
            if page.rows.is_empty() {
                return Ok(Purged { deleted: count(deleted), more: false });
            }
            if self.apply(self.purge(call, dps, group, &page.rows)).await? {
                deleted += page.rows.len();
            } else if conflicts < limits::COMMIT_RETRIES_MAX {
                conflicts += 1;
            } else {
                return Err(ApiError::Fault(Fault::Contended));
            }
        }
        let left = self.store.registrations_of_group(dps, group, None, 1).await?;
        Ok(Purged { deleted: count(deleted), more: !left.rows.is_empty() })
    }

    fn purge(
        &self,
        call: &Call,
        dps: &ServiceName,
        group: &EnrollmentGroupId,
        records: &[Versioned<Registration>],
    ) -> Commit {
        let mut commit = Commit::default();
        commit.conditions.push(Condition::Group { dps: dps.clone(), id: group.clone(), at: None });
        for row in records {
            let id = &row.value.registration_id;
            commit.conditions.push(Condition::Registration {
                dps: dps.clone(),
                id: id.clone(),
                at: Some(row.revision),
            });
            commit.writes.push(Write::DeleteRegistration(dps.clone(), id.clone()));
            commit.audit.push(self.audit(call, "registration.delete", &format!("{dps}/{id}")));
        }
        commit
    }
}

fn count(records: usize) -> u64 {
    u64::try_from(records).unwrap_or(u64::MAX)
}
