//! Live sessions: each rests on a permit that can be taken away.
//!
//! The order that makes it safe: a session is in the index *before* its authority is read, and a
//! change is committed *before* the index is walked. Whichever comes first, one of the two sees
//! the other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use hub::permit::{Evidence, Permit};
use model::{DeviceId, HostName};
use tokio::sync::{OwnedRwLockReadGuard, RwLock, watch};

/// Names a device on a hub.
pub type DeviceKey = (HostName, DeviceId);

/// All live sessions, by device.
#[derive(Debug, Default)]
pub struct Sessions {
    next: AtomicU64,
    live: Arc<Mutex<HashMap<DeviceKey, Vec<Arc<Shared>>>>>,
}

/// What the index and the session's driver share.
#[derive(Debug)]
pub(crate) struct Shared {
    number: u64,
    pub(crate) key: DeviceKey,
    pub(crate) named: HostName,
    pub(crate) evidence: Evidence,
    permit: Arc<RwLock<Option<Permit>>>,
    closing: watch::Sender<Option<Closing>>,
    ended: watch::Sender<bool>,
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
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    live: Arc<Mutex<HashMap<DeviceKey, Vec<Arc<Shared>>>>>,
    closing: watch::Receiver<Option<Closing>>,
}

/// While it lives, a withdrawal of the permit waits: hold it from before an operation is accepted
/// until its effect is durable.
#[derive(Debug)]
pub struct Operation(
    #[expect(dead_code, reason = "held, not read")] OwnedRwLockReadGuard<Option<Permit>>,
);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}

impl Sessions {
    /// Puts a session into the index, without a permit yet.
    pub(crate) fn enter(&self, key: DeviceKey, named: HostName, evidence: Evidence) -> Session {
        let (closing, receiver) = watch::channel(None);
        let shared = Arc::new(Shared {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            key: key.clone(),
            named,
            evidence,
            permit: Arc::new(RwLock::new(None)),
            closing,
            ended: watch::channel(false).0,
        });
        locked(&self.live).entry(key).or_default().push(Arc::clone(&shared));
        Session { shared, live: Arc::clone(&self.live), closing: receiver }
    }

    /// The sessions of a device.
    pub(crate) fn of_device(&self, key: &DeviceKey) -> Vec<Arc<Shared>> {
        locked(&self.live).get(key).cloned().unwrap_or_default()
    }

    /// The sessions of a hub.
    pub(crate) fn of_hub(&self, hub: &HostName) -> Vec<Arc<Shared>> {
        let live = locked(&self.live);
        let of_hub = live.iter().filter(|((host, _), _)| host == hub);
        of_hub.flat_map(|(_, sessions)| sessions.iter().cloned()).collect()
    }

    /// How many devices of a hub have a live session.
    pub fn count_of_hub(&self, hub: &HostName) -> u64 {
        let live = locked(&self.live);
        let count = live.keys().filter(|(host, _)| host == hub).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// How many sessions are live.
    pub fn count(&self) -> usize {
        locked(&self.live).values().map(Vec::len).sum()
    }

    /// Whether a device has a live session.
    pub fn is_connected(&self, key: &DeviceKey) -> bool {
        locked(&self.live).contains_key(key)
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
        *held = Some(permit);
        Ok(())
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
        let mut live = locked(&self.live);
        if let Some(sessions) = live.get_mut(&self.shared.key) {
            sessions.retain(|session| session.number != self.shared.number);
            if sessions.is_empty() {
                live.remove(&self.shared.key);
            }
        }
        drop(live);
        self.shared.ended.send_replace(true);
    }
}
