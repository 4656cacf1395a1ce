//! Requests of the client that the application has not answered.

use std::collections::VecDeque;

use super::event::UseError;
use crate::packet::PacketId;

#[derive(Debug, Default)]
pub(crate) struct Unanswered {
    /// QoS 1 messages in order of arrival.
    receipts: VecDeque<Receipt>,
    requests: Vec<(PacketId, Request)>,
}

#[derive(Debug)]
struct Receipt {
    packet_id: PacketId,
    acknowledged: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Subscribe { filters: usize },
    Unsubscribe,
}

impl Unanswered {
    pub(crate) fn len(&self) -> usize {
        self.receipts.len() + self.requests.len()
    }

    pub(crate) fn received(&mut self, packet_id: PacketId) {
        self.receipts.push_back(Receipt { packet_id, acknowledged: false });
    }

    pub(crate) fn requested(&mut self, packet_id: PacketId, request: Request) {
        self.requests.push((packet_id, request));
    }

    /// Marks the oldest message of that identifier as acknowledged.
    pub(crate) fn acknowledge(&mut self, packet_id: PacketId) -> Result<(), UseError> {
        let receipt = self
            .receipts
            .iter_mut()
            .find(|receipt| receipt.packet_id == packet_id && !receipt.acknowledged)
            .ok_or(UseError::UnknownPacketId)?;
        receipt.acknowledged = true;
        Ok(())
    }

    /// The next PUBACK to send: never before that of an earlier message. `[MQTT-4.6.0-2]`.
    pub(crate) fn release(&mut self) -> Option<PacketId> {
        self.receipts.pop_front_if(|receipt| receipt.acknowledged).map(|receipt| receipt.packet_id)
    }

    /// Removes the request if it is of the expected kind.
    pub(crate) fn answer(
        &mut self,
        packet_id: PacketId,
        expected: impl Fn(Request) -> Result<(), UseError>,
    ) -> Result<(), UseError> {
        let mut outcome = Err(UseError::UnknownPacketId);
        let position = self.requests.iter().position(|&(id, request)| {
            if id != packet_id || outcome.is_ok() {
                return false;
            }
            outcome = expected(request);
            outcome.is_ok()
        });
        if let Some(position) = position {
            self.requests.remove(position);
        }
        outcome
    }
}
