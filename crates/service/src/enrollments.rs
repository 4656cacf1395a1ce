//! Enrollments, as operators write and read them.

use model::{EnrollmentGroupId, IfMatch, RegistrationId, ServiceName, limits};
use provisioning::draft::{self, DraftError, GroupDraft, IndividualDraft};
use provisioning::enrollment::{Entry, EntryId, Group, Individual, Mechanism, Stamp};
use provisioning::registration::Registration;
use provisioning::view::{InstanceView, Versioned};
use store::{Commit, Condition, Counted, Write};

use crate::instances::demanded;
use crate::{ApiError, Call, Fault, Service, environment};

impl Service {
    /// One individual enrollment, with the record of its id.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn individual(
        &self,
        dps: &ServiceName,
        id: &RegistrationId,
    ) -> Result<(Individual, Option<Registration>), ApiError> {
        let row = self.store.individual(dps, id).await?.ok_or(ApiError::NotFound)?;
        let record = self.store.registration(dps, id).await?.map(|row| row.value);
        Ok((row.value, record))
    }

    /// Creates or replaces an individual enrollment.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn put_individual(
        &self,
        call: &Call,
        dps: &ServiceName,
        draft: &IndividualDraft,
        if_match: &IfMatch,
    ) -> Result<Individual, ApiError> {
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let view = self.store.instance(dps).await?.ok_or(ApiError::NotFound)?;
            let id = &draft.registration_id;
            let present = self.store.individual(dps, id).await?;
            let old = present.as_ref().map(|row| &row.value);
            may_write(if_match, old.map(|old| &old.stamp))?;
            let room = match old {
                None => Some(self.room_for_individual(&view).await?),
                Some(_) => None,
            };
            let stamp = self.stamp(old.map(|old| &old.stamp));
            let mut keys = || environment::key::<64>(self.entropy.as_ref());
            let fresh = draft::individual(draft, old, &view, &mut keys, stamp)?;
            let mut conditions = vec![
                Condition::Instance { dps: dps.clone(), generation: Some(view.generation) },
                Condition::Individual {
                    dps: dps.clone(),
                    id: id.clone(),
                    at: present.as_ref().map(|row| row.revision),
                },
            ];
            conditions.extend(self.claims_are_free(dps, &fresh).await?);
            conditions.extend(room);
            let commit = Commit {
                conditions,
                writes: vec![Write::Individual(dps.clone(), Box::new(fresh.clone()))],
                changes: Vec::new(),
                audit: vec![self.audit(call, "enrollment.put", &format!("{dps}/{id}"))],
            };
            if self.apply(commit).await? {
                return Ok(fresh);
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    /// That one more individual enrollment is within the quota: by what is read now, so that a
    /// refusal needs no commit, and as what the commit rests on.
    async fn room_for_individual(&self, view: &InstanceView) -> Result<Condition, ApiError> {
        let (dps, max) = (&view.dps.name, view.dps.quota.individual_enrollments);
        let reached = ApiError::QuotaReached { what: "individual enrollments", max };
        match max.checked_sub(1) {
            Some(count) if self.store.individual_count(dps).await? <= count => {
                Ok(Condition::AtMost { dps: dps.clone(), of: Counted::Individuals, count })
            }
            Some(_) | None => Err(reached),
        }
    }

    /// V-12 and V-30 among individuals: a certificate or an endorsement key belongs to one entry;
    /// what was looked at becomes a condition.
    async fn claims_are_free(
        &self,
        dps: &ServiceName,
        fresh: &Individual,
    ) -> Result<Vec<Condition>, ApiError> {
        let mut conditions = Vec::new();
        for thumbprint in draft::claims_of(fresh) {
            let holders = self.store.individuals_by_leaf(dps, &thumbprint).await?;
            let other =
                holders.iter().find(|row| row.value.registration_id != fresh.registration_id);
            if let Some(other) = other {
                return Err(in_use(fresh, Entry::Individual(&other.value).reference().id));
            }
            conditions.push(Condition::IndividualsByLeaf {
                dps: dps.clone(),
                thumbprint,
                at: holders.iter().map(|row| row.revision).collect(),
            });
        }
        Ok(conditions)
    }

    /// Deletes an individual enrollment with the record that it owns (D-12).
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_individual(
        &self,
        call: &Call,
        dps: &ServiceName,
        id: &RegistrationId,
        if_match: &IfMatch,
    ) -> Result<(), ApiError> {
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let row = self.store.individual(dps, id).await?.ok_or(ApiError::NotFound)?;
            demanded(if_match, Some(&row.value.stamp.etag))?;
            let owner = Entry::Individual(&row.value).reference();
            let commit = Commit {
                conditions: vec![Condition::Individual {
                    dps: dps.clone(),
                    id: id.clone(),
                    at: Some(row.revision),
                }],
                writes: vec![
                    Write::DeleteIndividual(dps.clone(), id.clone()),
                    Write::DeleteRegistrationsOwnedBy(dps.clone(), owner),
                ],
                changes: Vec::new(),
                audit: vec![self.audit(call, "enrollment.delete", &format!("{dps}/{id}"))],
            };
            if self.apply(commit).await? {
                return Ok(());
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    /// One enrollment group.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn group(
        &self,
        dps: &ServiceName,
        id: &EnrollmentGroupId,
    ) -> Result<Group, ApiError> {
        let row = self.store.group(dps, id).await?.ok_or(ApiError::NotFound)?;
        Ok(row.value)
    }

    /// All enrollment groups in the order of their ids; the quota keeps them few.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] for the service.
    pub async fn groups(&self, dps: &ServiceName) -> Result<Vec<Versioned<Group>>, ApiError> {
        let view = self.store.instance(dps).await?.ok_or(ApiError::NotFound)?;
        let mut groups = view.groups.clone();
        groups.sort_by(|a, b| a.value.id.cmp(&b.value.id));
        Ok(groups)
    }

    /// Creates or replaces an enrollment group.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn put_group(
        &self,
        call: &Call,
        dps: &ServiceName,
        draft: &GroupDraft,
        if_match: &IfMatch,
    ) -> Result<Group, ApiError> {
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let view = self.store.instance(dps).await?.ok_or(ApiError::NotFound)?;
            let id = &draft.id;
            let present = view.groups.iter().find(|row| row.value.id == *id);
            let old = present.map(|row| &row.value);
            may_write(if_match, old.map(|old| &old.stamp))?;
            let stamp = self.stamp(old.map(|old| &old.stamp));
            let mut keys = || environment::key::<64>(self.entropy.as_ref());
            let fresh = draft::group(draft, old, &view, &mut keys, stamp)?;
            if old.is_none() {
                group_fits(&view, fresh.attestation.mechanism())?;
            }
            let mut conditions =
                vec![Condition::Instance { dps: dps.clone(), generation: Some(view.generation) }];
            for thumbprint in draft::signing_certificates_of(&fresh) {
                let holders = self.store.individuals_by_leaf(dps, &thumbprint).await?;
                if let Some(holder) = holders.first() {
                    let by = Entry::Individual(&holder.value).reference().id;
                    return Err(ApiError::Draft(DraftError::CertificateInUse { by }));
                }
                conditions.push(Condition::IndividualsByLeaf {
                    dps: dps.clone(),
                    thumbprint,
                    at: Vec::new(),
                });
            }
            let commit = Commit {
                conditions,
                writes: vec![Write::Group(dps.clone(), Box::new(fresh.clone()))],
                changes: Vec::new(),
                audit: vec![self.audit(call, "enrollmentGroup.put", &format!("{dps}/{id}"))],
            };
            if self.apply(commit).await? {
                return Ok(fresh);
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    /// Deletes an enrollment group; its records stay as orphans (D-12, R-08).
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_group(
        &self,
        call: &Call,
        dps: &ServiceName,
        id: &EnrollmentGroupId,
        if_match: &IfMatch,
    ) -> Result<(), ApiError> {
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let row = self.store.group(dps, id).await?.ok_or(ApiError::NotFound)?;
            demanded(if_match, Some(&row.value.stamp.etag))?;
            let commit = Commit {
                conditions: vec![Condition::Group {
                    dps: dps.clone(),
                    id: id.clone(),
                    at: Some(row.revision),
                }],
                writes: vec![Write::DeleteGroup(dps.clone(), id.clone())],
                changes: Vec::new(),
                audit: vec![self.audit(call, "enrollmentGroup.delete", &format!("{dps}/{id}"))],
            };
            if self.apply(commit).await? {
                return Ok(());
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    /// The stamp of a write: a new etag, the old creation time.
    pub(crate) fn stamp(&self, old: Option<&Stamp>) -> Stamp {
        let now = self.now();
        Stamp {
            etag: environment::etag(self.entropy.as_ref()),
            created: old.map_or(now, |old| old.created),
            updated: now,
        }
    }
}

///
fn may_write(if_match: &IfMatch, present: Option<&Stamp>) -> Result<(), ApiError> {
    match (if_match, present) {
        (IfMatch::Absent, Some(_)) => Err(ApiError::AlreadyExists),
        (_, present) => demanded(if_match, present.map(|stamp| &stamp.etag)),
    }
}

/// The refusal of what another individual enrollment holds (V-12, V-30).
pub(crate) fn in_use(fresh: &Individual, by: EntryId) -> ApiError {
    ApiError::Draft(draft::in_use(fresh, by))
}

fn group_fits(view: &InstanceView, mechanism: Mechanism) -> Result<(), ApiError> {
    let max = view.dps.quota.enrollment_groups;
    let same = view.groups.iter().filter(|row| row.value.attestation.mechanism() == mechanism);
    match u64::try_from(same.count()).unwrap_or(u64::MAX) >= max {
        true => Err(ApiError::QuotaReached { what: "enrollment groups of this kind", max }),
        false => Ok(()),
    }
}
