//! The server's half of one connection, as a value.

mod event;
mod input;
mod outbox;
mod receive;
mod unanswered;

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

pub use event::{
    CloseReason, ConnectRequest, Event, PublishError, ReceivedPublish, RequestedFilter, UseError,
    Violation, WillMessage,
};
use input::InputBuffer;
use outbox::Outbox;
use unanswered::{Request, Unanswered};

use crate::encode::encode;
use crate::limits::{ConnectionLimits, Limits};
use crate::packet::{
    Connack, ConnectRefusal, Delivery, Packet, PacketId, Publish, Suback, SubackCode,
};

/// A monotonic point in time: the time since an epoch of the caller's choice.
pub type Instant = Duration;

/// The most bytes that [`Connection::handle_bytes`] looks at in one go, and so the most that it
/// keeps beyond the largest packet.
pub const READ_BYTES_MAX: usize = 64 * 1024;

/// Most events that wait for [`Connection::poll_event`] before reading pauses.
const EVENTS_MAX: usize = 64;

/// How surely a message of ours is to arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce,
    /// QoS 1 with DUP: an earlier connection may have delivered it. `[MQTT-3.3.1-1]`.
    Redelivery,
}

/// Whether the server has kept state for the client.
///
/// Source: MQTT 3.1.1 §3.2.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionPresent {
    /// Nothing is kept: CONNACK says 0.
    No,
    /// An earlier session goes on: CONNACK says 1.
    Yes,
}

/// The server's half of one connection.
///
/// The driver's loop: feed what the socket gave to [`handle_bytes`](Self::handle_bytes); take
/// [`poll_event`](Self::poll_event) and [`poll_output`](Self::poll_output) in turn until both give
/// `None`; then wait for the socket (only while [`wants_input`](Self::wants_input)), for
/// [`next_deadline`](Self::next_deadline), and for whatever the application wants to say. Read what
/// has arrived before reporting a deadline as passed. When [`closed`](Self::closed) gives a reason
/// and no output is left, close the socket.
///
/// Answers and messages go out in the order of the calls, except that an at-least-once message
/// waits for room in flight, and a PUBACK for those of earlier messages.
#[derive(Debug)]
pub struct Connection {
    limits: ConnectionLimits,
    stage: Stage,
    input: InputBuffer,
    events: VecDeque<Event>,
    output: Vec<u8>,
    unanswered: Unanswered,
    outbox: Outbox,
    /// When input last came.
    heard_at: Instant,
    /// The running deadline: for the CONNECT first, then for the next packet.
    deadline: Instant,
    /// Reading has paused since input last came, so silence proves nothing.
    paused: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing has come yet but, perhaps, a part of a CONNECT.
    AwaitingConnect,
    /// The application decides about a CONNECT.
    Deciding {
        clean_session: bool,
        keep_alive_s: u16,
    },
    /// Accepted; a packet is due within `silence_max` of the one before.
    Open {
        silence_max: Duration,
    },
    Closed(CloseReason),
}

/// Input and time.
impl Connection {
    /// A connection whose transport has just been established.
    #[must_use]
    pub fn new(limits: ConnectionLimits, now: Instant) -> Self {
        Self {
            limits,
            stage: Stage::AwaitingConnect,
            input: InputBuffer::default(),
            events: VecDeque::new(),
            output: Vec::new(),
            unanswered: Unanswered::default(),
            outbox: Outbox::new(),
            heard_at: now,
            deadline: now.saturating_add(limits.connect_within),
            paused: false,
        }
    }

