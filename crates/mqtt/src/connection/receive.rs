//! What each packet from the client does.

use std::mem;

use super::unanswered::Request;
use super::{CloseReason, Connection, Event, Stage, Violation};
use crate::decode::decode;
use crate::kind::PacketKind;
use crate::packet::{Connect, ConnectRefusal, Delivery, Packet, Publish};

impl Connection {
    /// Reads packets while it may, and leaves the rest where it is.
    pub(super) fn advance(&mut self) {
        let mut input = mem::take(&mut self.input);
        while self.wants_input() {
            if self.stage == Stage::AwaitingConnect && begins_otherwise(input.unread()) {
                self.end(CloseReason::Violation(Violation::NotConnectFirst));
                break;
            }
            match decode(input.unread(), self.packet_limits()) {
                Ok(Some((packet, len))) => {
                    self.renew_deadline();
                    self.handle_packet(&packet);
                    input.consume(len);
                }
                Ok(None) => break,
                Err(error) => self.end(CloseReason::Malformed(error)),
            }
        }
        if self.closed().is_none() {
            self.paused |= !self.wants_input();
            self.input = input;
        }
    }

    fn handle_packet(&mut self, packet: &Packet<'_>) {
        if self.stage == Stage::AwaitingConnect {
            return self.handle_first_packet(packet);
        }
        match packet {
            Packet::Publish(publish) => self.handle_publish(publish),
            Packet::Puback(packet_id) => {
                // An identifier that is not in flight is ignored: the standard names no answer.
                if self.outbox.acknowledged(*packet_id) {
                    self.events.push_back(Event::PubAcked { packet_id: *packet_id });
                    self.release_messages();
                }
            }
            Packet::Subscribe(subscribe) => {
                let request = Request::Subscribe { filters: subscribe.filters.len() };
                self.unanswered.requested(subscribe.packet_id, request);
                self.events.push_back(subscribe.into());
            }
            Packet::Unsubscribe(unsubscribe) => {
                self.unanswered.requested(unsubscribe.packet_id, Request::Unsubscribe);
                self.events.push_back(unsubscribe.into());
            }
            Packet::Pingreq => self.send(&Packet::Pingresp),
            Packet::Disconnect => self.end(CloseReason::Disconnected),
            Packet::Connect(_) | Packet::ForeignConnect(_) => {
                self.end(CloseReason::Violation(Violation::SecondConnect));
            }
            Packet::Pubrec(_) | Packet::Pubrel(_) | Packet::Pubcomp(_) => {
                self.end(CloseReason::Violation(Violation::QosTwo));
            }
            Packet::Connack(_) | Packet::Suback(_) | Packet::Unsuback(_) | Packet::Pingresp => {
                self.end(CloseReason::Violation(Violation::ServerPacket(packet.kind())));
            }
        }
    }

    fn handle_first_packet(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Connect(connect) => self.handle_connect(connect),
            // [MQTT-3.1.2-2].
            Packet::ForeignConnect(_) => self.send_refusal(ConnectRefusal::ProtocolVersion),
            Packet::Connack(_)
            | Packet::Publish(_)
            | Packet::Puback(_)
            | Packet::Pubrec(_)
            | Packet::Pubrel(_)
            | Packet::Pubcomp(_)
            | Packet::Subscribe(_)
            | Packet::Suback(_)
            | Packet::Unsubscribe(_)
            | Packet::Unsuback(_)
            | Packet::Pingreq
            | Packet::Pingresp
            | Packet::Disconnect => {
                self.end(CloseReason::Violation(Violation::NotConnectFirst));
            }
        }
    }

    fn handle_connect(&mut self, connect: &Connect<'_>) {
        // [MQTT-3.1.3-8].
        if connect.client_id.is_empty() && !connect.clean_session {
            return self.send_refusal(ConnectRefusal::IdentifierRejected);
        }
        self.stage = Stage::Deciding {
            clean_session: connect.clean_session,
            keep_alive_s: connect.keep_alive_s,
        };
        self.events.push_back(Event::Connect(connect.into()));
    }

    fn handle_publish(&mut self, publish: &Publish<'_>) {
        match publish.delivery {
            Delivery::AtMostOnce => {}
            Delivery::AtLeastOnce { packet_id, .. } => self.unanswered.received(packet_id),
            Delivery::ExactlyOnce { .. } => {
                return self.end(CloseReason::Violation(Violation::QosTwo));
            }
        }
        self.events.push_back(Event::Publish(publish.into()));
    }
}

/// Whether the first byte, if there is one, belongs to another packet than CONNECT.
fn begins_otherwise(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first >> 4 != PacketKind::Connect.code())
}
