//! Retry storms: whom to serve first when refused devices come again and again (S-35).
//!
//! A handshake is what a refused device costs most, and until it is over nobody knows who comes.
//! What is known is the address: one whose last connections were refused waits for its turn, of
//! which there are so many a second for all such addresses together. Everybody else goes ahead.
//!
//! Nothing is denied by memory (M-27): a device is judged anew each time. An address from which
//! one was let in after others were refused is shared, by a NAT or a proxy, or its device was
//! enabled again: it does not wait, as long as that happens now and then.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use model::{Pace, limits};
use tokio::time::Instant;

use super::capacity::{Share, locked};

/// Refusals in a row after which an address waits: a slip of an operator is none yet.
const REFUSALS_IN_A_ROW: u8 = 2;
/// How long an address is remembered after its last refusal, or after the last device of a shared
/// one was let in.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);
/// Addresses that are remembered; what comes beyond is served like everybody.
const ADDRESSES_MAX: usize = 65_536;
/// The least time that a connection is held which is not served: dropped at once, its device would
/// be back at once, which costs more.
const HELD_FOR_MIN: Duration = limits::REFUSED_CONNECTION_WAIT_MAX;
/// What the port of a client adds at the most.
const HELD_FOR_SPREAD: Duration = Duration::from_secs(5);
/// How often the forgotten ones are cleared away for new ones, at the most.
const CLEARED_EVERY: Duration = Duration::from_secs(1);

/// When a connection is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Now.
    Now,
    /// After this wait, in the order of arrival.
    After(Duration),
    /// There are more than can be served in time: it is held for a while and dropped.
    Never,
}

/// How long a connection is held that is not served. Devices that came together do not come back
/// together: their ports differ, which fill the backlog of the listener otherwise.
pub(super) fn held_for(port: u16) -> Duration {
    const SHARES: u32 = 1_000;
    HELD_FOR_MIN + HELD_FOR_SPREAD * (u32::from(port) % SHARES) / SHARES
}

/// Addresses whose devices were refused, as a function of time since any moment.
#[derive(Debug)]
struct Refusals {
    pace: Pace,
    addresses: HashMap<IpAddr, Seen>,
    cleared: Duration,
}

/// What was seen of an address, and when last.
#[derive(Clone, Copy, Debug)]
struct Seen {
    what: What,
    last: Duration,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// So many refusals in a row, and nobody was let in.
    Refused(u8),
    /// Somebody was let in after a refusal.
    Shared,
}

impl Seen {
    fn is_late(&self, now: Duration) -> bool {
        now.saturating_sub(self.last) >= REMEMBERED_FOR
    }
}

impl Refusals {
    fn new(per_second: NonZeroU32) -> Self {
        Self {
            pace: Pace::new(per_second, limits::REFUSED_CONNECTION_WAIT_MAX),
            addresses: HashMap::new(),
            cleared: Duration::ZERO,
        }
    }

    fn turn(&mut self, address: IpAddr, now: Duration) -> Turn {
        let waits = |found: &Seen| match found.what {
            What::Refused(in_a_row) => in_a_row >= REFUSALS_IN_A_ROW && !found.is_late(now),
            What::Shared => false,
        };
        if !self.addresses.get(&address).is_some_and(waits) {
            return Turn::Now;
        }
        match self.pace.turn(now) {
            Some(Duration::ZERO) => Turn::Now,
            Some(wait) => Turn::After(wait),
            None => Turn::Never,
        }
    }

    fn refused(&mut self, address: IpAddr, now: Duration) {
        if let Some(found) = self.addresses.get_mut(&address) {
            let in_a_row = match found.what {
                _ if found.is_late(now) => 0,
                What::Refused(in_a_row) => in_a_row,
                What::Shared => return,
            };
            *found = Seen { what: What::Refused(in_a_row.saturating_add(1)), last: now };
            return;
        }
        if self.addresses.len() >= ADDRESSES_MAX {
            if now.saturating_sub(self.cleared) >= CLEARED_EVERY {
                self.cleared = now;
                self.addresses.retain(|_, found| !found.is_late(now));
            }
            if self.addresses.len() >= ADDRESSES_MAX {
                return;
            }
        }
        self.addresses.insert(address, Seen { what: What::Refused(1), last: now });
    }

