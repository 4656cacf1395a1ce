//! The one thread that writes: it takes what waits, applies it in one transaction, and answers
//! when that is on the disk.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError};
use std::sync::{Arc, PoisonError, mpsc};
use std::thread::JoinHandle;

use rusqlite::Connection;
use store::{Commit, CommitError, Committed, StoreError, StoreWork};
use tokio::sync::oneshot;

use crate::apply::{Applying, Counters, Refusal, Undo};
use crate::checkpointer::{self, Broken, Checkpointer, Turn};
use crate::connection::{self, Checkpoint, Checkpointed, checkpoint};
use crate::error::{Fault, Kind, OpenError};
use crate::options::{
    BUSY_TIMEOUT, GATHER_ROUNDS_MAX, GROUP_COMMITS_MAX, IDLE_AFTER, LOG_WAIT, Options,
    QUEUE_COMMITS_MAX,
};
use crate::records::{LateRecords, Written};
use crate::sql;

#[derive(Debug, Default)]
struct Counts {
    commits: AtomicU64,
    transactions: AtomicU64,
}

struct Job {
    commit: Commit,
    answer: oneshot::Sender<Result<Committed, CommitError>>,
}

/// The handle of the writing thread; dropping it writes what waits, then ends the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
    counts: Arc<Counts>,
}

impl Writer {
    /// Starts the thread that writes and the one that checkpoints.
    pub(crate) fn start(
        connection: Connection,
        database: &Path,
        options: &Options,
        late_records: Arc<LateRecords>,
    ) -> Result<Self, OpenError> {
        let (jobs, queue) = mpsc::sync_channel(QUEUE_COMMITS_MAX);
        let (committed, commits) = mpsc::sync_channel(1);
        let (running, stop) = mpsc::channel();
        let counts = Arc::new(Counts::default());
        let checkpointer = Checkpointer {
            connection: connection::checkpointer(database)?,
            committed: commits,
            stop,
            turn: Turn::default(),
            broken: Broken::default(),
        };
        let writing = Writing {
            connection,
            log: connection::beside(database, "-wal"),
            log_bytes_max: options.log_bytes_max,
            log_bound: options.log_bytes_max,
            log_used: true,
            full: false,
            turn: Arc::clone(&checkpointer.turn),
            broken: Arc::clone(&checkpointer.broken),
            counts: Arc::clone(&counts),
            late_records,
            committed,
            _running: running,
        };
        let threads = vec![
            spawn("store-writer", move || writing.run(&queue))?,
            spawn("store-checkpoint", move || checkpointer.run())?,
        ];
        Ok(Self { jobs: Some(jobs), threads, counts })
    }

    /// Queues a commit and waits until it is on the disk, or refused.
    pub(crate) async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        let (answer, answered) = oneshot::channel();
        let Some(jobs) = &self.jobs else {
            return Err(stopped());
        };
        match jobs.try_send(Job { commit, answer }) {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(stopped())),
            Err(TrySendError::Full(_)) => Err(CommitError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(stopped()),
        }
    }

    pub(crate) fn work(&self) -> StoreWork {
        StoreWork {
            commits: self.counts.commits.load(Ordering::Relaxed),
            transactions: self.counts.transactions.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
    }
}

/// The commits that share a transaction.
///
/// Where the processors are busy, others get to commit first, as long as any do, and share the
/// fsync; where they are not, this takes no time.
fn gather(first: Job, queue: &Receiver<Job>) -> Vec<Job> {
    let mut group = vec![first];
    for _ in 0..GATHER_ROUNDS_MAX {
        std::thread::yield_now();
        let before = group.len();
        group.extend(queue.try_iter().take(GROUP_COMMITS_MAX.saturating_sub(before)));
        if group.len() == before {
            break;
        }
    }
    group
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(OpenError::Thread)
}

fn stopped() -> CommitError {
    CommitError::Unavailable(Fault::Stopped("the writer").during("a commit"))
}

/// What came of each commit of a group.
type Answers = Vec<Result<Committed, Refusal>>;

/// A group that is applied: the answers, and the registration records that it has written.
type Applied = (Answers, Vec<Written>);

