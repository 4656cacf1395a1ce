//! Room for connections and for handshakes, shared by all listeners.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::limits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::counters::Counters;

/// How many connections may be open, and how many of them in their handshake.
///
/// Clones share the same room.
#[derive(Debug, Clone)]
pub struct Capacity {
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    was_full: Arc<AtomicBool>,
}

impl Capacity {
    /// Room for `connections_max` connections, `handshakes_max` of them in their handshake.
    ///
    /// Zero of either admits nobody. A number past tokio's limit (2^61 - 1) is cut to it.
    pub fn new(connections_max: usize, handshakes_max: usize) -> Self {
        let room = |places: usize| Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Self {
            connections: room(connections_max),
            handshakes: room(handshakes_max),
            was_full: Arc::default(),
        }
    }

    /// Waits for a place among the connections, then for one among the handshakes.
    pub(super) async fn admit(&self, counters: &Counters) -> Places {
        let connection = self.place_for_connection(counters).await;
        let handshake = place(&self.handshakes).await;
        Places { connection, handshake }
    }

    /// Waits for a place among the connections, and says so in the log at most once per burst.
    async fn place_for_connection(&self, counters: &Counters) -> Place {
        if let Ok(permit) = self.connections.clone().try_acquire_owned() {
            self.was_full.store(false, Ordering::Relaxed);
            return Place { _permit: Some(permit) };
        }
        counters.count_waited_for_room();
        if !self.was_full.swap(true, Ordering::Relaxed) {
            tracing::warn!("connection limit reached; new connections wait");
        }
        place(&self.connections).await
    }
}

impl Default for Capacity {
    fn default() -> Self {
        Self::new(limits::CONNECTIONS_MAX, limits::HANDSHAKES_MAX)
    }
}

/// The places of a connection that is in its handshake; free again when dropped.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) connection: Place,
    pub(super) handshake: Place,
}

/// One place, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

async fn place(room: &Arc<Semaphore>) -> Place {
    // Only a closed semaphore gives none, and nobody closes these.
    Place { _permit: room.clone().acquire_owned().await.ok() }
}
