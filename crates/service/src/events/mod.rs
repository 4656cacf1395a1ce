//! Lifecycle events: told with the commit that makes them true, sent beside it.
//!
//! A delivery is a row of the very commit that it tells of, so that neither is without the other
//! after a crash; without a subscription nothing is written and nothing is looked at. Connections
//! are no commits: they are told as well as a process can that may end at any time.

mod connections;
mod deliver;
mod derive;
mod subscriptions;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use events::schedule::Outcome;
use events::{Delivery, EndpointUrl, Event, EventType, Happened, Subscription};
use model::{Revision, SubscriptionName, Timestamp, limits};
use provisioning::view::Versioned;
use serde_json::Value;
use store::{Commit, CommitError, DeliveryCount, Write};
use tokio::sync::Notify;

use crate::observe::Observed;
use crate::{Fault, Service, environment};

pub(crate) use connections::Connections;
pub use subscriptions::SubscriptionDraft;

/// Puts events into their form, and sends them.
#[async_trait]
pub trait Announcer: Send + Sync {
    /// What is told of something, in its form on the wire; no key is in it.
    fn data(&self, happened: &Happened<'_>) -> Value;
    /// Sends an event once, and waits for the answer no longer than [`limits::EVENT_TIMEOUT`].
    async fn send(&self, endpoint: &EndpointUrl, event: &Event) -> Outcome;
    /// Asks a receiver whether it wants events.
    ///
    /// # Errors
    /// Why not, for the operator.
    async fn consent(&self, endpoint: &EndpointUrl) -> Result<(), String>;
}

/// Sends nothing.
pub(crate) struct Mute;

#[async_trait]
impl Announcer for Mute {
    fn data(&self, _happened: &Happened<'_>) -> Value {
        Value::Null
    }

    async fn send(&self, _endpoint: &EndpointUrl, _event: &Event) -> Outcome {
        let because = "this server sends no events".to_owned();
        Outcome::Failed { because, asked_pause: None }
    }

    async fn consent(&self, _endpoint: &EndpointUrl) -> Result<(), String> {
        Err("this server sends no events".to_owned())
    }
}

/// How much is queued for a subscription, and the signal that more is.
#[derive(Debug, Default)]
struct Kept {
    waiting: AtomicU64,
    dead: AtomicU64,
    more: Notify,
}

impl Kept {
    fn new(count: DeliveryCount) -> Self {
        Self { waiting: count.waiting.into(), dead: count.dead.into(), more: Notify::new() }
    }

    fn count(&self) -> DeliveryCount {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DeliveryCount { waiting: read(&self.waiting), dead: read(&self.dead) }
    }

    /// Whether there is no room for an event of this kind: a device that connects again and again
    /// leaves room for everything else.
    fn is_full_for(&self, kind: EventType) -> bool {
        let max = match kind {
            EventType::DeviceConnected | EventType::DeviceDisconnected => {
                limits::EVENTS_KEPT_FOR_CONNECTIONS_MAX
            }
            EventType::DeviceCreated
            | EventType::DeviceDeleted
            | EventType::RegistrationAssigned
            | EventType::RegistrationRefused
            | EventType::RegistrationDeleted
            | EventType::EnrollmentCreated
            | EventType::EnrollmentUpdated
            | EventType::EnrollmentEnabled
            | EventType::EnrollmentDisabled
            | EventType::EnrollmentDeleted
            | EventType::Test => limits::EVENTS_KEPT_MAX,
        };
        self.total() >= max
    }

    fn total(&self) -> u64 {
        let DeliveryCount { waiting, dead } = self.count();
        waiting.saturating_add(dead)
    }

    /// Moves counts: what leaves one side may come to the other.
    fn moved(&self, waiting: i64, dead: i64) {
        for (counter, by) in [(&self.waiting, waiting), (&self.dead, dead)] {
            // Never fails: the closure always gives a number.
            let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                Some(count.saturating_add_signed(by))
            });
        }
    }
}

/// A subscription as it is now, with what is queued for it.
#[derive(Clone, Debug)]
struct Lane {
    row: Arc<Versioned<Subscription>>,
    kept: Arc<Kept>,
}

impl Lane {
    fn subscription(&self) -> &Subscription {
        &self.row.value
    }
}

/// Who is told what.
pub(crate) struct Announcements {
    pub(crate) announcer: Arc<dyn Announcer>,
    pub(crate) connections: Arc<Connections>,
    lanes: RwLock<Arc<Vec<Lane>>>,
    /// One change of the subscriptions at a time, so that the last one is the last one read.
    changing: tokio::sync::Mutex<()>,
    changed: Notify,
}

impl Announcements {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            announcer: Arc::new(Mute),
            connections: Arc::new(Connections::new(now)),
            lanes: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn lanes(&self) -> Arc<Vec<Lane>> {
        match self.lanes.read() {
            Ok(lanes) => Arc::clone(&lanes),
            Err(poisoned) => Arc::clone(&poisoned.into_inner()),
        }
    }

    fn lane(&self, name: &SubscriptionName) -> Option<Lane> {
        self.lanes().iter().find(|lane| lane.subscription().name == *name).cloned()
    }