/// Why nothing of a transaction was kept.
enum Failure {
    /// Before the commit: the transaction was rolled back.
    Before(Fault),
    /// At the commit: who knows what is on the disk.
    AtCommit(Fault),
}

/// What the writing thread owns.
struct Writing {
    connection: Connection,
    log: PathBuf,
    log_bytes_max: u64,
    /// The length of the log at which it is emptied next.
    log_bound: u64,
    /// Whether anything was written since the log began anew.
    log_used: bool,
    /// Whether the latest write found no room.
    full: bool,
    turn: Turn,
    broken: Broken,
    counts: Arc<Counts>,
    late_records: Arc<LateRecords>,
    committed: SyncSender<()>,
    _running: Sender<()>,
}

impl Writing {
    fn run(mut self, queue: &Receiver<Job>) {
        while let Some(first) = self.next(queue) {
            self.settle(gather(first, queue));
            self.bound_log();
        }
        self.checkpoint(Checkpoint::Truncate);
    }

    /// Waits for a commit; begins the log anew when there is none for a while.
    fn next(&mut self, queue: &Receiver<Job>) -> Option<Job> {
        if self.log_used {
            match queue.recv_timeout(IDLE_AFTER) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    self.checkpoint(Checkpoint::Restart);
                    self.log_used = false;
                }
            }
        }
        queue.recv().ok()
    }

    /// Applies a group of commits and answers each.
    fn settle(&mut self, group: Vec<Job>) {
        if let Some(fault) = self.broken.get().map(Arc::clone) {
            return answer_all(group, || unavailable(&fault));
        }
        match self.transact(&group) {
            Ok(answers) => {
                self.wrote(&answers);
                for (job, answer) in group.into_iter().zip(answers) {
                    reply(job, answer.map_err(told));
                }
            }
            Err(Failure::Before(fault)) => self.settle_failed(group, fault),
            Err(Failure::AtCommit(fault)) => match fault.kind() {
                Kind::Full | Kind::Busy => self.settle_failed(group, fault),
                Kind::Broken | Kind::Other => self.give_up(group, fault),
            },
        }
    }

    /// Answers a group of which nothing was kept.
    fn settle_failed(&mut self, group: Vec<Job>, fault: Fault) {
        match fault.kind() {
            // One by one: what frees room, or needs none, gets through.
            Kind::Full | Kind::Other if group.len() > 1 => {
                for job in group {
                    self.settle(vec![job]);
                }
            }
            Kind::Full => {
                self.found_full();
                answer_all(group, || CommitError::Full);
            }
            Kind::Busy => answer_all(group, || CommitError::Busy),
            Kind::Other => {
                let fault = Arc::new(fault);
                answer_all(group, || unavailable(&fault));
            }
            Kind::Broken => self.give_up(group, fault),
        }
    }

    fn give_up(&self, group: Vec<Job>, fault: Fault) {
        let fault = Arc::new(fault);
        checkpointer::stop_writing(Arc::clone(&fault), &self.broken);
        answer_all(group, || unavailable(&fault));
    }

    /// One transaction: durable when it returns.
    ///
    /// A savepoint for each commit costs a copy of every page that the transaction wrote before.
    /// They are for the rare group of which a commit fails half-way: it is begun anew.
    fn transact(&self, group: &[Job]) -> Result<Answers, Failure> {
        let (answers, written) = match self.begin(group, Undo::All)? {
            Some(applied) => applied,
            None => self.begin(group, Undo::One)?.unwrap_or_default(),
        };
        if !answers.iter().any(Result::is_ok) {
            self.roll_back()?;
            return Ok(answers);
        }
        if let Err(fault) = sql::run(&self.connection, "COMMIT", []) {
            self.roll_back()?;
            return Err(Failure::AtCommit(fault));
        }
        self.late_records.keep(written);
        Ok(answers)
    }

    /// Begins a transaction and applies the group; none, and no transaction, where a commit failed
    /// half-way that cannot be undone alone.
    fn begin(&self, group: &[Job], undo: Undo) -> Result<Option<Applied>, Failure> {
        sql::run(&self.connection, "BEGIN IMMEDIATE", []).map_err(Failure::Before)?;
        match self.apply(group, undo) {
            Ok(Some(applied)) => Ok(Some(applied)),
            Ok(None) => {
                self.roll_back()?;
                Ok(None)
            }
            Err(fault) => {
                self.roll_back()?;
                Err(Failure::Before(fault))
            }
        }
    }

    /// Applies each commit; fails only where the whole transaction does.
    fn apply(&self, group: &[Job], undo: Undo) -> Result<Option<Applied>, Fault> {
        let connection = &self.connection;
        let counters = Counters::load(connection)?;
        let mut applying =
            Applying { connection, counters, undo, spoiled: false, written: Vec::new() };
        let mut answers = Vec::with_capacity(group.len());
        for job in group {
            match applying.apply(&job.commit) {
                Err(Refusal::Fault(fault))
                    if connection.is_autocommit() || fault.kind() == Kind::Broken =>
                {
                    return Err(fault);
                }
                _ if applying.spoiled => return Ok(None),
                answer => answers.push(answer),
            }
        }
        applying.counters.save(connection)?;
        Ok(Some((answers, applying.written)))
    }

    /// Ends a failed transaction, unless SQLite has done so.
    fn roll_back(&self) -> Result<(), Failure> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        sql::run(&self.connection, "ROLLBACK", []).map_err(Failure::AtCommit)?;
        Ok(())
    }

    /// Notes what a transaction did.
    fn wrote(&mut self, answers: &[Result<Committed, Refusal>]) {
        let applied = answers.iter().filter(|answer| answer.is_ok()).count();
        let mut refusals = answers.iter().filter_map(|answer| answer.as_ref().err());
        if refusals.any(Refusal::is_for_room) {
            self.found_full();
        } else if applied > 0 && self.full {
            self.full = false;
            tracing::info!("the disk that holds the database has room again");
        }
        if applied > 0 {
            self.log_used = true;
            let applied = u64::try_from(applied).unwrap_or(u64::MAX);
            self.counts.commits.fetch_add(applied, Ordering::Relaxed);
            self.counts.transactions.fetch_add(1, Ordering::Relaxed);
            // A message that waits already says the same.
            let _ = self.committed.try_send(());
        }
    }

    fn found_full(&mut self) {
        if !self.full {
            self.full = true;
            tracing::error!("the disk that holds the database is full: commits are refused");
        }
    }

    /// Empties a log that has grown past its bound, for which it must stop a moment.
    fn bound_log(&mut self) {
        let bytes = std::fs::metadata(&self.log).map_or(0, |file| file.len());
        if bytes <= self.log_bound {
            return;
        }
        // A log that begins anew keeps its length: truncated, its length says what is in it.
        self.log_bound = match self.checkpoint(Checkpoint::Truncate) {
            Checkpointed::Done => self.log_bytes_max,
            // Not with every commit: each would wait for the same reader.
            Checkpointed::Hindered => bytes.saturating_add(self.log_bytes_max / 4),
        };
    }

    fn checkpoint(&self, how: Checkpoint) -> Checkpointed {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self
            .connection
            .busy_timeout(LOG_WAIT)
            .and_then(|()| checkpoint(&self.connection, how))
            .and_then(|outcome| self.connection.busy_timeout(BUSY_TIMEOUT).map(|()| outcome));
        outcome.unwrap_or_else(|error| {
            checkpointer::failed(error.into(), &self.broken);
            Checkpointed::Hindered
        })
    }
}

/// What the caller of a commit hears of a refusal.
fn told(refusal: Refusal) -> CommitError {
    match refusal {
        Refusal::Conflict(condition) => CommitError::Conflict(*condition),
        Refusal::Fault(fault) => match fault.kind() {
            Kind::Full => CommitError::Full,
            Kind::Busy => CommitError::Busy,
            Kind::Broken | Kind::Other => CommitError::Unavailable(fault.during("a commit")),
        },
    }
}

fn unavailable(fault: &Arc<Fault>) -> CommitError {
    let source = Box::new(Arc::clone(fault));
    CommitError::Unavailable(StoreError { during: "a commit", source })
}

fn answer_all(group: Vec<Job>, error: impl Fn() -> CommitError) {
    for job in group {
        reply(job, Err(error()));
    }
}

fn reply(job: Job, answer: Result<Committed, CommitError>) {
    // The caller may have gone away; what is committed stays committed.
    let _ = job.answer.send(answer);
}