    fn let_in(&mut self, address: IpAddr, now: Duration) {
        if let Some(found) = self.addresses.get_mut(&address) {
            *found = Seen { what: What::Shared, last: now };
        }
    }
}

/// [`Refusals`] by the clock, shared by all listeners.
#[derive(Debug)]
pub(super) struct Storm {
    refusals: Mutex<Refusals>,
    began: Instant,
}

impl Storm {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self { refusals: Mutex::new(Refusals::new(per_second)), began: Instant::now() }
    }

    /// When a connection from this address is served; an IPv6 network is one address.
    pub(super) fn turn(&self, network: IpAddr) -> Turn {
        let now = self.began.elapsed();
        self.locked().turn(network, now)
    }

    fn locked(&self) -> MutexGuard<'_, Refusals> {
        locked(&self.refusals)
    }
}

/// What becomes of a connection's client, told to whoever lets its address in next time.
///
/// Each of the two counts once a connection.
#[derive(Clone, Debug, Default)]
pub struct Standing(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    storm: Option<(Arc<Storm>, IpAddr)>,
    said: AtomicU8,
    /// Held until its client is known.
    stranger: Mutex<Option<Share>>,
}

const REFUSED: u8 = 1;
const LET_IN: u8 = 2;
const KNOWN: u8 = 4;

impl Standing {
    pub(super) fn of(storm: Option<&Arc<Storm>>, network: IpAddr) -> Self {
        let storm = storm.map(|storm| (Arc::clone(storm), network));
        Self(Arc::new(Told { storm, ..Told::default() }))
    }

    pub(super) fn is_stranger(&self, share: Share) {
        *self.stranger() = Some(share);
    }

    /// Its client was refused.
    pub fn refused(&self) {
        if self.first(REFUSED)
            && let Some((storm, network)) = &self.0.storm
        {
            storm.locked().refused(*network, storm.began.elapsed());
        }
    }

    /// Its client has shown who it is, whatever is thought of it.
    pub fn known(&self) {
        if self.first(KNOWN) {
            drop(self.stranger().take());
        }
    }

    /// Its device has a hub or is on it, or its operator's key is good.
    pub fn let_in(&self) {
        self.known();
        if self.first(LET_IN)
            && let Some((storm, network)) = &self.0.storm
        {
            storm.locked().let_in(*network, storm.began.elapsed());
        }
    }

    /// Whether its client is known and welcome, as far as is known yet.
    pub fn may_stay(&self) -> bool {
        let said = self.0.said.load(Ordering::Relaxed);
        said & LET_IN != 0 || said & (KNOWN | REFUSED) == KNOWN
    }

    fn first(&self, what: u8) -> bool {
        self.0.said.fetch_or(what, Ordering::Relaxed) & what == 0
    }

