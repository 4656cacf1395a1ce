//! A registration whose device goes to a hub that lives elsewhere, or comes from one.

use std::sync::Arc;

use attestation::SymmetricKey;
use hub::identity::{Authentication, Device, DeviceStatus};
use hub::provision::Provisioned;
use hub::twin::Twin;
use model::{DeviceId, Timestamp, limits};
use provisioning::allocation::custom::Consulted;
use provisioning::decide::{Decision, HubCredential, Placement, TwinPlan, Verdict};
use provisioning::explain::Outcome;
use provisioning::registration::{Pending, Registration, RegistrationStatus};
use provisioning::remote::{self, Job, Left, MadeKeys, Miss, Phase};
use provisioning::reprovision;
use provisioning::view::{RegistrationView, Versioned};
use store::{Commit, Condition, Write};

use super::identity::{Identity, leave, wanted};
use super::{Claim, Turn};
use crate::{Fault, Service, environment, jobs};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A job that has written all, or could not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Performed<'a> {
    /// The job.
    pub(crate) job: &'a Versioned<Job>,
    /// Why it could not.
    pub(crate) miss: Option<&'a Miss>,
}

/// What becomes of an assignment to, or from, a hub elsewhere.
pub(super) enum Elsewhere {
    /// The commit makes the record wait for a job.
    Waits,
    /// It waits already, for the same: by this operation.
    Stands(String),
    /// The commit concludes the registration.
    Assigned,
    /// Another assignment by now: the job is none of its.
    Overtaken,
}

/// Whether a placement has anything to do with hubs elsewhere.
pub(super) fn is_elsewhere(view: &RegistrationView, place: &Placement) -> bool {
    let (to, from) = remote::registries(&view.instance.dps, place);
    to.is_some() || from.is_some()
}

/// The decision as the job's end leaves it, with a word about that in its story.
pub(super) fn ended(mut decision: Decision, performed: Performed<'_>) -> Decision {
    let Performed { job, miss } = performed;
    let result = match miss {
        None => "the identity is written".to_owned(),
        Some(miss) => remote::because(miss),
    };
    remote::noted(&mut decision, jobs::told_of(&job.value), &result);
    match miss {
        Some(miss) => remote::failed(decision, &remote::failure(miss)),
        None => decision,
    }
}

/// What a job's end writes beside the record, where that is not assigned: the phase that takes the
/// writes back.
pub(super) fn unassigned(commit: &mut Commit, job: &Versioned<Job>) {
    then(commit, job, job.value.undone());
}

fn then(commit: &mut Commit, job: &Versioned<Job>, phase: Option<Phase>) {
    let Versioned { value, revision } = job;
    let (dps, id) = (value.dps.clone(), value.request.registration_id.clone());
    commit.writes.push(match phase {
        Some(phase) => Write::Job(Box::new(Job { phase, ..value.clone() })),
        None => Write::DeleteJob(dps.clone(), id.clone()),
    });
    commit.conditions.push(Condition::Job { dps, id, at: Some(*revision) });
}

impl Service {
    /// Makes of a commit that assigns one that waits for a job, which it makes where the
    /// registration has none.
    pub(super) async fn begin_elsewhere(
        &self,
        commit: &mut Commit,
        claim: Claim<'_>,
        turn: Turn<'_>,
        view: &RegistrationView,
        place: Placement,
        record: &mut Registration,
    ) -> Result<Elsewhere, Fault> {
        let id = &claim.request.registration_id;
        let waiting = self.store.job(claim.dps, id).await?;
        let old = view.registration.as_ref().map(|found| &found.value);
        if let (Some(Versioned { value: job, .. }), Some(old), Turn::First) = (&waiting, old, turn)
            && job.is_active()
            && job.operation_id == old.operation_id
            && old.pending.as_ref() == Some(&Pending::of(claim.request, claim.evidence))
            && job.is_for(&place)
        {
            return Ok(Elsewhere::Stands(old.operation_id.clone()));
        }
        record.status = RegistrationStatus::Assigning;
        record.substatus = None;
        record.payload = None;
        record.pending = Some(Pending::of(claim.request, claim.evidence));
        record.assignment = old.and_then(|old| old.assignment.clone());
        // An order stands until the device was assigned, and is judged by again then.
        record.reprovision = old.and_then(|old| old.reprovision);
        record.assigned_at = old.and_then(|old| old.assigned_at);
        if let Some(old) = old {
            record.owner = old.owner.clone();
        }
        let hub = place.to.hub.clone();
        Arc::make_mut(&mut record.explanation).outcome = Outcome::Provisioning { hub };
        commit.conditions.push(Condition::Job {
            dps: claim.dps.clone(),
            id: id.clone(),
            at: waiting.as_ref().map(|found| found.revision),
        });
        if waiting.is_none() {
            let consulted = match turn {
                Turn::Further { consulted, .. } => consulted.cloned(),
                Turn::First | Turn::Performed(_) => None,
            };
            let job = self.job(claim, view, place, consulted, record)?;
            commit.writes.push(Write::Job(Box::new(job)));
        }
        Ok(Elsewhere::Waits)
    }

