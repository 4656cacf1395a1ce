//! Sends what is queued, beside everything else.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use events::schedule::{Next, Outcome, after, is_due};
use events::{Delivery, Happened, Queued};
use model::{SubscriptionName, Timestamp, limits};
use store::{Commit, StoreError, Write};
use tokio::task::{Id, JoinSet};
use tokio::time::sleep;

use super::connections::Connection;
use super::{Added, Lane};
use crate::Service;
use crate::observe::{DeliveryOutcome, Observed};

/// The pause after the store has failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How long a lane rests at the most before it looks again: a clock may be set.
const REST_MAX: Duration = Duration::from_secs(60);
/// Connections that become events with one commit.
const CONNECTIONS_AT_ONCE: usize = 256;

/// Below so many under way, further ones are looked for.
const UNDER_WAY_FEW: usize = limits::EVENTS_SENT_AT_ONCE / 2;

/// A try that has ended.
struct Sent {
    number: u64,
    delivery: Delivery,
    outcome: Outcome,
}

/// The tries of one lane that are under way, and their numbers.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<Sent>,
    numbers: HashMap<Id, u64>,
}

impl UnderWay {
    fn begin(&mut self, number: u64, sending: impl Future<Output = Sent> + Send + 'static) {
        let task = self.tasks.spawn(sending);
        self.numbers.insert(task.id(), number);
    }

    /// Waits for one try to end and gives all that have; none where none is under way.
    async fn ended(&mut self) -> Option<Vec<Sent>> {
        let mut ended = Vec::new();
        let mut next = Some(self.tasks.join_next_with_id().await?);
        while let Some(joined) = next {
            let id = match joined {
                Ok((id, sent)) => {
                    ended.push(sent);
                    id
                }
                Err(error) => {
                    // It stays as it is in the store, and is sent again.
                    tracing::error!(%error, "the sending of an event has failed");
                    error.id()
                }
            };
            self.numbers.remove(&id);
            next = self.tasks.try_join_next_with_id();
        }
        Some(ended)
    }
}

impl Service {
    /// Sends events, for ever. What is under way when this is dropped is sent again by the next
    /// one: a receiver hears of everything at least once.
    pub async fn deliver_events(self: Arc<Self>) {
        let mut lanes = JoinSet::new();
        let mut running: HashSet<SubscriptionName> = HashSet::new();
        let connections = Arc::clone(&self.announcements.connections);
        let mut heard = connections.heard.lock().await;
        let mut batch = Vec::new();
        loop {
            for lane in self.announcements.lanes().iter() {
                let name = lane.subscription().name.clone();
                if running.insert(name.clone()) {
                    lanes.spawn(Arc::clone(&self).deliver_to(name));
                }
            }
            tokio::select! {
                () = self.announcements.changed.notified() => {}
                Some(ended) = lanes.join_next() => match ended {
                    Ok(name) => drop(running.remove(&name)),
                    Err(error) => {
                        tracing::error!(%error, "the delivery of events has failed");
                        running.clear();
                        lanes.abort_all();
                    }
                },
                _ = heard.recv_many(&mut batch, CONNECTIONS_AT_ONCE) => {
                    self.connected(std::mem::take(&mut batch)).await;
                }
            }
        }
    }

    /// Makes events of connections.
    async fn connected(&self, batch: Vec<Connection>) {
        let count = self.announcements.connections.take_dropped();
        if count > 0 {
            self.observer.observe(&Observed::EventsDropped { count });
        }
        let (lanes, directory) = (self.announcements.lanes(), self.directory());
        let (mut writes, mut added) = (Vec::new(), Added::default());
        for Connection { key: (host, device_id), existence, sequence, at } in &batch {
            let Some(hub) = directory.hub(host).map(|hub| &hub.name) else { continue };
            let (existence, sequence) = (*existence, *sequence);
            let happened = Happened::Connection { existence, hub, device_id, sequence };
            self.queue(&lanes, &happened, *at, &mut writes, &mut added);
        }
        let count = u64::try_from(added.0.len()).unwrap_or(u64::MAX);
        match self.store.commit(Commit { writes, ..Commit::default() }).await {
            Ok(_) => added.committed(),
            Err(error) => {
                tracing::warn!(%error, "events of {count} connections are lost");
                self.observer.observe(&Observed::EventsDropped { count });
            }
        }
    }

    /// Sends to one subscription as long as there is one.
    async fn deliver_to(self: Arc<Self>, name: SubscriptionName) -> SubscriptionName {
        let mut under_way = UnderWay::default();
        while let Some(lane) = self.announcements.lane(&name) {
            let rest = match under_way.numbers.len() {
                ..UNDER_WAY_FEW => {
                    self.begin(&lane, &mut under_way).await.unwrap_or_else(|error| {
                        tracing::warn!(%error, subscription.name = %name, "no events can be read");
                        STORE_PAUSE
                    })
                }
                _ => REST_MAX,
            };
            tokio::select! {
                Some(sent) = under_way.ended() => self.settle(&lane, sent).await,
                () = lane.kept.more.notified() => {}
                () = sleep(rest) => {}
            }
        }
        name
    }

