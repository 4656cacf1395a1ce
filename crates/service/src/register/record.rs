//! The record that a registration leaves, and what its commit rests on.

use std::sync::Arc;

use attestation::SymmetricKey;
use model::{RegistrationId, Timestamp, limits};
use provisioning::decide::{Conclusion, Verdict};
use provisioning::enrollment::{EntryId, EntryRef, Mechanism};
use provisioning::explain::Explanation;
use provisioning::registration::{Pending, Registration, RegistrationStatus, TpmRegistration};
use provisioning::reprovision::assigned_at;
use provisioning::view::{Evidence, RegistrationView};
use store::{AuditLine, Commit, Condition, Counted, RefusedBound, Write};

use super::Claim;
use crate::Call;

/// Operations before the latest one that a device may still poll.
const EARLIER_OPERATIONS_MAX: usize = 3;

/// What an accepted registration writes beside its record and its identity, and what it rests on.
pub(super) fn commit_for(
    call: &Call,
    view: &RegistrationView,
    verdict: &Verdict,
    record: &Registration,
    evidence: &Evidence,
    now: Timestamp,
) -> Commit {
    let dps = &view.instance.dps.name;
    let mut commit = Commit { conditions: rests_on(view, evidence, record), ..Commit::default() };
    commit.conditions.extend(room(view, record));
    commit.audit.push(AuditLine {
        at: now,
        actor: format!("device {}", record.registration_id),
        action: format!("registration.{:?}", record.status).to_lowercase(),
        subject: format!("{dps}/{}", record.registration_id),
        tracking_id: call.tracking_id.clone(),
    });
    if matches!(verdict, Verdict::Conclude(_)) && !record.counts() {
        commit.writes.push(Write::BoundRefused(RefusedBound {
            dps: dps.clone(),
            owner: record.owner.clone(),
            keep: limits::REFUSED_RECORDS_PER_ENTRY_MAX.saturating_sub(1),
        }));
    }
    commit
}

/// What the record keeps of a TPM that has answered.
pub(super) fn tpm(evidence: &Evidence, answered: Option<SymmetricKey>) -> Option<TpmRegistration> {
    let (Evidence::Tpm(shown), Some(challenge_key)) = (evidence, answered) else { return None };
    let endorsement_key = shown.endorsement_key.name().digest();
    Some(TpmRegistration { endorsement_key, challenge_key, authentication_key: None })
}

/// The record that an attempt leaves (D-10, R-12, R-14).
pub(super) fn record(
    verdict: &Verdict,
    view: &RegistrationView,
    claim: Claim<'_>,
    explanation: Arc<Explanation>,
    operation_id: &str,
    now: Timestamp,
) -> Registration {
    let old = view.registration.as_ref().map(|found| &found.value);
    let decided_by = decided_by(verdict, old);
    let owner = match (verdict, old) {
        (Verdict::Assign(_) | Verdict::Keep(_), _) | (_, None) => decided_by.clone(),
        (
            Verdict::Consult(_) | Verdict::Conclude(_) | Verdict::Challenge(_) | Verdict::Reject(_),
            Some(old),
        ) => old.owner.clone(),
    };
    let (status, substatus, failure, assignment) = match verdict {
        Verdict::Assign(place) | Verdict::Keep(place) => {
            let assignment = Some(place.to.clone());
            (RegistrationStatus::Assigned, Some(place.substatus), None, assignment)
        }
        Verdict::Consult(_) => {
            let kept = old.and_then(|old| old.assignment.clone());
            (RegistrationStatus::Assigning, None, None, kept)
        }
        Verdict::Conclude(Conclusion::Failed { failure, .. }) => {
            let kept = old.and_then(|old| old.assignment.clone());
            (RegistrationStatus::Failed, None, Some(failure.clone()), kept)
        }
        Verdict::Conclude(Conclusion::Disabled { .. })
        | Verdict::Challenge(_)
        | Verdict::Reject(_) => {
            let kept = old.and_then(|old| old.assignment.clone());
            (RegistrationStatus::Disabled, None, None, kept)
        }
    };
    let (payload, assigned_by) = match verdict {
        Verdict::Assign(place) | Verdict::Keep(place) => {
            (place.payload.clone(), Some(&place.entry))
        }
        Verdict::Consult(_) | Verdict::Conclude(_) | Verdict::Challenge(_) | Verdict::Reject(_) => {
            (None, None)
        }
    };
    let earlier = old
        .into_iter()
        .flat_map(|old| std::iter::once(&old.operation_id).chain(&old.earlier_operation_ids));
    let earlier = earlier.filter(|earlier| *earlier != operation_id).cloned();
    Registration {
        registration_id: old
            .map_or(&explanation.registration_id, |old| &old.registration_id)
            .clone(),
        owner,
        decided_by,
        status,
        substatus,
        assignment,
        failure,
        payload,
        pending: matches!(verdict, Verdict::Consult(_))
            .then(|| Pending::of(claim.request, claim.evidence)),
        // Whoever was assigned has followed; whoever was not has yet to.
        reprovision: old.filter(|_| assigned_by.is_none()).and_then(|old| old.reprovision),
        assigned_at: match assigned_by {
            Some(entry) => Some(assigned_at(view.entry(entry), now)),
            None => old.and_then(|old| old.assigned_at),
        },
        operation_id: operation_id.to_owned(),
        earlier_operation_ids: earlier.take(EARLIER_OPERATIONS_MAX).collect(),
        mechanism: explanation.mechanism.unwrap_or(Mechanism::X509),
        tpm: None,
        // Of an assignment the caller says it; all else keeps it for a request that comes again.
        issued: match verdict {
            Verdict::Assign(_) | Verdict::Keep(_) => None,
            Verdict::Consult(_)
            | Verdict::Conclude(_)
            | Verdict::Challenge(_)
            | Verdict::Reject(_) => old.and_then(|old| old.issued.clone()),
        },
        created: old.map_or(now, |old| old.created),
        updated: now,
        etag: old.map_or_else(|| model::Etag::new(""), |old| old.etag.clone()),
        explanation,
    }
}

