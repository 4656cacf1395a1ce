//! Live sessions: each rests on a permit that can be taken away.
//!
//! The order that makes it safe: a session is in the index *before* its authority is read, and a
//! change is committed *before* the index is walked. Whichever comes first, one of the two sees
//! the other.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use events::Existence;
use hub::permit::{Evidence, Permit};
use model::{DeviceId, HostName, Timestamp};
use tokio::sync::{OwnedRwLockReadGuard, RwLock, watch};

use super::seen::{Seen, SeenDevices};
use crate::Clock;
use crate::events::Connections;

/// Names a device on a hub.
pub type DeviceKey = (HostName, DeviceId);

/// All live sessions, by device, and what is known of devices that had one.
pub struct Sessions {
    next: AtomicU64,
    index: Arc<Index>,
}

/// What sessions share with those who look for them.
struct Index {
    clock: Arc<dyn Clock>,
    connections: Arc<Connections>,
    live: Mutex<HashMap<DeviceKey, Vec<Arc<Shared>>>>,
    seen: Mutex<SeenDevices>,
}

/// What is known of a device's connection. The times are lost with the process; of devices that
/// are not connected, those of the latest are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// Whether it is signed in; to send over HTTP is not to be.
    pub connected: bool,
    /// When that changed last, where it is known.
    pub changed: Option<Timestamp>,
    /// When it signed in or sent last, where it is known.
    pub heard: Option<Timestamp>,
}

/// What a session's device has done.
#[derive(Debug, Default)]
struct Activity {
    /// Which identity it is.
    generation_id: Option<i64>,
    /// When it signed in.
    signed_in: Option<Timestamp>,
    /// When it signed in or sent last.
    heard: Option<Timestamp>,
}

/// What the index and the session's driver share.
#[derive(Debug)]
pub(crate) struct Shared {
    number: u64,
    pub(crate) key: DeviceKey,
    pub(crate) named: HostName,
    pub(crate) from: IpAddr,
    pub(crate) evidence: Evidence,
    permit: Arc<RwLock<Option<Permit>>>,
    closing: watch::Sender<Option<Closing>>,
    ended: watch::Sender<bool>,
    activity: Mutex<Activity>,
}

/// Why a session ends from within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// Its permit was withdrawn.
    Denied,
    /// The device has connected again.
    TakenOver,
}

/// A live session, held by its driver; dropping it ends it.
pub struct Session {
    shared: Arc<Shared>,
    index: Arc<Index>,
    closing: watch::Receiver<Option<Closing>>,
}

/// While it lives, a withdrawal of the permit waits: hold it from before an operation is accepted
/// until its effect is durable.
#[derive(Debug)]
pub struct Operation(
    #[expect(dead_code, reason = "held, not read")] OwnedRwLockReadGuard<Option<Permit>>,
);

