//! Loads: many individual enrollments at once, each judged as a PUT would be.

use std::collections::{HashMap, HashSet};

use model::{RegistrationId, ServiceName, Sha256, limits};
use provisioning::draft::{self, IndividualDraft};
use provisioning::enrollment::{Entry, EntryId, Individual};
use provisioning::load::{self, OnExisting, Verdict};
use provisioning::view::{InstanceView, Versioned};
use store::{Commit, Condition, Counted, Write};

use crate::enrollments::in_use;
use crate::{ApiError, Call, Fault, Service, environment};

/// Entries of one commit. Source: measured on two busy cores; beside a load a PUT takes 13 ms more
/// in the median and 50 ms more at the 99th percentile, for the commits that are before it.
const COMMIT_ENTRIES_MAX: usize = 500;
/// Entries that are judged before other work gets its turn.
const TURN_ENTRIES: usize = 32;

/// What became of one entry of a load.
#[derive(Debug)]
pub enum Loaded {
    /// It was not there, and is now.
    Created,
    /// It took the place of another.
    Replaced,
    /// It was there already.
    Unchanged,
    /// Another one is there, and stays.
    Skipped,
    /// Another one is there, which was to be an error.
    Exists,
    /// It breaks a rule.
    Refused(ApiError),
}

/// A commit under way: what became of each entry if it is applied, and what it writes.
struct Judged {
    answers: Vec<Loaded>,
    writes: Vec<(usize, Individual)>,
    conditions: Vec<Condition>,
}

impl Service {
    /// Loads individual enrollments, in order, and says of each what became of it.
    ///
    /// Entries are written in a few commits: what was answered is kept, and when the call fails
    /// as a whole, some of them may be. To call again with the same entries is safe. Before each
    /// commit `may` says whether the caller still may: where it may not, the answers end (I9).
    ///
    /// # Errors
    /// [`ApiError::NotFound`] for the service, [`ApiError::Fault`]; all else is said of its entry.
    pub async fn load_individuals(
        &self,
        call: &Call,
        dps: &ServiceName,
        drafts: &[IndividualDraft],
        existing: OnExisting,
        may: impl Fn() -> bool,
    ) -> Result<Vec<Loaded>, ApiError> {
        let mut answers = Vec::with_capacity(drafts.len());
        let mut rest = drafts;
        while !rest.is_empty() {
            let _acting = self.acting().await;
            if !may() {
                break;
            }
            let (part, behind) = rest.split_at(part_of(rest));
            answers.extend(self.load_part(call, dps, part, existing).await?);
            rest = behind;
        }
        Ok(answers)
    }

