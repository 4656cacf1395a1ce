//! Room for connections and for handshakes, shared by all listeners.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use model::limits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::counters::Counters;
use super::storm::{Standing, Storm, Turn};

/// Strangers that an address may have however little room there is.
const STRANGERS_MIN: usize = 8;

/// How many connections may be open, and how many of them in their handshake.
///
/// Clones share the same room.
#[derive(Debug, Clone)]
pub struct Capacity {
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    handshakes_by_address: Counts,
    strangers_by_address: Counts,
    strangers_max: usize,
    was_full: Arc<AtomicBool>,
    waiting: Arc<Semaphore>,
    storm: Option<Arc<Storm>>,
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
            handshakes_by_address: Arc::default(),
            strangers_by_address: Arc::default(),
            strangers_max: (connections_max / 2)
                .clamp(STRANGERS_MIN, limits::STRANGERS_PER_ADDRESS_MAX),
            was_full: Arc::default(),
            waiting: room(connections_max - connections_max / 4),
            storm: None,
        }
    }

    /// The same room, where addresses whose devices were refused share so many connections a
    /// second. At most three quarters of the room may wait for that.
    #[must_use]
    pub fn with_refused_per_second(mut self, per_second: NonZeroU32) -> Self {
        self.storm = Some(Arc::new(Storm::new(per_second)));
        self
    }

    /// Where it is told what becomes of a connection from this address.
    pub(super) fn standing(&self, address: IpAddr) -> Standing {
        Standing::of(self.storm.as_ref(), network(address))
    }

    /// When a connection from this address is served.
    pub(super) fn turn(&self, address: IpAddr) -> Turn {
        self.storm.as_ref().map_or(Turn::Now, |storm| storm.turn(network(address)))
    }

    /// A place among the connections that wait for their turn, if there is one.
    pub(super) fn place_for_waiting(&self) -> Option<Place> {
        let permit = self.waiting.clone().try_acquire_owned().ok()?;
        Some(Place { _permit: Some(permit) })
    }

    /// Waits for a place among the connections, then for one among the handshakes; none for an
    /// address that has its share of handshakes or of strangers already. One address, or one IPv6
    /// network of a site, can not keep all others out by being slow or by being silent.
    pub(super) async fn admit(&self, address: IpAddr, counters: &Counters) -> Option<Places> {
        let network = network(address);
        let handshakes_max = limits::HANDSHAKES_PER_ADDRESS_MAX;
        let handshake = Share::of(&self.handshakes_by_address, network, handshakes_max)?;
        let stranger = Share::of(&self.strangers_by_address, network, self.strangers_max)?;
        let connection = self.place_for_connection(counters).await;
        let permit = place(&self.handshakes).await;
        let handshake = HandshakePlace { _permit: permit, _share: handshake };
        Some(Places { connection, handshake, stranger })
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
    pub(super) handshake: HandshakePlace,
    /// Free again once its client is known.
    pub(super) stranger: Share,
}

/// A place among the handshakes, and in its address's share of them; free again when dropped.
#[derive(Debug)]
pub(super) struct HandshakePlace {
    _permit: Place,
    _share: Share,
}

type Counts = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// One of those that an address may have at once; free again when dropped.
#[derive(Debug)]
pub(super) struct Share {
    network: IpAddr,
    counts: Counts,
}

impl Share {
    fn of(counts: &Counts, network: IpAddr, max: usize) -> Option<Self> {
        let mut taken = locked(counts);
        let count = taken.entry(network).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Self { network, counts: Arc::clone(counts) })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = locked(&self.counts);
        if let Some(count) = counts.get_mut(&self.network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.network);
            }
        }
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}

/// The address itself, or the /64 network of an IPv6 one: a site has that many at least.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address @ IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_keeps_room_for_the_others() {
        let capacity = Capacity::default();
        let counters = Counters::default();
        let slow: IpAddr = "192.0.2.1".parse().unwrap();
        let other: IpAddr = "192.0.2.2".parse().unwrap();
        let mut held = Vec::new();
        for _ in 0..limits::HANDSHAKES_PER_ADDRESS_MAX {
            held.push(capacity.admit(slow, &counters).await.unwrap());
        }
        assert!(capacity.admit(slow, &counters).await.is_none());
        assert!(capacity.admit(other, &counters).await.is_some());
        held.pop();
        assert!(capacity.admit(slow, &counters).await.is_some());
    }

    #[tokio::test]
    async fn s_35_one_address_of_strangers_leaves_connections_for_the_others() {
        for (room, max) in [(32, 16), (100_000, limits::STRANGERS_PER_ADDRESS_MAX)] {
            let capacity = Capacity::new(room, 8);
            let counters = Counters::default();
            let [one, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|a| a.parse().unwrap());
            let mut known = Vec::new();
            for _ in 0..max {
                let Places { connection, stranger, .. } =
                    capacity.admit(one, &counters).await.unwrap();
                let standing = Standing::default();
                standing.is_stranger(stranger);
                known.push((connection, standing));
            }
            assert!(capacity.admit(one, &counters).await.is_none(), "{room}");
            assert!(capacity.admit(other, &counters).await.is_some(), "{room}");
            known[0].1.known();
            assert!(capacity.admit(one, &counters).await.is_some(), "its device is known");
            drop(known.pop());
            assert!(capacity.admit(one, &counters).await.is_some(), "it left");
        }
    }

    #[test]
    fn an_ipv6_site_is_one_address() {
        let one: IpAddr = "2001:db8:1:2:3::1".parse().unwrap();
        let two: IpAddr = "2001:db8:1:2:ffff::9".parse().unwrap();
        let three: IpAddr = "2001:db8:1:3::1".parse().unwrap();
        assert_eq!(network(one), network(two));
        assert_ne!(network(one), network(three));
    }

    /// As a socket of both families tells them.
    #[test]
    fn ipv4_addresses_in_ipv6s_form_are_not_one() {
        let [one, two]: [IpAddr; 2] =
            ["::ffff:10.0.0.1", "::ffff:10.0.0.2"].map(|a| a.parse().unwrap());
        assert_ne!(network(one), network(two));
        assert_eq!(network(one), "10.0.0.1".parse::<IpAddr>().unwrap());
    }
}
