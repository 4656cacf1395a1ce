//! What a connection tells the application, and why it ends.

use std::fmt;

use crate::error::{DecodeError, EncodeError};
use crate::kind::PacketKind;
use crate::packet::{
    Connect, ConnectRefusal, Delivery, PacketId, Publish, Qos, Redacted, Subscribe, Unsubscribe,
};

/// Something that the application has to know or to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A client asks to connect: answer with [`accept`](super::Connection::accept) or
    /// [`refuse`](super::Connection::refuse). Nothing more is read until then.
    Connect(ConnectRequest),
    /// A message has come. At QoS 1, call [`acknowledge`](super::Connection::acknowledge) once it
    /// is durable.
    Publish(ReceivedPublish),
    /// A client asks for topics: answer with [`suback`](super::Connection::suback).
    Subscribe {
        /// Names the request in the answer.
        packet_id: PacketId,
        /// What it asks for, at least one.
        filters: Vec<RequestedFilter>,
    },
    /// A client gives topics up: answer with [`unsuback`](super::Connection::unsuback).
    Unsubscribe {
        /// Names the request in the answer.
        packet_id: PacketId,
        /// The filters, at least one.
        filters: Vec<String>,
    },
    /// The client has acknowledged a message that was published at least once.
    PubAcked {
        /// As returned by [`publish`](super::Connection::publish).
        packet_id: PacketId,
    },
    /// The connection is over. Always the last event, and always exactly one.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

/// A CONNECT, owned.
///
/// Fields mean what they mean in [`Connect`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRequest {
    /// May be empty only beside `clean_session`: the connection has refused the rest.
    pub client_id: String,
    /// Whether earlier state is to be discarded.
    pub clean_session: bool,
    /// In seconds; the connection enforces it.
    pub keep_alive_s: u16,
    /// What to publish unless the connection ends as [`CloseReason::Disconnected`].
    pub will: Option<WillMessage>,
    /// The user name.
    pub username: Option<String>,
    /// The password, any bytes.
    pub password: Option<Redacted<Vec<u8>>>,
}

/// A will, owned; see [`Will`](crate::Will).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WillMessage {
    /// A valid topic name.
    pub topic: String,
    /// Any bytes.
    pub payload: Vec<u8>,
    /// The level to publish at.
    pub qos: Qos,
    /// Whether to retain it.
    pub retain: bool,
}

/// A message from the client, owned; see [`Publish`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedPublish {
    /// A valid topic name.
    pub topic: String,
    /// Any bytes.
    pub payload: Vec<u8>,
    /// QoS 0, or QoS 1 with the identifier to acknowledge.
    pub delivery: Delivery,
    /// The RETAIN flag.
    pub retain: bool,
}

/// One filter of a SUBSCRIBE, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedFilter {
    /// A valid topic filter.
    pub filter: String,
    /// The highest level that the client wants.
    pub qos: Qos,
}

impl From<&Connect<'_>> for ConnectRequest {
    fn from(connect: &Connect<'_>) -> Self {
        Self {
            client_id: connect.client_id.to_owned(),
            clean_session: connect.clean_session,
            keep_alive_s: connect.keep_alive_s,
            will: connect.will.as_ref().map(|will| WillMessage {
                topic: will.topic.to_owned(),
                payload: will.payload.to_vec(),
                qos: will.qos,
                retain: will.retain,
            }),
            username: connect.username.map(str::to_owned),
            password: connect.password.map(|password| Redacted(password.0.to_vec())),
        }
    }
}

impl From<&Publish<'_>> for ReceivedPublish {
    fn from(publish: &Publish<'_>) -> Self {
        Self {
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_vec(),
            delivery: publish.delivery,
            retain: publish.retain,
        }
    }
}

impl From<&Subscribe<'_>> for Event {
    fn from(subscribe: &Subscribe<'_>) -> Self {
        Self::Subscribe {
            packet_id: subscribe.packet_id,
            filters: subscribe
                .filters
                .iter()
                .map(|request| RequestedFilter {
                    filter: request.filter.to_owned(),
                    qos: request.qos,
                })
                .collect(),
        }
    }
}

