//! Jobs on hubs that live elsewhere: taken step by step, and taken up again after a crash.
//!
//! The rules of [`provisioning::remote`] name each step. What is written elsewhere rests on no row
//! of ours, so the registration is decided again when all is written, and whatever it comes to but
//! the same assignment takes the writes back.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use hub::identity::DeviceStatus;
use model::{DeviceId, HostName, RegistrationId, ServiceName, limits};
use provisioning::instance::RemoteHub;
use provisioning::registration::{Assigned, Failure};
use provisioning::remote::{
    self, Course, Disabled, Found, FoundTwin, Job, Left, Miss, Phase, Seen, Side, Step,
};
use provisioning::view::Versioned;
use store::{Commit, Condition, DeviceView, Write};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::error::{Retry, sorted};
use crate::register::{Attempted, Claim, Performed, Turn};
use crate::{ApiError, Call, Fault, RegisterError, Service};

/// Calls the registries of hubs that live elsewhere.
#[async_trait]
pub trait Registries: Send + Sync {
    /// Makes one call about one identity; what it reads, it gives.
    ///
    /// # Errors
    /// [`Miss`]; after `Unreachable` the call may have been carried out nevertheless.
    async fn call(
        &self,
        hub: &RemoteHub,
        device_id: &DeviceId,
        call: &remote::Call<'_>,
    ) -> Result<Option<Found>, Miss>;
}

/// Calls nobody.
pub(crate) struct Nowhere;

#[async_trait]
impl Registries for Nowhere {
    async fn call(
        &self,
        _hub: &RemoteHub,
        _device_id: &DeviceId,
        _call: &remote::Call<'_>,
    ) -> Result<Option<Found>, Miss> {
        Err(Miss::Refused("this server calls no hubs elsewhere".to_owned()))
    }
}

/// A job as operators see it.
#[derive(Clone, Debug)]
pub struct JobView {
    /// The job.
    pub job: Job,
    /// Why its latest call came to nothing, as far as this process knows.
    pub trouble: Option<String>,
}

type Key = (ServiceName, String);
type Turns = HashMap<Key, Weak<tokio::sync::Mutex<()>>>;

/// The jobs that this process works on.
#[derive(Debug)]
pub(crate) struct Jobs {
    /// How long a registration waits for a hub that does not answer.
    patience: Duration,
    turns: Mutex<Turns>,
    troubles: Mutex<HashMap<Key, String>>,
    /// Behind which key the next sweep begins; none for the first job of all.
    swept: Mutex<Option<String>>,
}

impl Jobs {
    /// None yet.
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            patience,
            turns: Mutex::default(),
            troubles: Mutex::default(),
            swept: Mutex::default(),
        }
    }

    /// Whoever holds this works on the registration's job.
    fn turn(&self, key: &Key) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(key.clone(), Arc::downgrade(&turn));
        turn
    }

    fn trouble(&self, key: &Key, because: Option<String>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match because {
            Some(because) if troubles.len() < limits::JOBS_SHOWN_MAX => {
                troubles.insert(key.clone(), because);
            }
            Some(_) | None => {
                troubles.remove(key);
            }
        }
    }

    fn swept(&self) -> MutexGuard<'_, Option<String>> {
        self.swept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_trouble(&self, key: &Key) -> Option<String> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Driven {
    /// There is none any more.
    Gone,
    /// So many wait for one of its hubs that it is left to a sweep.
    Crowded,
    /// It is there still: it has something to take back or to remove, and can not now.
    Stuck {
        /// Why.
        failure: Failure,
        /// The hub that does not answer, by its authority, where that is why.
        silent: Option<String>,
    },
}

/// What one turn at a job came to.
enum Worked {
    /// It is in another phase, or gone.
    On,
    /// It can not go on now: a hub that is called did not do its part.
    Stuck(Miss, Side),
}

/// A job's place in a sweep, and the key before it.
type Place = (usize, Option<String>);

/// What a sweep knows, shared by the jobs that it takes up.
#[derive(Default)]
struct Swept {
    /// Hubs that have just not answered: they are not asked for each of their jobs.
    silent: HashSet<String>,
    /// The first job that was left out because of them.
    left_out: Option<Place>,
}

fn key(dps: &ServiceName, id: &RegistrationId) -> Key {
    (dps.clone(), id.key().to_owned())
}

