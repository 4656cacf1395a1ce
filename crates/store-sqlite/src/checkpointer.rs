//! The thread that carries pages from the log to the database while the writer goes on.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, OnceLock};

use rusqlite::Connection;

use crate::connection::{Checkpoint, checkpoint};
use crate::error::{Fault, Kind};
use crate::options::CHECKPOINT_INTERVAL;

/// Why the store takes no more writes; empty while it does.
pub(crate) type Broken = Arc<OnceLock<Arc<Fault>>>;

/// Checkpoints a while after each commit, until either channel is closed.
///
/// `committed` holds at most one message, however many commits there were; nothing ever comes
/// through `stop`.
pub(crate) fn run(
    connection: &Connection,
    committed: &Receiver<()>,
    stop: &Receiver<()>,
    broken: &Broken,
) {
    while committed.recv().is_ok() {
        if stop.recv_timeout(CHECKPOINT_INTERVAL) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        if let Err(error) = checkpoint(connection, Checkpoint::Passive) {
            failed(error.into(), broken);
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
