//! The threads that read, each with a connection of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use store::StoreError;
use tokio::sync::oneshot;

use crate::connection;
use crate::error::{Fault, OpenError};
use crate::instances::InstanceCache;
use crate::options::Options;

/// One read transaction: everything that is read through it is of one moment.
#[derive(Debug)]
pub(crate) struct Snapshot<'c> {
    pub(crate) connection: &'c Connection,
    pub(crate) instances: &'c InstanceCache,
}

/// What one thread reads with.
struct Reader {
    connection: Connection,
    instances: Arc<InstanceCache>,
}

impl Reader {
    fn snapshot<T>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let transaction = self.connection.unchecked_transaction()?;
        let outcome = work(&Snapshot { connection: &transaction, instances: &self.instances });
        transaction.finish()?;
        outcome
    }
}

type Job = Box<dyn FnOnce(&Reader) + Send>;

/// The handle of the reading threads; dropping it ends them, what they have begun first.
#[derive(Debug)]
pub(crate) struct Readers {
    // As many wait here as there are callers: each waits for its own answer.
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Opens the connections and starts a thread for each.
    pub(crate) fn start(database: &Path, options: &Options) -> Result<Self, OpenError> {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let instances = Arc::new(InstanceCache::default());
        let mut readers = Self { jobs: Some(jobs), threads: Vec::new() };
        for _ in 0..options.readers.get() {
            let connection = connection::reader(database)?;
            let reader = Reader { connection, instances: Arc::clone(&instances) };
            let queue = Arc::clone(&queue);
            let thread = std::thread::Builder::new().name("store-reader".to_owned());
            let thread = thread.spawn(move || run(&reader, &queue)).map_err(OpenError::Thread)?;
            readers.threads.push(thread);
        }
        Ok(readers)
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
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if !sent {
            return Err(stopped());
        }
        match answered.await {
            Ok(outcome) => outcome.map_err(|fault| fault.during(during)),
            Err(_) => Err(stopped()),
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a reading thread of the store panicked");
            }
        }
    }
}

fn run(reader: &Reader, queue: &Mutex<Receiver<Job>>) {
    loop {
        // One idle thread waits for a job, the others for their turn to wait.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // A bug in one read must not take the thread from all others: its transaction is rolled
        // back as the panic passes, and its caller hears that the reader has stopped.
        if catch_unwind(AssertUnwindSafe(|| job(reader))).is_err() {
            tracing::error!("a read of the store panicked");
        }
    }
}
