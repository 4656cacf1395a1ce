//! What a job does next.

use std::time::Duration;

use crate::decide::TwinPlan;

use super::{Call, Found, FoundTwin, Job, Left, Miss, New, Phase, Side, TwinContent};

/// What was read of the two identities since the last write there; the outer none is one that was
/// not looked at.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Where the device goes.
    pub to: Option<Option<Found>>,
    /// Where it comes from.
    pub from: Option<Option<Left>>,
    /// The twin where the device goes was written: a hub that stores numbers in other words is not
    /// written to for ever.
    pub twin_written: bool,
}

/// What a job does next.
#[derive(Clone, Debug)]
pub enum Step<'a> {
    /// Read where the device goes.
    Look,
    /// Read where it comes from.
    LookBack,
    /// Make this phase durable.
    Enter(Phase),
    /// Write to a registry; what was read of it is old then.
    Write(Side, Call<'a>),
    /// All is written: decide again, on fresh rows, and conclude the registration.
    Conclude,
    /// Forget the job.
    Finish,
}

/// What follows a call that came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Look again at once: somebody else has written.
    Again,
    /// Wait this long, then look again.
    After(Duration),
    /// It will not come to anything better now.
    GiveUp,
}

/// Waits between the tries of one call; the last one for all that follow.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(5),
];
/// How often somebody else's write is met before the job gives up.
const OVERTAKEN_MAX: usize = 8;

/// What follows a miss, of `misses` in a row, `since` the first of them.
pub fn course(miss: &Miss, misses: usize, since: Duration, patience: Duration) -> Course {
    match miss {
        Miss::Unreachable(_) | Miss::Busy(_) => {
            let last = PAUSES.len().saturating_sub(1);
            let pause = PAUSES.get(misses.saturating_sub(1).min(last)).copied();
            match pause.filter(|pause| since + *pause <= patience) {
                Some(pause) => Course::After(pause),
                None => Course::GiveUp,
            }
        }
        Miss::Absent | Miss::Exists | Miss::Changed if misses <= OVERTAKEN_MAX => Course::Again,
        Miss::Absent | Miss::Exists | Miss::Changed => Course::GiveUp,
        Miss::Unauthorized(_) | Miss::Refused(_) => Course::GiveUp,
    }
}

/// What a job does next, by what was seen.
pub fn next<'a>(job: &'a Job, seen: &'a Seen) -> Step<'a> {
    match &job.phase {
        Phase::Begun => begin(job, seen),
        Phase::Writing { before, left } => {
            let (before, left) = (before.as_deref(), left.as_deref());
            let step = match (&job.to, &seen.to) {
                (None, _) => Step::Conclude,
                (Some(_), None) => Step::Look,
                (Some(_), Some(there)) => {
                    write(job, before, left, there.as_ref(), seen.twin_written)
                }
            };
            if matches!(step, Step::Conclude) { conclude(job, before, left, seen) } else { step }
        }
        Phase::Leaving { left } => match &seen.from {
            None => Step::LookBack,
            Some(None) => Step::Finish,
            Some(Some(now)) => match &now.found {
                // Another's by now where the device would have to show something else, or where it
                // was removed and made again.
                Some(found)
                    if found.asks_for_the_same_as(left) && !found.was_made_again_since(left) =>
                {
                    Step::Write(Side::From, Call::Remove { etag: &found.etag })
                }
                Some(_) | None => Step::Finish,
            },
        },
        Phase::Undoing { before, left } => match (&job.to, &seen.to) {
            (None, _) | (Some(_), Some(None)) => Step::Finish,
            (Some(_), None) => Step::Look,
            (Some(_), Some(Some(_))) if seen.twin_written => Step::Finish,
            (Some(_), Some(Some(there))) => undo(job, before.as_deref(), left.as_deref(), there),
        },
    }
}

fn begin<'a>(job: &'a Job, seen: &'a Seen) -> Step<'a> {
    match (&job.place.from, &seen.from, &job.to, &seen.to) {
        (Some(_), None, ..) => Step::LookBack,
        (_, _, Some(_), None) => Step::Look,
        (_, left, _, there) => Step::Enter(Phase::Writing {
            before: there.clone().flatten().map(Box::new),
            left: left.clone().flatten().map(Box::new),
        }),
    }
}

/// All is written, of what was left behind as it was read: it is concluded if that is so still.
/// Else what is there now is what is taken along: an operator may have disabled it meanwhile.
fn conclude<'a>(
    job: &'a Job,
    before: Option<&'a Found>,
    left: Option<&'a Left>,
    seen: &'a Seen,
) -> Step<'a> {
    match (&job.place.from, &seen.from) {
        (None, _) => Step::Conclude,
        (Some(_), None) => Step::LookBack,
        (Some(_), Some(now)) if is_as_left(job, left, now.as_ref()) => Step::Conclude,
        (Some(_), Some(now)) => Step::Enter(Phase::Writing {
            before: before.cloned().map(Box::new),
            left: now.clone().map(Box::new),
        }),
    }
}

