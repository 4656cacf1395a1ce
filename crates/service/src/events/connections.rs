//! Connections that come and go, on their way to become events.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use events::Existence;
use model::{Timestamp, limits};
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::access::sessions::DeviceKey;

/// A connection that was made or has ended.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) key: DeviceKey,
    pub(crate) existence: Existence,
    pub(crate) sequence: u64,
    pub(crate) at: Timestamp,
}

/// Told by the drivers' sessions, without waiting; heard by whoever makes events of it.
#[derive(Debug)]
pub(crate) struct Connections {
    wanted: AtomicBool,
    sequence: AtomicU64,
    dropped: AtomicU64,
    told: Sender<Connection>,
    pub(crate) heard: tokio::sync::Mutex<Receiver<Connection>>,
}

impl Connections {
    /// Numbers go on from where the clock is, so that they grow over restarts as well.
    pub(crate) fn new(now: Timestamp) -> Self {
        let (told, heard) = mpsc::channel(limits::CONNECTIONS_TOLD_MAX);
        Self {
            wanted: AtomicBool::new(false),
            sequence: u64::try_from(now.unix_ticks()).unwrap_or_default().into(),
            dropped: AtomicU64::default(),
            told,
            heard: tokio::sync::Mutex::new(heard),
        }
    }

    pub(crate) fn are_wanted(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Tells of a connection, if anybody wants to know.
    pub(crate) fn tell(&self, key: &DeviceKey, existence: Existence, at: Timestamp) {
        if !self.wanted.load(Ordering::Relaxed) {
            return;
        }
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let connection = Connection { key: key.clone(), existence, sequence, at };
        if self.told.try_send(connection).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many were dropped since this was asked last.
    pub(crate) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}
