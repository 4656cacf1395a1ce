//! At-least-once messages on their way to the client.

use std::collections::{BTreeSet, VecDeque};

use super::event::PublishError;
use crate::limits::ConnectionLimits;
use crate::packet::PacketId;

/// Identifiers in flight, and encoded messages waiting for room there, in order.
#[derive(Debug)]
pub(crate) struct Outbox {
    in_flight: BTreeSet<PacketId>,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    next_id: PacketId,
}

#[derive(Debug)]
struct Queued {
    packet_id: PacketId,
    bytes: Vec<u8>,
}

impl Outbox {
    pub(crate) const fn new() -> Self {
        Self {
            in_flight: BTreeSet::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            next_id: PacketId::FIRST,
        }
    }

    /// An identifier that no message in flight or in the queue has. `[MQTT-2.3.1-2]`.
    pub(crate) fn allot(&mut self) -> Option<PacketId> {
        for _ in 0..u16::MAX {
            let candidate = self.next_id;
            self.next_id = candidate.next();
            if !self.is_taken(candidate) {
                return Some(candidate);
            }
        }
        None
    }

    fn is_taken(&self, packet_id: PacketId) -> bool {
        self.in_flight.contains(&packet_id)
            || self.queue.iter().any(|queued| queued.packet_id == packet_id)
    }

    /// Takes an encoded message; [`release`](Self::release) gives it back when its turn comes.
    pub(crate) fn push(
        &mut self,
        packet_id: PacketId,
        bytes: Vec<u8>,
        limits: &ConnectionLimits,
    ) -> Result<(), PublishError> {
        let queued_bytes = self.queued_bytes.saturating_add(bytes.len());
        // A message that is alone may be of any size: encoding has bounded it.
        let fits = self.queue.is_empty()
            || (self.queue.len() < limits.queued_messages_max
                && queued_bytes <= limits.queued_bytes_max);
        if !fits {
            return Err(PublishError::QueueFull);
        }
        self.queued_bytes = queued_bytes;
        self.queue.push_back(Queued { packet_id, bytes });
        Ok(())
    }

    /// The next message to send, if one waits and there is room in flight.
    pub(crate) fn release(&mut self, in_flight_max: usize) -> Option<Vec<u8>> {
        if self.in_flight.len() >= in_flight_max {
            return None;
        }
        let Queued { packet_id, bytes } = self.queue.pop_front()?;
        self.queued_bytes = self.queued_bytes.saturating_sub(bytes.len());
        self.in_flight.insert(packet_id);
        Some(bytes)
    }

    /// Whether the identifier was in flight; it is free afterwards.
    pub(crate) fn acknowledged(&mut self, packet_id: PacketId) -> bool {
        self.in_flight.remove(&packet_id)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }
}