/// Whether what was taken along is what is there. Reported properties may go on changing while the
/// device is where it was.
fn is_as_left(job: &Job, left: Option<&Left>, now: Option<&Left>) -> bool {
    match (left, now) {
        (None, None) => true,
        (Some(left), Some(now)) => {
            let same_twin =
                left.twin.tags == now.twin.tags && left.twin.desired == now.twin.desired;
            left.disabled == now.disabled && (same_twin || job.place.twin != TwinPlan::Migrate)
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// What is still to be written of an identity and its twin.
fn write<'a>(
    job: &'a Job,
    before: Option<&'a Found>,
    left: Option<&'a Left>,
    there: Option<&'a Found>,
    twin_written: bool,
) -> Step<'a> {
    let Some(credential) = job.credential() else { return Step::Conclude };
    let disabled = left.and_then(|left| left.disabled.as_ref());
    let again = |before: Option<&Found>| {
        let (before, left) = (before.cloned().map(Box::new), left.cloned().map(Box::new));
        Step::Enter(Phase::Writing { before, left })
    };
    match (before, there) {
        (None, None) => Step::Write(
            Side::To,
            Call::Create(New {
                credential,
                iot_edge: job.place.iot_edge.unwrap_or_default(),
                disabled,
                twin: first_twin(job, left),
            }),
        ),
        (None, Some(there))
            if there.has(credential) && disabled.is_some() && there.disabled.is_none() =>
        {
            let iot_edge = there.iot_edge;
            Step::Write(Side::To, Call::Update { found: there, credential, iot_edge, disabled })
        }
        (None, Some(there)) if there.has(credential) && twin_written => Step::Conclude,
        // Made by this job, with its twin in one; but a hub may make the one without the other.
        (None, Some(there)) if there.has(credential) => {
            set_twin(first_twin(job, left), there).unwrap_or(Step::Conclude)
        }
        // Somebody else's was in between: from now on that is what was there before.
        (None, Some(there)) => again(Some(there)),
        (Some(_), None) => again(None),
        (Some(before), Some(there)) => {
            let iot_edge = job.place.iot_edge.unwrap_or(there.iot_edge);
            let stays_disabled = disabled.is_none() || there.disabled.is_some();
            if there.has(credential) && there.iot_edge == iot_edge && stays_disabled {
                return match twin_written {
                    true => Step::Conclude,
                    false => twin(job, left, there),
                };
            }
            match there.etag == before.etag {
                true => {
                    let disabled = there.disabled.as_ref().or(disabled);
                    let found = there;
                    Step::Write(Side::To, Call::Update { found, credential, iot_edge, disabled })
                }
                false => again(Some(there)),
            }
        }
    }
}

/// The twin of an identity that was there before.
fn twin<'a>(job: &'a Job, left: Option<&'a Left>, there: &'a Found) -> Step<'a> {
    let wanted = match job.place.twin {
        TwinPlan::KeepOrInitial => return Step::Conclude,
        // Nothing to take along: the twin that is there stays.
        TwinPlan::Migrate if left.is_none() => return Step::Conclude,
        TwinPlan::Migrate | TwinPlan::Reset => first_twin(job, left),
    };
    set_twin(wanted, there).unwrap_or(Step::Conclude)
}

/// The write that makes a twin hold what it shall; none where it does.
fn set_twin<'a>(wanted: TwinContent<'a>, there: &'a Found) -> Option<Step<'a>> {
    let TwinContent { tags, desired, .. } = wanted;
    let holds = there.twin.tags == *tags && there.twin.desired == *desired;
    let etag = &there.twin.etag;
    (!holds).then_some(Step::Write(Side::To, Call::SetTwin { tags, desired, etag }))
}

/// What an identity that is made begins with.
fn first_twin<'a>(job: &'a Job, left: Option<&'a Left>) -> TwinContent<'a> {
    match (job.place.twin, left) {
        (TwinPlan::Migrate, Some(Left { twin, .. })) => {
            TwinContent { tags: &twin.tags, desired: &twin.desired, reported: Some(&twin.reported) }
        }
        (TwinPlan::Migrate | TwinPlan::Reset | TwinPlan::KeepOrInitial, _) => TwinContent {
            tags: &job.place.initial_tags,
            desired: &job.place.initial_desired,
            reported: None,
        },
    }
}

/// Takes back what this job wrote, and nothing that anybody else did.
fn undo<'a>(
    job: &'a Job,
    before: Option<&'a Found>,
    left: Option<&'a Left>,
    there: &'a Found,
) -> Step<'a> {
    let is_ours = job.credential().is_some_and(|credential| there.has(credential));
    let ours = left.and_then(|left| left.disabled.as_ref());
    // What somebody else has disabled stays so, however this ends.
    let theirs = there.disabled.as_ref().filter(|disabled| Some(*disabled) != ours);
    let restore = |before: &'a Found| {
        let disabled = theirs.or(before.disabled.as_ref());
        Step::Write(Side::To, Call::Restore { found: before, etag: &there.etag, disabled })
    };
    match before {
        Some(before) if there.was_made_again_since(before) => Step::Finish,
        None if is_ours && theirs.is_none() => {
            Step::Write(Side::To, Call::Remove { etag: &there.etag })
        }
        Some(before) if is_ours && !there.asks_for_the_same_as(before) => restore(before),
        Some(before) if there.asks_for_the_same_as(before) => {
            let is_edge_by_us = Some(there.iot_edge) == job.place.iot_edge;
            let is_disabled_by_us = there.disabled.is_some() && theirs.is_none();
            if (there.iot_edge != before.iot_edge && is_edge_by_us)
                || (before.disabled.is_none() && is_disabled_by_us)
            {
                return restore(before);
            }
            let written = first_twin(job, left);
            let is_written = job.place.twin != TwinPlan::KeepOrInitial
                && there.twin.tags == *written.tags
                && there.twin.desired == *written.desired;
            let FoundTwin { tags, desired, .. } = &before.twin;
            let earlier = TwinContent { tags, desired, reported: None };
            let back = is_written.then(|| set_twin(earlier, there)).flatten();
            back.unwrap_or(Step::Finish)
        }
        None | Some(_) => Step::Finish,
    }
}