/// Whether a device has a session that is signed in.
fn is_connected(live: &HashMap<DeviceKey, Vec<Arc<Shared>>>, key: &DeviceKey) -> bool {
    live.get(key).is_some_and(|sessions| sessions.iter().any(|session| session.is_signed_in()))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Sessions {
    /// No sessions yet.
    pub(crate) fn new(clock: Arc<dyn Clock>, connections: Arc<Connections>) -> Self {
        let (live, seen) = (Mutex::default(), Mutex::default());
        let index = Index { clock, connections, live, seen };
        Self { next: AtomicU64::default(), index: Arc::new(index) }
    }

    /// Puts a session into the index, without a permit yet.
    pub(crate) fn enter(
        &self,
        key: DeviceKey,
        named: HostName,
        from: IpAddr,
        evidence: Evidence,
    ) -> Session {
        let (closing, receiver) = watch::channel(None);
        let shared = Arc::new(Shared {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            key: key.clone(),
            named,
            from,
            evidence,
            permit: Arc::new(RwLock::new(None)),
            closing,
            ended: watch::channel(false).0,
            activity: Mutex::default(),
        });
        locked(&self.index.live).entry(key).or_default().push(Arc::clone(&shared));
        Session { shared, index: Arc::clone(&self.index), closing: receiver }
    }

    /// The sessions of a device.
    pub(crate) fn of_device(&self, key: &DeviceKey) -> Vec<Arc<Shared>> {
        locked(&self.index.live).get(key).cloned().unwrap_or_default()
    }

    /// The sessions of a hub.
    pub(crate) fn of_hub(&self, hub: &HostName) -> Vec<Arc<Shared>> {
        let live = locked(&self.index.live);
        let of_hub = live.iter().filter(|((host, _), _)| host == hub);
        of_hub.flat_map(|(_, sessions)| sessions.iter().cloned()).collect()
    }

    /// How many devices of a hub are signed in.
    pub fn connected_of_hub(&self, hub: &HostName) -> u64 {
        let live = locked(&self.index.live);
        let of_hub = live.iter().filter(|((host, _), _)| host == hub);
        let connected =
            of_hub.filter(|(_, sessions)| sessions.iter().any(|session| session.is_signed_in()));
        u64::try_from(connected.count()).unwrap_or(u64::MAX)
    }

    /// How many sessions are live.
    pub fn count(&self) -> usize {
        locked(&self.index.live).values().map(Vec::len).sum()
    }

    /// What is known of the connection of a device; `generation_id` tells it from an earlier one
    /// of the same id.
    pub fn presence(&self, key: &DeviceKey, generation_id: i64) -> Presence {
        let mut presence = Presence::default();
        if let Some(seen) = locked(&self.index.seen).get(key)
            && seen.generation_id == generation_id
        {
            presence.changed = seen.disconnected;
            presence.heard = Some(seen.heard);
        }
        for session in self.of_device(key) {
            let activity = locked(&session.activity);
            if activity.generation_id == Some(generation_id) {
                presence.heard = presence.heard.max(activity.heard);
                if activity.signed_in.is_some() {
                    presence.connected = true;
                    presence.changed = activity.signed_in;
                }
            }
        }
        presence
    }
}

impl Shared {
    /// Takes the permit away and waits until no operation rests on it any more.
    pub(crate) async fn close(&self, why: Closing) {
        self.closing.send_if_modified(|closing| {
            let first = closing.is_none();
            closing.get_or_insert(why);
            first
        });
        *self.permit.write().await = None;
    }

    /// Waits until the driver has dropped the session and with it the connection.
    pub(crate) async fn ended(&self) {
        let mut ended = self.ended.subscribe();
        // An error means that the sender is gone, and the session with it.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    fn is_signed_in(&self) -> bool {
        locked(&self.activity).signed_in.is_some()
    }

    /// The permit as it is now.
    pub(crate) async fn permit(&self) -> Option<Permit> {
        self.permit.read().await.clone()
    }

    /// Whether this session came before another one.
    pub(crate) const fn is_before(&self, number: u64) -> bool {
        self.number < number
    }
}

impl Session {
    /// Gives the session its permit, unless it was closed meanwhile.
    pub(crate) async fn grant(&self, permit: Permit) -> Result<(), Closing> {
        let mut held = self.shared.permit.write().await;
        if let Some(closing) = *self.shared.closing.borrow() {
            return Err(closing);
        }
        locked(&self.shared.activity).generation_id = Some(permit.generation_id);
        *held = Some(permit);
        Ok(())
    }

    /// The device is connected from now on.
    pub(crate) fn signed_in(&self) {
        let now = self.index.clock.now();
        // Held to the end, so that comings and goings are told in their order.
        let live = locked(&self.index.live);
        if !is_connected(&live, &self.shared.key) {
            self.index.connections.tell(&self.shared.key, Existence::Began, now);
        }
        let mut activity = locked(&self.shared.activity);
        activity.signed_in = Some(now);
        activity.heard = Some(now);
    }

    /// The device was heard of.
    pub(crate) fn heard(&self, now: Timestamp) {
        locked(&self.shared.activity).heard = Some(now);
    }

    pub(crate) fn number(&self) -> u64 {
        self.shared.number
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The hub and the device.
    pub fn key(&self) -> &DeviceKey {
        &self.shared.key
    }

    /// Begins an operation; none when the permit is gone or going. See [`Operation`].
    ///
    /// It never waits for a withdrawal: that waits for operations of this session, which may not
    /// go on while their driver is waiting here.
    pub async fn begin(&self) -> Option<(Operation, Permit)> {
        let held = tokio::select! {
            biased;
            _ = self.closing() => return None,
            held = Arc::clone(&self.shared.permit).read_owned() => held,
        };
        let permit = held.clone()?;
        Some((Operation(held), permit))
    }

    /// Waits until the session must end, and tells why.
    pub async fn closing(&self) -> Closing {
        let mut closing = self.closing.clone();
        match closing.wait_for(Option::is_some).await {
            Ok(why) => why.unwrap_or(Closing::Denied),
            Err(_) => Closing::Denied,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // First what is remembered, and then out of the index, so that one of the two is found.
        self.remember();
        let mut live = locked(&self.index.live);
        if let Some(sessions) = live.get_mut(&self.shared.key) {
            sessions.retain(|session| session.number != self.shared.number);
            if sessions.is_empty() {
                live.remove(&self.shared.key);
            }
        }
        if self.shared.is_signed_in() && !is_connected(&live, &self.shared.key) {
            let now = self.index.clock.now();
            self.index.connections.tell(&self.shared.key, Existence::Ended, now);
        }
        drop(live);
        self.shared.ended.send_replace(true);
    }
}

impl Session {
    fn remember(&self) {
        let activity = locked(&self.shared.activity);
        let (Some(generation_id), Some(heard)) = (activity.generation_id, activity.heard) else {
            return;
        };
        let mut seen = locked(&self.index.seen);
        let before = seen.get(&self.shared.key);
        let before = before.filter(|before| before.generation_id == generation_id);
        let disconnected = match activity.signed_in {
            Some(_) => Some(self.index.clock.now()),
            None => before.and_then(|before| before.disconnected),
        };
        let heard = before.map_or(heard, |before| before.heard.max(heard));
        seen.put(self.shared.key.clone(), Seen { generation_id, disconnected, heard });
    }
}