    /// Whether the driver should read from the socket.
    ///
    /// False while the application decides about a CONNECT, while it owes too many answers or has
    /// too many events to take, while too much output waits, and for ever once closed.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        let reading = match self.stage {
            Stage::AwaitingConnect | Stage::Open { .. } => true,
            Stage::Deciding { .. } | Stage::Closed(_) => false,
        };
        reading
            && self.events.len() < EVENTS_MAX
            && self.unanswered.len() < self.limits.unanswered_max
            && self.output.len() < self.limits.output_bytes_max
    }

    /// Takes bytes from the transport, in order, split anywhere.
    pub fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) {
        self.heard_at = self.heard_at.max(now);
        self.resume();
        for chunk in bytes.chunks(READ_BYTES_MAX) {
            if self.closed().is_some() {
                return;
            }
            self.input.append(chunk);
            self.advance();
            let kept_max = self.packet_limits().packet_bytes_max.saturating_add(READ_BYTES_MAX);
            if self.input.unread().len() > kept_max {
                self.end(CloseReason::InputOverrun);
            }
        }
    }

    /// The transport will give no more bytes.
    pub fn handle_transport_closed(&mut self) {
        self.end(CloseReason::TransportClosed);
    }

    /// Ends the connection if its deadline has passed; harmless at any other time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.next_deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.stage {
            Stage::AwaitingConnect => self.end(CloseReason::ConnectTimeout),
            Stage::Open { .. } if self.paused => {
                self.heard_at = self.heard_at.max(now);
                self.resume();
            }
            Stage::Open { .. } => self.end(CloseReason::KeepAliveTimeout),
            Stage::Deciding { .. } | Stage::Closed(_) => {}
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) unless input comes first.
    ///
    /// `None` while reading is paused: then silence is not the client's. How long the application
    /// takes to decide about a CONNECT is its own to bound.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.wants_input().then_some(self.deadline)
    }

    /// After a pause the client gets its whole time again: it may have spoken unheard.
    fn resume(&mut self) {
        if mem::take(&mut self.paused) {
            self.renew_deadline();
        }
    }

    /// Counts whole packets, not bytes: a packet that trickles in does not keep a client alive.
    fn renew_deadline(&mut self) {
        if let Stage::Open { silence_max } = self.stage {
            self.deadline = self.heard_at.saturating_add(silence_max);
        }
    }

    const fn packet_limits(&self) -> &Limits {
        match self.stage {
            Stage::AwaitingConnect | Stage::Deciding { .. } => &self.limits.before_accept,
            Stage::Open { .. } | Stage::Closed(_) => &self.limits.session,
        }
    }
}

/// What comes out.
impl Connection {
    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.events.is_empty() {
            self.advance();
        }
        self.events.pop_front()
    }

    /// Everything there is to send now; what it gives must be written in full and in order.
    ///
    /// A closed connection still gives what it had to say: a refusing CONNACK, for one.
    pub fn poll_output(&mut self) -> Option<Vec<u8>> {
        self.release_messages();
        if self.output.is_empty() { None } else { Some(mem::take(&mut self.output)) }
    }

    /// Why the connection is over, once it is.
    #[must_use]
    pub const fn closed(&self) -> Option<CloseReason> {
        match self.stage {
            Stage::Closed(reason) => Some(reason),
            Stage::AwaitingConnect | Stage::Deciding { .. } | Stage::Open { .. } => None,
        }
    }
}

/// The application's answers and messages.
impl Connection {
    /// Accepts the CONNECT; the keep-alive starts to run.
    ///
    /// A clean session is never present, whatever the caller says. `[MQTT-3.2.2-1]`.
    ///
    /// # Errors
    ///
    /// [`UseError::NoConnectWaiting`].
    pub fn accept(&mut self, now: Instant, session: SessionPresent) -> Result<(), UseError> {
        let (clean_session, keep_alive_s) = match self.stage {
            Stage::Deciding { clean_session, keep_alive_s } => (clean_session, keep_alive_s),
            Stage::Closed(_) => return Ok(()),
            Stage::AwaitingConnect | Stage::Open { .. } => return Err(UseError::NoConnectWaiting),
        };
        let session_present = session == SessionPresent::Yes && !clean_session;
        self.send(&Packet::Connack(Connack::Accepted { session_present }));
        self.stage = Stage::Open { silence_max: self.silence_max(keep_alive_s) };
        self.heard_at = self.heard_at.max(now);
        self.paused = false;
        self.renew_deadline();
        Ok(())
    }

    /// Bounds the packets that come from now on.
    pub fn limit_packets(&mut self, packet_bytes_max: usize) {
        self.limits.session.packet_bytes_max = packet_bytes_max;
    }

    /// MQTT 3.1.1 §3.1.2.10: one and a half times the keep-alive, in seconds; 0 is no promise.
    fn silence_max(&self, keep_alive_s: u16) -> Duration {
        match keep_alive_s {
            0 => self.limits.idle_max,
            seconds => Duration::from_millis(u64::from(seconds) * 1_500)
                .min(self.limits.keep_alive_timeout_max),
        }
    }

    /// Refuses the CONNECT and ends the connection.
    ///
    /// # Errors
    ///
    /// [`UseError::NoConnectWaiting`].
    pub fn refuse(&mut self, refusal: ConnectRefusal) -> Result<(), UseError> {
        match self.stage {
            Stage::Deciding { .. } => {
                self.send_refusal(refusal);
                Ok(())
            }
            Stage::Closed(_) => Ok(()),
            Stage::AwaitingConnect | Stage::Open { .. } => Err(UseError::NoConnectWaiting),
        }
    }

    /// Sends PUBACK for a QoS 1 message, which is now the server's responsibility.
    ///
    /// PUBACKs leave in the order of the messages: one that comes early waits. `[MQTT-4.6.0-2]`.
    ///
    /// # Errors
    ///
    /// [`UseError::UnknownPacketId`].
    pub fn acknowledge(&mut self, packet_id: PacketId) -> Result<(), UseError> {
        if self.closed().is_some() {
            return Ok(());
        }
        self.unanswered.acknowledge(packet_id)?;
        while let Some(packet_id) = self.unanswered.release() {
            self.send(&Packet::Puback(packet_id));
        }
        Ok(())
    }

