//! The thread that carries pages from the log to the database while the writer goes on.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rusqlite::Connection;

use crate::connection::{Checkpoint, checkpoint};
use crate::error::{Fault, Kind};
use crate::options::CHECKPOINT_INTERVAL;

/// Why the store takes no more writes; empty while it does.
pub(crate) type Broken = Arc<OnceLock<Arc<Fault>>>;

/// Held by whoever checkpoints: SQLite lets only one at a time, and has the other wait in steps.
pub(crate) type Turn = Arc<Mutex<()>>;

/// The thread's own: a connection, what wakes it, and what it shares with the writer.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    pub(crate) connection: Connection,
    /// Holds at most one message, however many commits there were.
    pub(crate) committed: Receiver<()>,
    /// Nothing ever comes through; it closes when the writer ends.
    pub(crate) stop: Receiver<()>,
    pub(crate) turn: Turn,
    pub(crate) broken: Broken,
}

impl Checkpointer {
    /// Checkpoints a while after each commit, until the writer ends.
    pub(crate) fn run(self) {
        while self.committed.recv().is_ok() {
            if self.stop.recv_timeout(CHECKPOINT_INTERVAL) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = checkpoint(&self.connection, Checkpoint::Passive) {
                failed(error.into(), &self.broken);
            }
        }
    }
}

/// A checkpoint failed: without room or a lock a later one will do, else the disk is not trusted.
pub(crate) fn failed(fault: Fault, broken: &Broken) {
    match fault.kind() {
        Kind::Full | Kind::Busy => {
            tracing::debug!(error = &fault as &dyn std::error::Error, "a checkpoint must wait");
        }
        Kind::Broken | Kind::Other => stop_writing(Arc::new(fault), broken),
    }
}

/// Takes no more writes, for good: after a failed fsync nobody knows what the disk holds.
pub(crate) fn stop_writing(fault: Arc<Fault>, broken: &Broken) {
    let first = broken.set(Arc::clone(&fault)).is_ok();
    if first {
        let error: &dyn std::error::Error = &*fault;
        tracing::error!(error, "the database can not be written: no more writes are taken");
    }
}