    fn put_lanes(&self, lanes: Vec<Lane>) {
        let wants = |kind| lanes.iter().any(|lane| lane.subscription().filter.wants(kind));
        let connections = wants(EventType::DeviceConnected) || wants(EventType::DeviceDisconnected);
        self.connections.are_wanted(connections);
        match self.lanes.write() {
            Ok(mut held) => *held = Arc::new(lanes),
            Err(poisoned) => *poisoned.into_inner() = Arc::new(lanes),
        }
        self.changed.notify_one();
    }
}

/// The lanes that a commit has added to, once for each event.
#[derive(Default)]
pub(crate) struct Added(Vec<Lane>);

impl Added {
    /// The commit stands.
    pub(crate) fn committed(self) {
        for lane in self.0 {
            lane.kept.moved(1, 0);
            lane.kept.more.notify_one();
        }
    }
}

impl Service {
    /// How much is queued for all subscriptions together.
    pub fn deliveries_kept(&self) -> DeliveryCount {
        let lanes = self.announcements.lanes();
        let counts = lanes.iter().map(|lane| lane.kept.count());
        counts.fold(DeliveryCount::default(), |sum, count| DeliveryCount {
            waiting: sum.waiting.saturating_add(count.waiting),
            dead: sum.dead.saturating_add(count.dead),
        })
    }

    /// Adds to a commit the events that tell of it.
    pub(crate) async fn announce(&self, commit: &mut Commit) -> Result<Added, CommitError> {
        let mut added = Added::default();
        let lanes = self.announcements.lanes();
        if lanes.is_empty() {
            return Ok(added);
        }
        let before = self.before(commit).await.map_err(CommitError::Unavailable)?;
        let now = self.now();
        let directory = self.directory();
        let mut deliveries = Vec::new();
        derive::happened(commit, &before, &directory, now, |happened| {
            self.queue(&lanes, &happened, now, &mut deliveries, &mut added);
        });
        commit.writes.extend(deliveries);
        Ok(added)
    }

    /// Queues something that has happened for everybody who wants to hear of it.
    fn queue(
        &self,
        lanes: &[Lane],
        happened: &Happened<'_>,
        now: Timestamp,
        deliveries: &mut Vec<Write>,
        added: &mut Added,
    ) {
        let kind = happened.event_type();
        if !lanes.iter().any(|lane| lane.subscription().filter.wants(kind)) {
            return;
        }
        let event = self.event(happened, now);
        for lane in lanes.iter().filter(|lane| lane.subscription().filter.chooses(&event)) {
            let name = &lane.subscription().name;
            if lane.kept.is_full_for(kind) {
                self.observer.observe(&Observed::EventsDropped { count: 1 });
                tracing::warn!(
                    subscription.name = %name,
                    "an event is dropped: {} wait for {name} already", lane.kept.total()
                );
                continue;
            }
            let delivery = Delivery::new(name.clone(), event.clone(), now);
            deliveries.push(Write::Delivery(Box::new(delivery)));
            added.0.push(lane.clone());
        }
    }

    fn event(&self, happened: &Happened<'_>, now: Timestamp) -> Event {
        Event {
            id: environment::guid(self.entropy.as_ref()),
            event_type: happened.event_type(),
            source: happened.source(),
            subject: happened.subject(),
            time: now,
            data: self.announcements.announcer.data(happened),
        }
    }

    /// Reads the subscriptions from the store.
    pub(crate) async fn reload_subscriptions(&self) -> Result<(), Fault> {
        let known = self.announcements.lanes();
        let mut lanes = Vec::new();
        for row in self.store.subscriptions().await? {
            let name = &row.value.name;
            let same = known.iter().find(|lane| {
                let there = lane.subscription();
                there.name == *name && there.created == row.value.created
            });
            let kept = match same {
                Some(lane) => Arc::clone(&lane.kept),
                None => Arc::new(Kept::new(self.store.delivery_count(name).await?)),
            };
            lanes.push(Lane { row: Arc::new(row), kept });
        }
        self.announcements.put_lanes(lanes);
        Ok(())
    }
}

/// The revision of a lane's row.
fn revision(lane: Option<&Lane>) -> Option<Revision> {
    lane.map(|lane| lane.row.revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_take_room_as_well() {
        let half = limits::EVENTS_KEPT_MAX / 2;
        let kept = Kept::new(DeliveryCount { waiting: half, dead: half - 1 });
        let kind = EventType::DeviceDeleted;
        assert!(!kept.is_full_for(kind));
        kept.moved(0, 1);
        assert!(kept.is_full_for(kind));
        kept.moved(-1, 0);
        assert!(!kept.is_full_for(kind));
    }

    #[test]
    fn connections_leave_room_for_what_operators_must_not_miss() {
        let max = limits::EVENTS_KEPT_FOR_CONNECTIONS_MAX;
        let kept = Kept::new(DeliveryCount { waiting: max - 1, dead: 0 });
        let connections = [EventType::DeviceConnected, EventType::DeviceDisconnected];
        assert!(connections.iter().all(|kind| !kept.is_full_for(*kind)));
        kept.moved(1, 0);
        assert!(connections.iter().all(|kind| kept.is_full_for(*kind)));
        assert!(!kept.is_full_for(EventType::EnrollmentDisabled));
    }
}
