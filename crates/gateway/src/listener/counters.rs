//! What a listener counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::metrics::Durations;

/// Counts since the start, added to by every listener that shares them.
#[derive(Debug, Default)]
pub struct Counters {
    accepted: AtomicU64,
    accept_errors: AtomicU64,
    waited_for_room: AtomicU64,
    handshakes_completed: AtomicU64,
    handshakes_failed: AtomicU64,
    handshakes_timed_out: AtomicU64,
    handlers_panicked: AtomicU64,
    handshake_durations: Durations,
    listening: AtomicU64,
    throttled_waited: AtomicU64,
    throttled_dropped: AtomicU64,
}

/// What becomes of a connection of an address whose devices were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttled {
    /// It waited for its turn.
    Waited,
    /// It was dropped: more came than could be served in time.
    Dropped,
}

/// One reading of [`Counters`]; the numbers are read one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// TCP connections accepted.
    pub accepted: u64,
    /// Failures to accept, such as a lack of file descriptors.
    pub accept_errors: u64,
    /// Accepted connections that met the connection limit.
    pub waited_for_room: u64,
    /// Handshakes that led to a connection.
    pub handshakes_completed: u64,
    /// Handshakes that broke off: not TLS, nothing in common, a wrong signature, a client that
    /// left.
    pub handshakes_failed: u64,
    /// Handshakes cut at their deadline.
    pub handshakes_timed_out: u64,
    /// Handlers that panicked; each is a bug.
    pub handlers_panicked: u64,
    /// Connections of refused addresses that waited for their turn.
    pub throttled_waited: u64,
    /// Connections of refused addresses that were dropped.
    pub throttled_dropped: u64,
}

impl Counters {
    /// The counts of now.
    pub fn read(&self) -> Counts {
        Counts {
            accepted: self.accepted.load(Ordering::Relaxed),
            accept_errors: self.accept_errors.load(Ordering::Relaxed),
            waited_for_room: self.waited_for_room.load(Ordering::Relaxed),
            handshakes_completed: self.handshakes_completed.load(Ordering::Relaxed),
            handshakes_failed: self.handshakes_failed.load(Ordering::Relaxed),
            handshakes_timed_out: self.handshakes_timed_out.load(Ordering::Relaxed),
            handlers_panicked: self.handlers_panicked.load(Ordering::Relaxed),
            throttled_waited: self.throttled_waited.load(Ordering::Relaxed),
            throttled_dropped: self.throttled_dropped.load(Ordering::Relaxed),
        }
    }

    /// How many listeners accept now.
    pub fn listening(&self) -> u64 {
        self.listening.load(Ordering::Relaxed)
    }

    /// How long completed handshakes took.
    pub(crate) fn handshake_durations(&self) -> &Durations {
        &self.handshake_durations
    }

    /// Counts a listener as accepting until the answer is dropped.
    pub(crate) fn listen(&self) -> Listening<'_> {
        add_one(&self.listening);
        Listening(&self.listening)
    }

    pub(super) fn count_accepted(&self) {
        add_one(&self.accepted);
    }

    pub(super) fn count_accept_error(&self) {
        add_one(&self.accept_errors);
    }

    pub(super) fn count_waited_for_room(&self) {
        add_one(&self.waited_for_room);
    }

    pub(super) fn count_handshake_completed(&self, took: Duration) {
        add_one(&self.handshakes_completed);
        self.handshake_durations.observe(took);
    }

    pub(super) fn count_throttled(&self, what: Throttled) {
        add_one(match what {
            Throttled::Waited => &self.throttled_waited,
            Throttled::Dropped => &self.throttled_dropped,
        });
    }

    pub(super) fn count_handshake_failed(&self) {
        add_one(&self.handshakes_failed);
    }

    pub(super) fn count_handshake_timed_out(&self) {
        add_one(&self.handshakes_timed_out);
    }

    pub(super) fn count_handler_panicked(&self) {
        add_one(&self.handlers_panicked);
    }
}

/// A listener that accepts.
pub(crate) struct Listening<'a>(&'a AtomicU64);

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn add_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