impl From<&Unsubscribe<'_>> for Event {
    fn from(unsubscribe: &Unsubscribe<'_>) -> Self {
        Self::Unsubscribe {
            packet_id: unsubscribe.packet_id,
            filters: unsubscribe.filters.iter().map(|&filter| filter.to_owned()).collect(),
        }
    }
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client sent DISCONNECT: its will is to be discarded. `[MQTT-3.14.4-3]`.
    Disconnected,
    /// The client, or the network, ended the transport without DISCONNECT.
    TransportClosed,
    /// The application called [`close`](super::Connection::close).
    ByServer,
    /// The CONNECT was refused; the CONNACK is in the output.
    Refused(ConnectRefusal),
    /// Bytes that break the standard.
    Malformed(DecodeError),
    /// A well-formed packet that may not come here or now.
    Violation(Violation),
    /// No complete CONNECT within
    /// [`connect_within`](crate::ConnectionLimits::connect_within).
    ConnectTimeout,
    /// No packet within one and a half times the keep-alive, or its cap. `[MQTT-3.1.2-24]`.
    KeepAliveTimeout,
    /// The driver went on feeding a connection that did not want input.
    InputOverrun,
}

/// A well-formed packet that breaks the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Violation {
    /// The first packet is not CONNECT. `[MQTT-3.1.0-1]`.
    NotConnectFirst,
    /// CONNECT a second time. `[MQTT-3.1.0-2]`.
    SecondConnect,
    /// A packet that only a server sends.
    ServerPacket(PacketKind),
    /// PUBLISH at QoS 2, or a packet of its hand-shake: this server offers QoS 0 and 1.
    QosTwo,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str("client disconnected"),
            Self::TransportClosed => f.write_str("transport closed without DISCONNECT"),
            Self::ByServer => f.write_str("closed by the server"),
            Self::Refused(refusal) => {
                write!(f, "CONNECT refused with return code {}", refusal.code())
            }
            Self::Malformed(error) => write!(f, "malformed packet: {error}"),
            Self::Violation(Violation::NotConnectFirst) => {
                f.write_str("first packet is not CONNECT")
            }
            Self::Violation(Violation::SecondConnect) => f.write_str("second CONNECT"),
            Self::Violation(Violation::ServerPacket(kind)) => {
                write!(f, "packet type {} from a client", kind.code())
            }
            Self::Violation(Violation::QosTwo) => f.write_str("QoS 2 is not offered"),
            Self::ConnectTimeout => f.write_str("no CONNECT in time"),
            Self::KeepAliveTimeout => f.write_str("no packet within the keep-alive"),
            Self::InputOverrun => f.write_str("input over its bound"),
        }
    }
}

/// A call that does not fit the connection's state: a defect of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UseError {
    /// No CONNECT is waiting for an answer.
    NoConnectWaiting,
    /// No request of that kind and identifier is waiting for an answer.
    UnknownPacketId,
    /// Not one code for each filter.
    CodeCount,
}

impl fmt::Display for UseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoConnectWaiting => "no CONNECT is waiting for an answer",
            Self::UnknownPacketId => "no request with that packet identifier is waiting",
            Self::CodeCount => "not one return code for each filter",
        })
    }
}

impl std::error::Error for UseError {}

/// Why a message was not taken for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishError {
    /// Not accepted yet, or over.
    NotConnected,
    /// MQTT 3.1.1 cannot carry the message.
    Encode(EncodeError),
    /// The output is full: an at-most-once message is lost, as its guarantee allows.
    OutputFull,
    /// Too many at-least-once messages, or bytes of them, wait already.
    QueueFull,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotConnected => "not connected",
            Self::Encode(_) => "message cannot be encoded",
            Self::OutputFull => "output is full",
            Self::QueueFull => "queue is full",
        })
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Encode(error) => Some(error),
            Self::NotConnected | Self::OutputFull | Self::QueueFull => None,
        }
    }
}