    fn job(
        &self,
        claim: Claim<'_>,
        view: &RegistrationView,
        place: Placement,
        consulted: Option<Consulted>,
        record: &Registration,
    ) -> Result<Job, Fault> {
        let (to, from) = remote::registries(&view.instance.dps, &place);
        let made = match (&place.credential, &to) {
            (HubCredential::Wrapped, Some(_)) => {
                let fresh =
                    || environment::key::<{ limits::HUB_KEY_GENERATED_BYTES }>(&*self.entropy);
                let primary: SymmetricKey = fresh();
                let wrapped = self.wrapped(claim.evidence, &primary, place.to.hub.as_str())?;
                let wrapped = wrapped.map(|wrapped| STANDARD.encode(wrapped));
                Some(MadeKeys { primary, secondary: fresh(), wrapped })
            }
            (
                HubCredential::Wrapped
                | HubCredential::Issued(_)
                | HubCredential::Sas { .. }
                | HubCredential::SelfSigned { .. },
                _,
            ) => None,
        };
        Ok(Job {
            dps: claim.dps.clone(),
            operation_id: record.operation_id.clone(),
            request: claim.request.clone(),
            evidence: claim.evidence.clone(),
            consulted,
            place,
            made,
            to,
            from,
            phase: Phase::Begun,
            begun: record.updated,
        })
    }

    /// What a job that has written all concludes with, in one commit: the record, what belongs to
    /// it on hubs of this server, and the end of the job.
    pub(super) async fn end_elsewhere(
        &self,
        commit: &mut Commit,
        claim: Claim<'_>,
        job: &Versioned<Job>,
        view: &RegistrationView,
        place: Placement,
        record: &mut Registration,
    ) -> Result<Elsewhere, Fault> {
        if !job.value.is_for(&place) {
            return Ok(Elsewhere::Overtaken);
        }
        let now = record.updated;
        then(commit, job, job.value.assigned());
        if job.value.to.is_none() {
            let authentication: Authentication =
                self.authentication(view, &place, claim.evidence, record)?;
            let wanted = wanted(view, record, &place, authentication);
            let left = job.value.left().zip(place.from.as_ref());
            let left = left.map(|(left, from)| moved(left, from.device_id.clone(), now));
            let was = self.place(commit, place, wanted, Identity::Read, left, now).await?;
            reprovision::identity_was(was, record, &claim.request.api_version);
            return Ok(Elsewhere::Assigned);
        }
        if let (Some(tpm), Some(made)) = (&mut record.tpm, &job.value.made) {
            tpm.authentication_key = made.wrapped.clone();
        }
        if job.value.from.is_none()
            && let Some(from) = place.from
        {
            let left = self.store.device(&from.hub, &from.device_id).await?;
            let copied = job.value.left().and_then(Left::revision);
            let is_copied = left.as_ref().map(|left| left.twin.revision) == copied;
            let is_disabled =
                left.as_ref().map(|left| left.device.value.status == DeviceStatus::Disabled);
            let was_disabled = job.value.left().map(|left| left.disabled.is_some());
            if is_disabled != was_disabled || (place.twin == TwinPlan::Migrate && !is_copied) {
                return Ok(Elsewhere::Overtaken);
            }
            leave(commit, from, left.as_ref());
        }
        Ok(Elsewhere::Assigned)
    }
}

/// An identity of a hub elsewhere, as far as it is taken along: its status and its twin.
fn moved(left: &Left, id: DeviceId, now: Timestamp) -> Provisioned {
    let mut device = Device::new(id, Authentication::None, now);
    if let Some(disabled) = &left.disabled {
        device.status = DeviceStatus::Disabled;
        device.status_reason = disabled.reason.clone();
    }
    let mut twin = Twin::initial(left.twin.tags.clone(), &left.twin.desired, now);
    if !left.twin.reported.is_empty() {
        twin.report(&left.twin.reported, now);
    }
    Provisioned { device, twin }
}

/// Whether a verdict would assign.
pub(super) const fn assigns(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Assign(_) | Verdict::Keep(_))
}