fn decided_by(verdict: &Verdict, old: Option<&Registration>) -> EntryRef {
    match verdict {
        Verdict::Consult(question) => question.entry.clone(),
        Verdict::Assign(place) | Verdict::Keep(place) => place.entry.clone(),
        Verdict::Conclude(Conclusion::Disabled { entry } | Conclusion::Failed { entry, .. }) => {
            entry.clone()
        }
        // Neither makes a record. One that was under way stays with the entry that began it, so
        // that a poll still tells a stranger from a device that is refused.
        Verdict::Challenge(_) | Verdict::Reject(_) => match old {
            Some(old) => old.decided_by.clone(),
            // No entry that could ever be.
            None => EntryRef { id: EntryId::Individual(unnamed()), created: Timestamp::ZERO },
        },
    }
}

#[expect(clippy::expect_used, reason = "the literal is a registration id")]
fn unnamed() -> RegistrationId {
    RegistrationId::parse("rejected").expect("the literal is a registration id")
}

/// That the quota has room for a record that begins to count; it was judged by a count that others
/// may have raised since (D-16).
fn room(view: &RegistrationView, record: &Registration) -> Option<Condition> {
    let counted = view.registration.as_ref().is_some_and(|found| found.value.counts());
    (record.counts() && !counted).then(|| Condition::AtMost {
        dps: view.instance.dps.name.clone(),
        of: Counted::Registrations,
        count: view.instance.dps.quota.registrations.saturating_sub(1),
    })
}

/// Every row that the decision looked at.
fn rests_on(view: &RegistrationView, evidence: &Evidence, record: &Registration) -> Vec<Condition> {
    let dps = &view.instance.dps.name;
    let id = &record.explanation.registration_id;
    let mut conditions = vec![
        Condition::Instance { dps: dps.clone(), generation: Some(view.instance.generation) },
        Condition::Individual {
            dps: dps.clone(),
            id: id.clone(),
            at: view.individual_by_id.as_ref().map(|found| found.revision),
        },
        Condition::Registration {
            dps: dps.clone(),
            id: id.clone(),
            at: view.registration.as_ref().map(|found| found.revision),
        },
    ];
    if let Some(thumbprint) = evidence.claim() {
        conditions.push(Condition::IndividualsByLeaf {
            dps: dps.clone(),
            thumbprint,
            at: view.individuals_by_leaf.iter().map(|found| found.revision).collect(),
        });
    }
    conditions
}
