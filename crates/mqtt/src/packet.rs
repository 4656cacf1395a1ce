//! The fourteen packets of MQTT 3.1.1, as values that hold no contradiction.

use std::fmt;
use std::num::NonZeroU16;

use crate::kind::PacketKind;

/// One control packet, borrowing from the bytes that it was decoded from.
///
/// Source: MQTT 3.1.1 §3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A client asks to connect. §3.1.
    Connect(Connect<'a>),
    /// A CONNECT of another protocol level, to be answered with return code 1. §3.1.2.2.
    ForeignConnect(ForeignConnect<'a>),
    /// The server's answer to CONNECT. §3.2.
    Connack(Connack),
    /// An application message, either way. §3.3.
    Publish(Publish<'a>),
    /// Acknowledges a QoS 1 PUBLISH. §3.4.
    Puback(PacketId),
    /// Received, QoS 2, part 1. §3.5.
    Pubrec(PacketId),
    /// Release, QoS 2, part 2. §3.6.
    Pubrel(PacketId),
    /// Complete, QoS 2, part 3. §3.7.
    Pubcomp(PacketId),
    /// A client asks for topics. §3.8.
    Subscribe(Subscribe<'a>),
    /// The server's answer to SUBSCRIBE. §3.9.
    Suback(Suback),
    /// A client gives topics up. §3.10.
    Unsubscribe(Unsubscribe<'a>),
    /// The server's answer to UNSUBSCRIBE. §3.11.
    Unsuback(PacketId),
    /// A client shows that it lives. §3.12.
    Pingreq,
    /// The server's answer to PINGREQ. §3.13.
    Pingresp,
    /// A client takes its leave. §3.14.
    Disconnect,
}

impl Packet<'_> {
    /// The packet's type.
    #[must_use]
    pub const fn kind(&self) -> PacketKind {
        match self {
            Self::Connect(_) | Self::ForeignConnect(_) => PacketKind::Connect,
            Self::Connack(_) => PacketKind::Connack,
            Self::Publish(_) => PacketKind::Publish,
            Self::Puback(_) => PacketKind::Puback,
            Self::Pubrec(_) => PacketKind::Pubrec,
            Self::Pubrel(_) => PacketKind::Pubrel,
            Self::Pubcomp(_) => PacketKind::Pubcomp,
            Self::Subscribe(_) => PacketKind::Subscribe,
            Self::Suback(_) => PacketKind::Suback,
            Self::Unsubscribe(_) => PacketKind::Unsubscribe,
            Self::Unsuback(_) => PacketKind::Unsuback,
            Self::Pingreq => PacketKind::Pingreq,
            Self::Pingresp => PacketKind::Pingresp,
            Self::Disconnect => PacketKind::Disconnect,
        }
    }
}

/// A packet identifier, 1..=65,535.
///
/// Source: MQTT 3.1.1 §2.3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The smallest identifier.
    pub const FIRST: Self = Self(NonZeroU16::MIN);

    /// The identifier of that number; none for zero, which the standard forbids.
    #[must_use]
    pub const fn new(value: u16) -> Option<Self> {
        match NonZeroU16::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// Its number, 1..=65,535.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// The identifier after this one; after 65,535 comes 1.
    pub(crate) const fn next(self) -> Self {
        match self.0.checked_add(1) {
            Some(value) => Self(value),
            None => Self::FIRST,
        }
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// A quality of service level.
///
/// Source: MQTT 3.1.1 §4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qos {
    /// Level 0.
    AtMostOnce,
    /// Level 1.
    AtLeastOnce,
    /// Level 2.
    ExactlyOnce,
}

impl Qos {
    /// The level's number, 0..=2.
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }

    pub(crate) const fn from_level(level: u8) -> Option<Self> {
        match level {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// A value that may be a secret: [`Debug`](fmt::Debug) hides it.
///
/// It is not zeroised on drop: move a password into a type that is as soon as it is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Redacted<T>(pub T);

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// CONNECT of MQTT 3.1.1: protocol name `MQTT`, level 4.
///
/// Source: MQTT 3.1.1 §3.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The client identifier; may be empty. §3.1.3.1.
    pub client_id: &'a str,
    /// Whether earlier state is to be discarded. §3.1.2.4.
    pub clean_session: bool,
    /// The longest silence that the client promises, in seconds, 0..=65,535; 0 promises nothing.
    /// §3.1.2.10.
    pub keep_alive_s: u16,
    /// What to publish when the client is lost. §3.1.2.5.
    pub will: Option<Will<'a>>,
    /// The user name. §3.1.3.4.
    pub username: Option<&'a str>,
    /// The password, any bytes; only beside a user name. §3.1.3.5.
    pub password: Option<Redacted<&'a [u8]>>,
}

/// A message to publish for a client that is lost.
///
/// Source: MQTT 3.1.1 §3.1.2.5, §3.1.3.2, §3.1.3.3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will<'a> {
    /// A valid topic name.
    pub topic: &'a str,
    /// Any bytes, at most 65,535.
    pub payload: &'a [u8],
    /// The level to publish at.
    pub qos: Qos,
    /// Whether to retain it.
    pub retain: bool,
}

/// CONNECT of another level: `MQTT` at a level that is not 4, or `MQIsdp` (MQTT 3.1).
///
/// Only what precedes the level has a known layout, so the remainder is not looked at.
/// Source: MQTT 3.1.1 §3.1.2.1, §3.1.2.2.
#[derive(Clone, PartialEq, Eq)]
pub struct ForeignConnect<'a> {
    /// `MQTT` or `MQIsdp`.
    pub protocol_name: &'a str,
    /// The level as sent, 0..=255; MQTT 5.0 sends 5.
    pub protocol_level: u8,
    /// Every byte after the level; may hold a password.
    pub rest: &'a [u8],
}

impl ForeignConnect<'_> {
    /// Whether the name is one that this server has heard of and the level is not its own.
    pub(crate) fn is_foreign(&self) -> bool {
        match self.protocol_name {
            "MQTT" => self.protocol_level != 4,
            "MQIsdp" => true,
            _ => false,
        }
    }
}

impl fmt::Debug for ForeignConnect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignConnect")
            .field("protocol_name", &self.protocol_name)
            .field("protocol_level", &self.protocol_level)
            .finish_non_exhaustive()
    }
}

