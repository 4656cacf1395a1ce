//! What reads: connections for whoever asks for a row or two, and threads for the rest.
//!
//! A registration reads a few rows, which takes less than it takes to wake a thread and be woken by
//! it: such a read runs where it is asked for. Pages and counts may take long, and whatever finds no
//! connection free has to wait: these go to the threads.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use store::StoreError;
use tokio::sync::oneshot;

use crate::connection;
use crate::error::{Fault, OpenError};
use crate::instances::InstanceCache;
use crate::options::Options;
use crate::records::LateRecords;
use crate::sql;

/// One read transaction: everything that is read through it is of one moment.
#[derive(Debug)]
pub(crate) struct Snapshot<'c> {
    pub(crate) connection: &'c Connection,
    pub(crate) instances: &'c InstanceCache,
    pub(crate) late_records: &'c LateRecords,
}

/// What is read with, by one at a time.
struct Reader {
    connection: Connection,
    instances: Arc<InstanceCache>,
    late_records: Arc<LateRecords>,
}

impl Reader {
    fn snapshot<T>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let transaction = Transaction::begin(&self.connection)?;
        let Self { connection, instances, late_records } = self;
        let outcome = work(&Snapshot { connection, instances, late_records });
        transaction.end()?;
        outcome
    }
}

/// A read transaction, by statements that are prepared once; rolled back when dropped.
struct Transaction<'c>(Option<&'c Connection>);

impl<'c> Transaction<'c> {
    fn begin(connection: &'c Connection) -> Result<Self, Fault> {
        sql::run(connection, "BEGIN", [])?;
        Ok(Self(Some(connection)))
    }

    fn end(mut self) -> Result<(), Fault> {
        self.roll_back()
    }

    fn roll_back(&mut self) -> Result<(), Fault> {
        match self.0.take() {
            // SQLite ends the transaction itself after some failures.
            Some(connection) if !connection.is_autocommit() => {
                sql::run(connection, "ROLLBACK", []).map(|_| ())
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.roll_back() {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "a read of the store stays open");
        }
    }
}

type Job = Box<dyn FnOnce(&Reader) + Send>;

/// Reads that wait for a thread; as many as there are callers: each waits for its own answer.
///
/// A read wakes one thread, and none where one will come by anyway.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    idle: usize,
    closed: bool,
}

impl Queue {
    fn push(&self, job: Job) {
        let mut waiting = self.waiting();
        waiting.jobs.push_back(job);
        let is_anyone_idle = waiting.idle > 0;
        drop(waiting);
        if is_anyone_idle {
            self.changed.notify_one();
        }
    }

    /// The next read; none when there are no more, and never will be.
    fn next(&self) -> Option<Job> {
        let mut waiting = self.waiting();
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                return Some(job);
            }
            if waiting.closed {
                return None;
            }
            waiting.idle += 1;
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.idle -= 1;
        }
    }

    fn close(&self) {
        self.waiting().closed = true;
        self.changed.notify_all();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

/// Readers that nobody reads with, for reads where they are asked for.
#[derive(Default)]
struct Free(Mutex<Vec<Reader>>);

impl Free {
    fn take(&self) -> Option<Taken<'_>> {
        let reader = self.readers().pop()?;
        Some(Taken { free: self, reader: Some(reader) })
    }

    fn give(&self, reader: Reader) {
        self.readers().push(reader);
    }

    fn readers(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Free {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Free").finish_non_exhaustive()
    }
}

/// A reader that is given back when dropped.
struct Taken<'f> {
    free: &'f Free,
    reader: Option<Reader>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.free.give(reader);
        }
    }
}

/// All that reads; dropping it ends the threads, what waits for them first.
#[derive(Debug)]
pub(crate) struct Readers {
    free: Free,
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Opens the connections and starts the threads.
    pub(crate) fn start(
        database: &Path,
        options: &Options,
        late_records: &Arc<LateRecords>,
    ) -> Result<Self, OpenError> {
        let queue = Arc::new(Queue::default());
        let instances = Arc::new(InstanceCache::default());
        let reader = || -> Result<_, OpenError> {
            let connection = connection::reader(database)?;
            let (instances, late_records) = (Arc::clone(&instances), Arc::clone(late_records));
            Ok(Reader { connection, instances, late_records })
        };
        let mut readers =
            Self { free: Free::default(), queue: Arc::clone(&queue), threads: Vec::new() };
        // As many as there are threads that serve connections: more never read at the same time.
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            readers.free.give(reader()?);
        }
        for _ in 0..options.readers.get() {
            let reader = reader()?;
            let queue = Arc::clone(&queue);
            let thread = std::thread::Builder::new().name("store-reader".to_owned());
            let thread = thread.spawn(move || run(&reader, &queue)).map_err(OpenError::Thread)?;
            readers.threads.push(thread);
        }
        Ok(readers)
    }

    /// Runs `work`, which reads a few rows by their keys, on a snapshot: on the calling thread where
    /// a connection is free, as it nearly always is.
    pub(crate) async fn read_few<T: Send + 'static>(
        &self,
        during: &'static str,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Some(taken) = self.free.take() else {
            return self.read(during, work).await;
        };
        read_now(&taken, work).map_err(|fault| fault.during(during))
    }

    /// Runs `work` on a snapshot, away from the threads that serve connections.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        during: &'static str,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let stopped = || Fault::Stopped("a reader").during(during);
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |reader| {
            // Whoever has gone away needs no answer.
            if !answer.is_closed() {
                let _ = answer.send(reader.snapshot(work));
            }
        });
        self.queue.push(job);
        match answered.await {
            Ok(outcome) => outcome.map_err(|fault| fault.during(during)),
            Err(_) => Err(stopped()),
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a reading thread of the store panicked");
            }
        }
    }
}

/// A bug in one read must neither end its caller's connection nor keep the reader: its transaction
/// is rolled back as the panic passes, and its caller hears that the reader has stopped.
fn read_now<T>(
    taken: &Taken<'_>,
    work: impl FnOnce(&Snapshot<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let stopped = || Fault::Stopped("a reader");
    let reader = taken.reader.as_ref().ok_or_else(stopped)?;
    catch_unwind(AssertUnwindSafe(|| reader.snapshot(work))).unwrap_or_else(|_| {
        tracing::error!("a read of the store panicked");
        Err(stopped())
    })
}

fn run(reader: &Reader, queue: &Queue) {
    while let Some(job) = queue.next() {
        // A bug in one read must not take the thread from all others: its transaction is rolled
        // back as the panic passes, and its caller hears that the reader has stopped.
        if catch_unwind(AssertUnwindSafe(|| job(reader))).is_err() {
            tracing::error!("a read of the store panicked");
        }
    }
}