    async fn load_part(
        &self,
        call: &Call,
        dps: &ServiceName,
        part: &[IndividualDraft],
        existing: OnExisting,
    ) -> Result<Vec<Loaded>, ApiError> {
        let ids: Vec<RegistrationId> =
            part.iter().map(|draft| draft.registration_id.clone()).collect();
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let view = self.store.instance(dps).await?.ok_or(ApiError::NotFound)?;
            let present = self.store.individuals_of(dps, &ids).await?;
            let mut judged = self.judge_part(&view, part, &present, existing).await;
            self.claims_of_all_are_free(dps, &mut judged).await?;
            // One at a time, so that two loads do not make each other judge again where both reach
            // the quota.
            let _turn = self.loading.lock().await;
            let max = view.dps.quota.individual_enrollments;
            let count = self.store.individual_count(dps).await?;
            keep_quota(&mut judged, max, max.saturating_sub(count));
            if judged.writes.is_empty() {
                return Ok(judged.answers);
            }
            let Judged { answers, writes, mut conditions } = judged;
            conditions
                .push(Condition::Instance { dps: dps.clone(), generation: Some(view.generation) });
            conditions.push(Condition::AtMost {
                dps: dps.clone(),
                of: Counted::Individuals,
                count: max.saturating_sub(created(&answers)),
            });
            let revision = |at: usize| present.get(at).and_then(Option::as_ref);
            conditions.extend(writes.iter().map(|(at, fresh)| Condition::Individual {
                dps: dps.clone(),
                id: fresh.registration_id.clone(),
                at: revision(*at).map(|row| row.revision),
            }));
            let audit = |(_, fresh): &(usize, Individual)| {
                let subject = format!("{dps}/{}", fresh.registration_id);
                self.audit(call, "enrollment.put", &subject)
            };
            let commit = Commit {
                conditions,
                changes: Vec::new(),
                audit: writes.iter().map(audit).collect(),
                writes: writes
                    .into_iter()
                    .map(|(_, fresh)| Write::Individual(dps.clone(), Box::new(fresh)))
                    .collect(),
            };
            if self.apply(commit).await? {
                return Ok(answers);
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    async fn judge_part(
        &self,
        view: &InstanceView,
        part: &[IndividualDraft],
        present: &[Option<Versioned<Individual>>],
        existing: OnExisting,
    ) -> Judged {
        let mut judged = Judged {
            answers: Vec::with_capacity(part.len()),
            writes: Vec::new(),
            conditions: Vec::new(),
        };
        for (at, (draft, present)) in part.iter().zip(present).enumerate() {
            if at % TURN_ENTRIES == TURN_ENTRIES - 1 {
                tokio::task::yield_now().await;
            }
            let present = present.as_ref().map(|row| &row.value);
            let mut keys = || environment::key::<64>(self.entropy.as_ref());
            let stamp = self.stamp(present.map(|present| &present.stamp));
            let answer = match load::judge(draft, present, existing, view, &mut keys, stamp) {
                Ok(Verdict::Write(fresh)) => {
                    judged.writes.push((at, *fresh));
                    present.map_or(Loaded::Created, |_| Loaded::Replaced)
                }
                Ok(Verdict::Unchanged) => Loaded::Unchanged,
                Ok(Verdict::Skipped) => Loaded::Skipped,
                Ok(Verdict::Exists) => Loaded::Exists,
                Err(fault) => Loaded::Refused(fault.into()),
            };
            judged.answers.push(answer);
        }
        judged
    }

    /// V-12 and V-30 among individuals, those of the same commit included; what was looked at becomes a
    /// condition.
    async fn claims_of_all_are_free(
        &self,
        dps: &ServiceName,
        judged: &mut Judged,
    ) -> Result<(), ApiError> {
        let leaves: Vec<Sha256> =
            judged.writes.iter().flat_map(|(_, fresh)| draft::claims_of(fresh)).collect();
        if leaves.is_empty() {
            return Ok(());
        }
        let found = self.store.individuals_by_leaves(dps, &leaves).await?;
        let holders: HashMap<&Sha256, &Vec<Versioned<Individual>>> =
            leaves.iter().zip(&found).collect();
        let mut claimed: HashMap<Sha256, EntryId> = HashMap::new();
        let answers = &mut judged.answers;
        judged.writes.retain(|(at, fresh)| {
            let own = Entry::Individual(fresh).reference().id;
            let of_fresh = draft::claims_of(fresh);
            let other = of_fresh.iter().find_map(|leaf| {
                let stored = holders.get(leaf).into_iter().flat_map(|rows| rows.iter());
                let stored = stored.map(|row| Entry::Individual(&row.value).reference().id);
                stored.chain(claimed.get(leaf).cloned()).find(|holder| *holder != own)
            });
            match other {
                None => claimed.extend(of_fresh.into_iter().map(|leaf| (leaf, own.clone()))),
                Some(ref holder) => {
                    if let Some(answer) = answers.get_mut(*at) {
                        *answer = Loaded::Refused(in_use(fresh, holder.clone()));
                    }
                }
            }
            other.is_none()
        });
        let kept = holders.iter().filter(|(leaf, _)| claimed.contains_key(leaf));
        judged.conditions.extend(kept.map(|(leaf, rows)| Condition::IndividualsByLeaf {
            dps: dps.clone(),
            thumbprint: **leaf,
            at: rows.iter().map(|row| row.revision).collect(),
        }));
        Ok(())
    }
}

/// How many of the first drafts go into one commit: an id is in it only once, so that a second
/// entry of the same id is judged by what the first has become.
fn part_of(drafts: &[IndividualDraft]) -> usize {
    let mut seen = HashSet::new();
    let first = drafts.iter().take(COMMIT_ENTRIES_MAX);
    first.take_while(|draft| seen.insert(draft.registration_id.key())).count().max(1)
}

/// How many of a commit's entries are new ones.
fn created(answers: &[Loaded]) -> u64 {
    let new = answers.iter().filter(|answer| matches!(answer, Loaded::Created));
    u64::try_from(new.count()).unwrap_or(u64::MAX)
}

/// Refuses what would be created beyond the quota, the last first.
fn keep_quota(judged: &mut Judged, max: u64, room: u64) {
    let mut room = room;
    let answers = &mut judged.answers;
    judged.writes.retain(|(at, _)| {
        let Some(answer) = answers.get_mut(*at) else { return false };
        if !matches!(answer, Loaded::Created) {
            return true;
        }
        match room.checked_sub(1) {
            Some(left) => {
                room = left;
                true
            }
            None => {
                let what = "individual enrollments";
                *answer = Loaded::Refused(ApiError::QuotaReached { what, max });
                false
            }
        }
    });
}