impl Service {
    /// The jobs of a provisioning service, at most [`limits::JOBS_SHOWN_MAX`].
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn jobs(&self, dps: &ServiceName) -> Result<Vec<JobView>, ApiError> {
        self.dps(dps).await?;
        let page = self.store.jobs(Some(dps), None, limits::JOBS_SHOWN_MAX).await?;
        let view = |row: Versioned<Job>| {
            let trouble = self.jobs.known_trouble(&key(dps, &row.value.request.registration_id));
            JobView { job: row.value, trouble }
        };
        Ok(page.rows.into_iter().map(view).collect())
    }

    /// Works on jobs that nobody waits for, for ever: those that a crash cut off, and those whose
    /// hub did not answer.
    pub async fn keep_jobs(self: Arc<Self>) {
        loop {
            if let Err(fault) = self.sweep().await {
                tracing::warn!(?fault, "the jobs on hubs elsewhere can not be read");
            }
            sleep(limits::JOBS_SWEPT_EVERY).await;
        }
    }

    /// Works once on each job that nobody works on. It begins with the first one that the last
    /// sweep has left out: so each has its turn, however many wait for the same hub.
    ///
    /// # Errors
    /// [`Fault`] when the store can not be read.
    pub async fn sweep(self: &Arc<Self>) -> Result<(), Fault> {
        let begin = self.jobs.swept().clone();
        let (mut after, mut is_around) = (begin.clone(), begin.is_none());
        let mut before = begin.clone();
        let mut places = 0..;
        let mut working = JoinSet::new();
        let swept: Arc<Mutex<Swept>> = Arc::default();
        'sweep: loop {
            let page = self.store.jobs(None, after.as_deref(), limits::JOBS_AT_ONCE).await?;
            for Versioned { value: job, .. } in page.rows {
                let key = job.key();
                if is_around && begin.as_ref().is_some_and(|begin| key > *begin) {
                    break 'sweep;
                }
                if working.len() >= limits::JOBS_AT_ONCE {
                    working.join_next().await;
                }
                let (service, swept) = (Arc::clone(self), Arc::clone(&swept));
                let place = (places.next().unwrap_or(usize::MAX), before.replace(key));
                working.spawn(async move { service.take_up_job(&job, place, &swept).await });
            }
            match page.next {
                Some(next) => after = Some(next),
                None if is_around => break,
                None => (after, is_around) = (None, true),
            }
        }
        while working.join_next().await.is_some() {}
        let left_out = swept.lock().unwrap_or_else(PoisonError::into_inner).left_out.take();
        *self.jobs.swept() = left_out.and_then(|(_, before)| before);
        Ok(())
    }

    async fn take_up_job(&self, job: &Job, place: Place, swept: &Mutex<Swept>) {
        let key = key(&job.dps, &job.request.registration_id);
        let turn = self.jobs.turn(&key);
        let Ok(_held) = turn.try_lock() else { return };
        let locked = || swept.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut swept = locked();
            if job.registries().any(|hub| swept.silent.contains(&hub.authority)) {
                let first = swept.left_out.take().filter(|first| first.0 < place.0);
                swept.left_out = Some(first.unwrap_or(place));
                return;
            }
        }
        match self.driven(&job.dps, &job.request.registration_id, Duration::ZERO).await {
            Ok(Driven::Gone | Driven::Crowded) => {}
            Ok(Driven::Stuck { silent, .. }) => locked().silent.extend(silent),
            Err(fault) => tracing::warn!(?fault, "a job on a hub elsewhere waits"),
        }
    }

    /// Works on a registration's job, if there is one, until it is gone or can not go on.
    pub(crate) async fn drive(
        &self,
        dps: &ServiceName,
        id: &RegistrationId,
    ) -> Result<Driven, Fault> {
        let Some(job) = self.store.job(dps, id).await? else { return Ok(Driven::Gone) };
        let lane = |hub: &RemoteHub| self.consultations.lane_with_room(&hub.authority);
        let lanes: Option<Vec<_>> = job.value.registries().map(lane).collect();
        let Some(_lanes) = lanes else { return Ok(Driven::Crowded) };
        let turn = self.jobs.turn(&key(dps, id));
        let _held = turn.lock().await;
        self.driven(dps, id, self.jobs.patience).await
    }

    /// `patience` is for jobs that nobody's registration waits for any more.
    async fn driven(
        &self,
        dps: &ServiceName,
        id: &RegistrationId,
        patience: Duration,
    ) -> Result<Driven, Fault> {
        let (mut taken, mut seen) = (0, Seen::default());
        while let Some(job) = self.store.job(dps, id).await? {
            let patience = match job.value.is_active() {
                true => self.jobs.patience,
                false => patience,
            };
            taken += 1;
            let registries = (job.value.to.clone(), job.value.from.clone());
            match self.work(job, &mut seen, patience).await? {
                Worked::On if taken < limits::JOB_TURNS_MAX => {}
                Worked::On => {
                    let failure = remote::failure(&Miss::Changed);
                    return Ok(Driven::Stuck { failure, silent: None });
                }
                Worked::Stuck(miss, side) => {
                    let hub = match side {
                        Side::To => registries.0,
                        Side::From => registries.1,
                    };
                    let silent = hub.filter(|_| miss.is_silence()).map(|hub| hub.authority);
                    return Ok(Driven::Stuck { failure: remote::failure(&miss), silent });
                }
            }
        }
        self.jobs.trouble(&key(dps, id), None);
        Ok(Driven::Gone)
    }

    /// Takes the steps of one phase; what was seen is good for the next one, unless the
    /// registration is concluded in between.
    async fn work(
        &self,
        mut job: Versioned<Job>,
        seen: &mut Seen,
        patience: Duration,
    ) -> Result<Worked, Fault> {
        self.renew(&mut job.value).await?;
        let (mut misses, mut first_miss) = (0_usize, None);
        loop {
            let (called, side) = match remote::next(&job.value, seen) {
                Step::Look => {
                    let read = self.call(&job.value, Side::To, &remote::Call::Read).await;
                    (read.map(|found| seen.to = Some(found)), Side::To)
                }
                Step::LookBack => {
                    let read = self.look_back(&job.value).await?;
                    (read.map(|found| seen.from = Some(found)), Side::From)
                }
                Step::Write(side, call) => {
                    let written = self.call(&job.value, side, &call).await.map(drop);
                    let is_twin = matches!(call, remote::Call::SetTwin { .. });
                    match side {
                        Side::To => seen.to = None,
                        Side::From => seen.from = None,
                    }
                    seen.twin_written |= is_twin && written.is_ok();
                    (written, side)
                }
                Step::Enter(phase) => {
                    // Before it is concluded, what is left behind is looked at once more.
                    (seen.from, seen.twin_written) = (None, false);
                    return self.enter(job, Some(phase)).await;
                }
                Step::Finish => return self.enter(job, None).await,
                Step::Conclude => {
                    *seen = Seen::default();
                    return self.conclude(job, None).await;
                }
            };
            let Err(miss) = called else { continue };
            *seen = Seen { twin_written: seen.twin_written, ..Seen::default() };
            misses += 1;
            let since = *first_miss.get_or_insert_with(Instant::now);
            match remote::course(&miss, misses, since.elapsed(), patience) {
                Course::Again => {}
                Course::After(pause) => {
                    self.note(&job.value, &miss);
                    sleep(pause).await;
                }
                Course::GiveUp => {
                    self.note(&job.value, &miss);
                    *seen = Seen::default();
                    return match job.value.is_active() {
                        true => self.conclude(job, Some(&miss)).await,
                        // Nobody waits for it, and it would be in the way of the device for ever.
                        false if self.is_unlinked(&job.value).await? => self.enter(job, None).await,
                        false => Ok(Worked::Stuck(miss, side)),
                    };
                }
            }
        }
    }

    fn note(&self, job: &Job, miss: &Miss) {
        let because = remote::because(miss);
        let hub = &job.place.to.hub;
        tracing::warn!(operation.id = %job.operation_id, %hub, %because, "a hub elsewhere");
        self.jobs.trouble(&key(&job.dps, &job.request.registration_id), Some(because));
    }

    /// Whether the hub that is still to be written to is linked no more: its devices stay there.
    async fn is_unlinked(&self, job: &Job) -> Result<bool, Fault> {
        let Some(instance) = self.store.instance(&job.dps).await? else { return Ok(false) };
        let at = match job.phase {
            Phase::Leaving { .. } => job.place.from.as_ref(),
            Phase::Begun | Phase::Writing { .. } | Phase::Undoing { .. } => Some(&job.place.to),
        };
        Ok(at.is_some_and(|at| instance.dps.remote(&at.hub).is_none()))
    }

    /// A link's present key takes the place of the one that the job began with (L-13).
    async fn renew(&self, job: &mut Job) -> Result<(), Fault> {
        let Some(instance) = self.store.instance(&job.dps).await? else { return Ok(()) };
        let of = |at: &Assigned| instance.dps.remote(&at.hub).cloned();
        if let Some(to) = job.to.as_mut()
            && let Some(now) = of(&job.place.to)
        {
            *to = now;
        }
        if let Some(from) = job.from.as_mut()
            && let Some(now) = job.place.from.as_ref().and_then(of)
        {
            *from = now;
        }
        Ok(())
    }

    async fn call(
        &self,
        job: &Job,
        side: Side,
        call: &remote::Call<'_>,
    ) -> Result<Option<Found>, Miss> {
        let hub = match side {
            Side::To => job.to.as_ref(),
            Side::From => job.from.as_ref(),
        };
        let (Some(hub), Some(device_id)) = (hub, remote::device_id(job, side)) else {
            return Ok(None);
        };
        let lane = self.consultations.lane(&hub.authority);
        let _place = lane.acquire().await.map_err(|_| Miss::Busy("the server stops".to_owned()))?;
        self.registries.call(hub, device_id, call).await
    }

    /// What is left behind, elsewhere or on a hub of this server.
    async fn look_back(&self, job: &Job) -> Result<Result<Option<Left>, Miss>, Fault> {
        let Some(from) = &job.place.from else { return Ok(Ok(None)) };
        if job.from.is_some() {
            let read = self.call(job, Side::From, &remote::Call::Read).await;
            return Ok(read.map(|found| found.map(Left::from)));
        }
        let view = self.store.device(&from.hub, &from.device_id).await?;
        Ok(Ok(view.as_ref().map(left)))
    }

    /// Makes the next phase durable, or forgets the job.
    async fn enter(&self, job: Versioned<Job>, phase: Option<Phase>) -> Result<Worked, Fault> {
        let Versioned { value: mut job, revision } = job;
        let (dps, id) = (job.dps.clone(), job.request.registration_id.clone());
        let write = match phase {
            Some(phase) => {
                job.phase = phase;
                Write::Job(Box::new(job))
            }
            None => Write::DeleteJob(dps.clone(), id.clone()),
        };
        let commit = Commit {
            conditions: vec![Condition::Job { dps, id, at: Some(revision) }],
            writes: vec![write],
            ..Commit::default()
        };
        match self.commit(commit).await.map_err(sorted) {
            // Somebody else has written it: it is read again.
            Ok(_) | Err(Retry::Again) => Ok(Worked::On),
            Err(Retry::Never(fault)) => Err(fault),
        }
    }

    /// Decides again, and concludes the registration, or takes back what was written for it.
    async fn conclude(&self, job: Versioned<Job>, miss: Option<&Miss>) -> Result<Worked, Fault> {
        let call = Call {
            actor: format!("device {}", job.value.request.registration_id),
            tracking_id: self.tracking_id(),
            protocol: "taken up",
            from: job.value.request.from,
        };
        let claim = Claim {
            call: &call,
            dps: &job.value.dps,
            request: &job.value.request,
            evidence: &job.value.evidence,
        };
        let performed = Performed { job: &job, miss };
        match self.attempt(claim, Turn::Performed(performed)).await {
            Ok(Attempted::Concluded { .. }) => Ok(Worked::On),
            Err(RegisterError::Fault(fault)) => Err(fault),
            Ok(Attempted::Begun { .. } | Attempted::Asks(..) | Attempted::Overtaken)
            | Err(
                RegisterError::UnknownService
                | RegisterError::Rejected(..)
                | RegisterError::Network(_)
                | RegisterError::Challenge { .. },
            ) => {
                let undone = job.value.undone();
                self.enter(job, undone).await
            }
        }
    }
}

/// An identity of this server, as it is left behind.
fn left(view: &DeviceView) -> Left {
    let (device, twin) = (&view.device.value, &view.twin.value);
    let disabled = match device.status {
        DeviceStatus::Enabled => None,
        DeviceStatus::Disabled => Some(Disabled { reason: device.status_reason.clone() }),
    };
    let twin = FoundTwin {
        etag: String::new(),
        tags: twin.tags.clone(),
        desired: twin.desired.values.clone(),
        reported: twin.reported.values.clone(),
    };
    Left { disabled, twin, revision: Some(view.twin.revision.0), found: None }
}

/// The hub that a job's story is about.
pub(crate) fn told_of(job: &Job) -> &HostName {
    match (&job.to, &job.place.from) {
        (None, Some(from)) => &from.hub,
        (Some(_), _) | (None, None) => &job.place.to.hub,
    }
}