    fn stranger(&self) -> MutexGuard<'_, Option<Share>> {
        locked(&self.0.stranger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    fn refusals(per_second: u32) -> Refusals {
        Refusals::new(NonZeroU32::new(per_second).unwrap())
    }

    fn refused_twice(refusals: &mut Refusals, address: IpAddr, now: Duration) {
        refusals.refused(address, now);
        refusals.refused(address, now);
    }

    #[test]
    fn s_35_addresses_that_were_refused_wait_and_others_do_not() {
        let mut refusals = refusals(10);
        let now = SECOND;
        refusals.refused(address(1), now);
        assert_eq!(refusals.turn(address(1), now), Turn::Now, "once is no storm");
        for number in 1..=100 {
            refused_twice(&mut refusals, address(number), now);
        }
        assert_eq!(refusals.turn(address(1), now), Turn::Now, "there is room");
        assert_eq!(refusals.turn(address(2), now), Turn::After(SECOND / 10));
        assert_eq!(refusals.turn(address(3), now), Turn::After(SECOND / 5));
        assert_eq!(refusals.turn(address(1000), now), Turn::Now, "it was never refused");
    }

    #[test]
    fn s_35_no_wait_is_longer_than_clients_wait() {
        let mut refusals = refusals(10);
        refused_twice(&mut refusals, address(1), SECOND);
        let turns: Vec<Turn> = (0..60).map(|_| refusals.turn(address(1), SECOND)).collect();
        assert_eq!(turns[50], Turn::After(limits::REFUSED_CONNECTION_WAIT_MAX));
        assert_eq!(turns[51], Turn::Never);
        let later = SECOND + SECOND / 10;
        assert_eq!(
            refusals.turn(address(1), later),
            Turn::After(limits::REFUSED_CONNECTION_WAIT_MAX),
            "what is dropped takes no turn"
        );
    }

    #[test]
    fn s_35_who_is_known_may_stay_unless_it_is_refused() {
        let said = |what: &[fn(&Standing)]| {
            let standing = Standing::default();
            what.iter().for_each(|say| say(&standing));
            standing.may_stay()
        };
        assert!(!said(&[]));
        assert!(!said(&[Standing::refused]));
        assert!(said(&[Standing::known]));
        assert!(!said(&[Standing::known, Standing::refused]), "a disabled device");
        assert!(said(&[Standing::refused, Standing::let_in]), "it was enabled again");
    }

    #[test]
    fn m_27_who_is_let_in_waits_no_more_and_nor_do_those_who_share_the_address() {
        let mut refusals = refusals(1);
        refused_twice(&mut refusals, address(1), SECOND);
        assert_eq!(refusals.turn(address(1), SECOND), Turn::Now);
        assert_ne!(refusals.turn(address(1), SECOND), Turn::Now);
        refusals.let_in(address(1), SECOND);
        assert_eq!(refusals.turn(address(1), SECOND), Turn::Now);
        let mut now = SECOND;
        for _ in 0..3 {
            refused_twice(&mut refusals, address(1), now);
            assert_eq!(refusals.turn(address(1), now), Turn::Now, "others are let in there");
            now += REMEMBERED_FOR - SECOND;
            refusals.let_in(address(1), now);
        }
        now += REMEMBERED_FOR;
        refused_twice(&mut refusals, address(1), now);
        refusals.pace.turn(now);
        assert_ne!(refusals.turn(address(1), now), Turn::Now, "nobody was for a long time");
    }

    #[test]
    fn addresses_that_were_never_refused_are_not_remembered() {
        let mut refusals = refusals(1);
        refusals.let_in(address(1), SECOND);
        assert!(refusals.addresses.is_empty());
        refused_twice(&mut refusals, address(1), SECOND);
        refusals.pace.turn(SECOND);
        assert_ne!(refusals.turn(address(1), SECOND), Turn::Now, "a device that was revoked");
    }

    #[test]
    fn refusals_are_forgotten_in_time() {
        let mut refusals = refusals(1);
        refused_twice(&mut refusals, address(1), SECOND);
        refusals.turn(address(1), SECOND);
        let later = SECOND + REMEMBERED_FOR;
        refusals.pace.turn(later);
        assert_eq!(refusals.turn(address(1), later), Turn::Now);
        refusals.refused(address(1), later);
        assert_eq!(refusals.turn(address(1), later), Turn::Now, "one in a row");
    }

    #[test]
    fn s_35_what_came_together_and_was_dropped_does_not_come_back_together() {
        let mut held: Vec<Duration> = (32_768..33_768).map(held_for).collect();
        held.sort_unstable();
        held.dedup();
        assert_eq!(held.len(), 1_000);
        assert!(held.iter().all(|held| *held >= limits::REFUSED_CONNECTION_WAIT_MAX));
        assert!(held.iter().all(|held| *held < limits::HANDSHAKE_TIMEOUT));
    }

    #[test]
    fn s_35_memory_is_bounded_and_free_again_in_time() {
        let mut refusals = refusals(1);
        for number in 0..70_000 {
            refused_twice(&mut refusals, address(number), SECOND);
        }
        assert_eq!(refusals.addresses.len(), ADDRESSES_MAX);
        refused_twice(&mut refusals, address(80_000), SECOND + REMEMBERED_FOR);
        assert_eq!(refusals.addresses.len(), 1);
    }
}