    /// Answers a SUBSCRIBE with one code for each filter, in the request's order.
    ///
    /// # Errors
    ///
    /// [`UseError::UnknownPacketId`]; [`UseError::CodeCount`], and the request still waits.
    pub fn suback(&mut self, packet_id: PacketId, codes: &[SubackCode]) -> Result<(), UseError> {
        if self.closed().is_some() {
            return Ok(());
        }
        self.unanswered.answer(packet_id, |request| match request {
            Request::Subscribe { filters } if filters == codes.len() => Ok(()),
            Request::Subscribe { .. } => Err(UseError::CodeCount),
            Request::Unsubscribe => Err(UseError::UnknownPacketId),
        })?;
        self.send(&Packet::Suback(Suback { packet_id, codes: codes.to_vec() }));
        Ok(())
    }

    /// Answers an UNSUBSCRIBE.
    ///
    /// # Errors
    ///
    /// [`UseError::UnknownPacketId`].
    pub fn unsuback(&mut self, packet_id: PacketId) -> Result<(), UseError> {
        if self.closed().is_some() {
            return Ok(());
        }
        self.unanswered.answer(packet_id, |request| match request {
            Request::Unsubscribe => Ok(()),
            Request::Subscribe { .. } => Err(UseError::UnknownPacketId),
        })?;
        self.send(&Packet::Unsuback(packet_id));
        Ok(())
    }

    /// Sends a message to the client, not retained.
    ///
    /// Gives the identifier that [`Event::PubAcked`] will name; none at most once. At most once
    /// the message may overtake those that wait for room in flight. There is no retransmission
    /// within a connection: MQTT 3.1.1 §4.4 asks for it only on the next one.
    ///
    /// # Errors
    ///
    /// See [`PublishError`]; nothing has then been taken.
    pub fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        guarantee: Guarantee,
    ) -> Result<Option<PacketId>, PublishError> {
        let Stage::Open { .. } = self.stage else {
            return Err(PublishError::NotConnected);
        };
        let packet_id = match guarantee {
            Guarantee::AtMostOnce => None,
            Guarantee::AtLeastOnce | Guarantee::Redelivery => {
                Some(self.outbox.allot().ok_or(PublishError::QueueFull)?)
            }
        };
        let dup = guarantee == Guarantee::Redelivery;
        let delivery = packet_id
            .map_or(Delivery::AtMostOnce, |packet_id| Delivery::AtLeastOnce { packet_id, dup });
        let packet = Packet::Publish(Publish { topic, payload, delivery, retain: false });
        let mut bytes = Vec::new();
        encode(&packet, &mut bytes).map_err(PublishError::Encode)?;
        match packet_id {
            Some(packet_id) => {
                self.outbox.push(packet_id, bytes, &self.limits)?;
                self.release_messages();
            }
            None if self.has_room_for(bytes.len()) => self.output.append(&mut bytes),
            None => return Err(PublishError::OutputFull),
        }
        Ok(packet_id)
    }

    /// Ends the connection from this side; MQTT 3.1.1 has no packet to say so.
    ///
    /// Events not yet taken are dropped: what the application ended it no longer serves.
    pub fn close(&mut self) {
        if self.closed().is_none() {
            self.events.clear();
            self.end(CloseReason::ByServer);
        }
    }
}

/// Packets out, and the end.
impl Connection {
    fn send(&mut self, packet: &Packet<'_>) {
        // Answers hold identifiers and codes only, never empty; those always encode.
        let encoded = encode(packet, &mut self.output);
        debug_assert_eq!(encoded, Ok(()));
    }

    fn send_refusal(&mut self, refusal: ConnectRefusal) {
        self.send(&Packet::Connack(Connack::Refused(refusal)));
        self.end(CloseReason::Refused(refusal));
    }

    /// A message larger than the whole bound passes when it is alone.
    fn has_room_for(&self, len: usize) -> bool {
        self.output.is_empty()
            || self.output.len().saturating_add(len) <= self.limits.output_bytes_max
    }

    fn release_messages(&mut self) {
        while self.output.len() < self.limits.output_bytes_max {
            let Some(mut bytes) = self.outbox.release(self.limits.in_flight_max) else {
                return;
            };
            self.output.append(&mut bytes);
        }
    }

    fn end(&mut self, reason: CloseReason) {
        if self.closed().is_some() {
            return;
        }
        self.stage = Stage::Closed(reason);
        self.input = InputBuffer::default();
        self.outbox.clear();
        self.events.push_back(Event::Closed { reason });
    }
}