    /// Begins what is due; gives how long to rest then.
    async fn begin(&self, lane: &Lane, under_way: &mut UnderWay) -> Result<Duration, StoreError> {
        let name = &lane.subscription().name;
        let limit = limits::EVENTS_LOOKED_AT;
        let queued = self.store.first_deliveries(name, limit).await?;
        let now = self.now();
        let numbers: HashSet<u64> = under_way.numbers.values().copied().collect();
        let Due { due, next } = due(queued, &numbers, now);
        for Queued { number, delivery } in due {
            let announcer = Arc::clone(&self.announcements.announcer);
            let row = Arc::clone(&lane.row);
            under_way.begin(number, async move {
                let outcome = announcer.send(&row.value.endpoint, &delivery.event).await;
                Sent { number, delivery, outcome }
            });
        }
        Ok(next.map_or(REST_MAX, |next| next.since(now).min(REST_MAX)))
    }

    fn tried(&self, lane: &Lane, delivery: Delivery, outcome: Outcome) -> Next {
        let mut chance = [0; 4];
        self.entropy.fill(&mut chance);
        let (policy, chance) = (&lane.subscription().retry, u32::from_le_bytes(chance));
        let now = self.now();
        let age = now.since(delivery.event.time);
        let next = after(delivery, outcome, policy, now, chance);
        let outcome = match &next {
            Next::Delivered => DeliveryOutcome::Delivered,
            Next::Keep(kept) if kept.dead.is_some() => DeliveryOutcome::Dead,
            Next::Keep(_) => DeliveryOutcome::Retried,
        };
        if let Next::Keep(kept) = &next {
            let name = &lane.subscription().name;
            let outcome = kept.last.as_ref().map(|last| last.outcome.as_str()).unwrap_or_default();
            tracing::info!(
                subscription.name = %name,
                event.id = kept.event.id,
                dead = kept.dead.is_some(),
                "event {} did not reach {name} at try {}: {outcome}", kept.event.id, kept.tries,
            );
        }
        self.observer.observe(&Observed::EventDelivery { outcome, age });
        next
    }

    /// Writes what came of tries. Nothing of it is sent again before that is durable.
    async fn settle(&self, lane: &Lane, sent: Vec<Sent>) {
        let (mut gone, mut dead) = (0_i64, 0_i64);
        let mut writes = Vec::with_capacity(sent.len());
        for Sent { number, delivery, outcome } in sent {
            writes.push(match self.tried(lane, delivery, outcome) {
                Next::Delivered => {
                    gone += 1;
                    Write::DeleteDelivery(number)
                }
                Next::Keep(kept) => {
                    dead += i64::from(kept.dead.is_some());
                    Write::Redelivery(number, kept)
                }
            });
        }
        let commit = Commit { writes, ..Commit::default() };
        while let Err(error) = self.store.commit(commit.clone()).await {
            tracing::warn!(%error, "what came of events can not be written");
            sleep(STORE_PAUSE).await;
        }
        lane.kept.moved(-gone - dead, dead);
    }
}

/// What is to be sent now, and when there is more.
#[derive(Debug, PartialEq)]
struct Due {
    due: Vec<Queued>,
    next: Option<Timestamp>,
}

/// Of the first ones of each subject those that are due and not under way.
fn due(queued: Vec<Queued>, under_way: &HashSet<u64>, now: Timestamp) -> Due {
    let mut found = Due { due: Vec::new(), next: None };
    let room = limits::EVENTS_SENT_AT_ONCE.saturating_sub(under_way.len());
    for row in queued {
        if under_way.contains(&row.number) {
            continue;
        }
        match is_due(&row.delivery, now) {
            true if found.due.len() < room => found.due.push(row),
            true => {}
            false => {
                let at = row.delivery.due;
                found.next = Some(found.next.map_or(at, |next| next.min(at)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use events::{Event, EventType, Source};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_900_000_000 + seconds)
    }

    fn queued(number: u64, subject: &str, due: i64) -> Queued {
        let event = Event {
            id: number.to_string(),
            event_type: EventType::DeviceCreated,
            source: Source::Server,
            subject: subject.to_owned(),
            time: at(0),
            data: serde_json::Value::Null,
        };
        let name = SubscriptionName::parse("ops").unwrap();
        let delivery = Delivery { due: at(due), ..Delivery::new(name, event, at(0)) };
        Queued { number, delivery }
    }

    fn numbers(due: Due) -> Vec<u64> {
        due.due.into_iter().map(|row| row.number).collect()
    }

    #[test]
    fn what_is_due_and_not_under_way_is_sent() {
        let rows = || vec![queued(1, "a", 5), queued(3, "b", 0)];
        let none = HashSet::new();
        assert_eq!(numbers(due(rows(), &none, at(0))), [3]);
        assert_eq!(numbers(due(rows(), &none, at(5))), [1, 3]);
        assert_eq!(numbers(due(rows(), &HashSet::from([1]), at(5))), [3]);
    }

    #[test]
    fn a_lane_rests_until_the_first_is_due() {
        let rows = vec![queued(1, "a", 9), queued(2, "b", 4)];
        assert_eq!(due(rows, &HashSet::new(), at(0)), Due { due: Vec::new(), next: Some(at(4)) });
        assert_eq!(due(Vec::new(), &HashSet::new(), at(0)).next, None);
    }

    #[test]
    fn no_more_are_sent_at_once_than_the_bound() {
        let rows = || (0..40).map(|number| queued(number, &number.to_string(), 0)).collect();
        let most = limits::EVENTS_SENT_AT_ONCE;
        assert_eq!(numbers(due(rows(), &HashSet::new(), at(0))).len(), most);
        assert_eq!(numbers(due(rows(), &HashSet::from([0, 1]), at(0))).len(), most - 2);
    }
}