/// The server's answer to CONNECT.
///
/// Source: MQTT 3.1.1 §3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connack {
    /// Return code 0.
    Accepted {
        /// Whether the server has kept state for this client. §3.2.2.2.
        session_present: bool,
    },
    /// Any other return code; the server then closes the connection.
    Refused(ConnectRefusal),
}

/// Why a CONNECT is refused.
///
/// Source: MQTT 3.1.1 §3.2.2.3, table 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectRefusal {
    /// Return code 1: the protocol level is not supported.
    ProtocolVersion,
    /// Return code 2: the client identifier is not allowed.
    IdentifierRejected,
    /// Return code 3: the service is unavailable.
    ServerUnavailable,
    /// Return code 4: the user name or password is malformed.
    BadUsernameOrPassword,
    /// Return code 5: the client is not authorized.
    NotAuthorized,
}

impl ConnectRefusal {
    /// The return code, 1..=5.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::ProtocolVersion => 1,
            Self::IdentifierRejected => 2,
            Self::ServerUnavailable => 3,
            Self::BadUsernameOrPassword => 4,
            Self::NotAuthorized => 5,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::ProtocolVersion),
            2 => Some(Self::IdentifierRejected),
            3 => Some(Self::ServerUnavailable),
            4 => Some(Self::BadUsernameOrPassword),
            5 => Some(Self::NotAuthorized),
            _ => None,
        }
    }
}

/// An application message.
///
/// Source: MQTT 3.1.1 §3.3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish<'a> {
    /// A valid topic name.
    pub topic: &'a str,
    /// Any bytes.
    pub payload: &'a [u8],
    /// Quality of service, with what belongs to it.
    pub delivery: Delivery,
    /// The RETAIN flag. §3.3.1.3.
    pub retain: bool,
}

/// How a PUBLISH is delivered: an identifier and a DUP flag exist only above QoS 0.
///
/// Source: MQTT 3.1.1 §3.3.1.1, §3.3.1.2, §3.3.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce {
        /// Repeated in the PUBACK.
        packet_id: PacketId,
        /// Whether this may be a repetition.
        dup: bool,
    },
    /// QoS 2.
    ExactlyOnce {
        /// Repeated in PUBREC, PUBREL and PUBCOMP.
        packet_id: PacketId,
        /// Whether this may be a repetition.
        dup: bool,
    },
}

impl Delivery {
    /// The quality of service level.
    #[must_use]
    pub const fn qos(self) -> Qos {
        match self {
            Self::AtMostOnce => Qos::AtMostOnce,
            Self::AtLeastOnce { .. } => Qos::AtLeastOnce,
            Self::ExactlyOnce { .. } => Qos::ExactlyOnce,
        }
    }

    /// The packet identifier; none at QoS 0.
    #[must_use]
    pub const fn packet_id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce { packet_id, .. } | Self::ExactlyOnce { packet_id, .. } => {
                Some(packet_id)
            }
        }
    }

    /// Whether the DUP flag is set.
    #[must_use]
    pub const fn dup(self) -> bool {
        match self {
            Self::AtMostOnce => false,
            Self::AtLeastOnce { dup, .. } | Self::ExactlyOnce { dup, .. } => dup,
        }
    }
}

/// A request for topics.
///
/// Source: MQTT 3.1.1 §3.8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Repeated in the SUBACK.
    pub packet_id: PacketId,
    /// At least one.
    pub filters: Vec<FilterRequest<'a>>,
}

/// One filter of a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterRequest<'a> {
    /// A valid topic filter.
    pub filter: &'a str,
    /// The highest level that the client wants.
    pub qos: Qos,
}

/// The answer to a SUBSCRIBE.
///
/// Source: MQTT 3.1.1 §3.9.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suback {
    /// As in the SUBSCRIBE.
    pub packet_id: PacketId,
    /// One for each filter, in the SUBSCRIBE's order; at least one.
    pub codes: Vec<SubackCode>,
}

/// What became of one filter.
///
/// Source: MQTT 3.1.1 §3.9.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubackCode {
    /// Subscribed, at this level: 0x00, 0x01 or 0x02.
    Granted(Qos),
    /// Refused: 0x80.
    Failure,
}

impl SubackCode {
    /// The return code: 0, 1, 2 or 128.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Granted(qos) => qos.level(),
            Self::Failure => 0x80,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match (code, Qos::from_level(code)) {
            (_, Some(qos)) => Some(Self::Granted(qos)),
            (0x80, None) => Some(Self::Failure),
            (_, None) => None,
        }
    }
}

/// Topics given up.
///
/// Source: MQTT 3.1.1 §3.10.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Repeated in the UNSUBACK.
    pub packet_id: PacketId,
    /// At least one valid topic filter.
    pub filters: Vec<&'a str>,
}
