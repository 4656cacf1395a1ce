//! Telemetry in memory: the late part of what devices sent, for a server that keeps nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hub::telemetry::{Event, Position, partition};
use model::HostName;

use super::{TelemetryError, TelemetryLog};

/// Partitions of a hub. Source: IoT Hub creates four.
const PARTITIONS: u32 = 4;
/// Events kept for one partition; the oldest goes. Source: ours.
const EVENTS_MAX: usize = 4_096;
/// Bytes of payload kept for one partition; the oldest event goes. Source: ours, 64 of the
/// largest messages.
const BYTES_MAX: usize = 64 * model::limits::TELEMETRY_MESSAGE_BYTES_MAX;
/// Hubs that have telemetry. Source: ours; beyond any test.
const HUBS_MAX: usize = 64;

/// A log that lasts as long as the process and forgets the oldest events.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<HostName, HashMap<u32, Kept>>>);

#[derive(Debug, Default)]
struct Kept {
    /// The sequence of the first event that is kept.
    first: u64,
    bytes: usize,
    events: VecDeque<Event>,
}

impl Kept {
    fn append(&mut self, event: Event) -> u64 {
        let sequence = self.next();
        self.bytes = self.bytes.saturating_add(event.body.len());
        self.events.push_back(event);
        while self.events.len() > EVENTS_MAX || (self.bytes > BYTES_MAX && self.events.len() > 1) {
            let Some(gone) = self.events.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(gone.body.len());
            self.first = self.first.saturating_add(1);
        }
        sequence
    }

    fn next(&self) -> u64 {
        self.first.saturating_add(u64::try_from(self.events.len()).unwrap_or(u64::MAX))
    }

    fn read(&self, partition: u32, from: u64, limit: usize) -> Vec<(Position, Event)> {
        let sequences = self.first..self.next();
        let kept = sequences.zip(&self.events).skip_while(|(sequence, _)| *sequence < from);
        kept.take(limit)
            .map(|(sequence, event)| (Position { partition, sequence }, event.clone()))
            .collect()
    }
}

impl Memory {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<HostName, HashMap<u32, Kept>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TelemetryLog for Memory {
    async fn append(&self, hub: &HostName, event: Event) -> Result<Position, TelemetryError> {
        let mut hubs = self.kept();
        if !hubs.contains_key(hub) && hubs.len() >= HUBS_MAX {
            return Err(TelemetryError::Full);
        }
        let partition = partition(&event.device_id, PARTITIONS);
        let kept = hubs.entry(hub.clone()).or_default().entry(partition).or_default();
        Ok(Position { partition, sequence: kept.append(event) })
    }

    async fn read(
        &self,
        hub: &HostName,
        partition: u32,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(Position, Event)>, TelemetryError> {
        let hubs = self.kept();
        let kept = hubs.get(hub).and_then(|partitions| partitions.get(&partition));
        Ok(kept.map(|kept| kept.read(partition, from, limit)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use hub::telemetry::AuthType;
    use model::{DeviceId, Timestamp};

    use super::*;

    fn event(number: u64, bytes: usize) -> Event {
        Event {
            device_id: DeviceId::parse("d").unwrap(),
            generation_id: 1,
            auth_type: AuthType::Sas,
            enqueued: Timestamp::from_unix_seconds(i64::try_from(number).unwrap()),
            system_properties: Vec::new(),
            properties: Vec::new(),
            body: vec![0; bytes],
        }
    }

    #[tokio::test]
    async fn the_oldest_events_go_and_sequences_stay() {
        let log = Memory::new();
        let hub = HostName::parse("hub1.localhost").unwrap();
        let many = u64::try_from(EVENTS_MAX).unwrap() + 10;
        let mut partition = 0;
        for number in 0..many {
            let position = log.append(&hub, event(number, 1)).await.unwrap();
            assert_eq!(position.sequence, number);
            partition = position.partition;
        }
        let read = log.read(&hub, partition, 0, 2).await.unwrap();
        let sequences: Vec<_> = read.iter().map(|(position, _)| position.sequence).collect();
        assert_eq!(sequences, [10, 11]);
        assert_eq!(read[0].1.enqueued, event(10, 1).enqueued);
        let late = log.read(&hub, partition, many - 1, 9).await.unwrap();
        assert_eq!(late.len(), 1);
        assert!(log.read(&hub, partition, many, 9).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn payloads_are_bounded_in_bytes() {
        let log = Memory::new();
        let hub = HostName::parse("hub1.localhost").unwrap();
        let mut last = Position { partition: 0, sequence: 0 };
        for number in 0..70 {
            let bytes = model::limits::TELEMETRY_MESSAGE_BYTES_MAX;
            last = log.append(&hub, event(number, bytes)).await.unwrap();
        }
        let read = log.read(&hub, last.partition, 0, 1_000).await.unwrap();
        assert_eq!(read.len(), 64);
        assert_eq!(read[63].0, last);
    }
}
