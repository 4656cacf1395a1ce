//! What breaks the standard, on the way in and on the way out.

use std::fmt;

/// Bytes that break MQTT 3.1.1: where, and which rule.
///
/// It ends the connection: the standard has no answer to a malformed packet.
/// Source: MQTT 3.1.1 §4.8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    /// Offset of the offending field from the packet's first byte, in bytes.
    pub offset: usize,
    /// The rule that the field breaks.
    pub rule: Rule,
}

/// The rules that [`decode`](crate::decode) enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Packet types 0 and 15 are reserved. MQTT 3.1.1 §2.2.1.
    PacketType,
    /// The fixed header's flags are not those of its packet type. `[MQTT-2.2.2-2]`.
    FixedHeaderFlags,
    /// The remaining length takes more than four bytes. MQTT 3.1.1 §2.2.3.
    RemainingLength,
    /// The packet is larger than [`Limits::packet_bytes_max`](crate::Limits::packet_bytes_max).
    PacketTooLarge,
    /// A field, or the length that it claims, reaches past the packet's end.
    FieldPastEnd,
    /// Bytes are left over after the packet's last field.
    TrailingBytes,
    /// A string is not UTF-8, or encodes a surrogate. `[MQTT-1.5.3-1]`.
    Utf8,
    /// A string holds U+0000. `[MQTT-1.5.3-2]`.
    NulCharacter,
    /// The protocol name is neither `MQTT` nor, from before the standard, `MQIsdp`.
    /// `[MQTT-3.1.2-1]`.
    ProtocolName,
    /// The reserved connect flag is set. `[MQTT-3.1.2-3]`.
    ConnectReservedFlag,
    /// A will QoS or will retain without a will, or will QoS 3. `[MQTT-3.1.2-11]`,
    /// `[MQTT-3.1.2-13]`, `[MQTT-3.1.2-14]`, `[MQTT-3.1.2-15]`.
    WillFlags,
    /// The password flag is set and the user name flag is not. `[MQTT-3.1.2-22]`.
    PasswordWithoutUsername,
    /// CONNACK flags 7..=1 are set, or session present beside a refusal. `[MQTT-3.2.2-4]`.
    ConnackFlags,
    /// The CONNACK return code is above 5. MQTT 3.1.1 §3.2.2.3.
    ConnackCode,
    /// PUBLISH with QoS 3. `[MQTT-3.3.1-4]`.
    PublishQos,
    /// PUBLISH with DUP at QoS 0. `[MQTT-3.3.1-2]`.
    DupAtQosZero,
    /// A packet identifier is zero. `[MQTT-2.3.1-1]`.
    PacketIdZero,
    /// A topic name is empty or holds a wildcard. `[MQTT-3.3.2-2]`, `[MQTT-4.7.3-1]`.
    TopicName,
    /// A topic filter is empty or misplaces a wildcard. `[MQTT-4.7.1-2]`, `[MQTT-4.7.1-3]`.
    TopicFilter,
    /// SUBSCRIBE, SUBACK or UNSUBSCRIBE without an entry. `[MQTT-3.8.3-3]`, `[MQTT-3.10.3-2]`.
    NoFilters,
    /// More entries than [`Limits::filters_max`](crate::Limits::filters_max).
    TooManyFilters,
    /// A requested QoS above 2, or its reserved bits set. `[MQTT-3-8.3-4]`.
    RequestedQos,
    /// A SUBACK return code other than 0, 1, 2 and 0x80. `[MQTT-3.9.3-2]`.
    SubackCode,
}

impl Rule {
    /// What was wrong, as a lower-case phrase for an operator.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::PacketType => "reserved packet type",
            Self::FixedHeaderFlags => "wrong flags in the fixed header",
            Self::RemainingLength => "remaining length over four bytes",
            Self::PacketTooLarge => "packet over the size limit",
            Self::FieldPastEnd => "field reaches past the packet's end",
            Self::TrailingBytes => "bytes after the last field",
            Self::Utf8 => "string is not UTF-8",
            Self::NulCharacter => "string holds U+0000",
            Self::ProtocolName => "unknown protocol name",
            Self::ConnectReservedFlag => "reserved connect flag is set",
            Self::WillFlags => "contradictory will flags",
            Self::PasswordWithoutUsername => "password without user name",
            Self::ConnackFlags => "wrong connect acknowledge flags",
            Self::ConnackCode => "unknown connect return code",
            Self::PublishQos => "publish with QoS 3",
            Self::DupAtQosZero => "duplicate flag at QoS 0",
            Self::PacketIdZero => "packet identifier is zero",
            Self::TopicName => "topic name is empty or holds a wildcard",
            Self::TopicFilter => "topic filter is empty or misplaces a wildcard",
            Self::NoFilters => "no topic filter",
            Self::TooManyFilters => "too many topic filters",
            Self::RequestedQos => "requested QoS out of range",
            Self::SubackCode => "unknown subscribe return code",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.rule.message(), self.offset)
    }
}

impl std::error::Error for DecodeError {}

/// A packet value that MQTT 3.1.1 cannot carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeError {
    /// A string or binary field is over 65,535 bytes. MQTT 3.1.1 §1.5.3.
    FieldTooLong,
    /// A string holds U+0000. `[MQTT-1.5.3-2]`.
    NulCharacter,
    /// The remaining length would pass 268,435,455 bytes. MQTT 3.1.1 §2.2.3.
    PacketTooLarge,
    /// A topic name is empty or holds a wildcard. `[MQTT-3.3.2-2]`, `[MQTT-4.7.3-1]`.
    TopicName,
    /// A topic filter is empty or misplaces a wildcard. `[MQTT-4.7.1-2]`, `[MQTT-4.7.1-3]`.
    TopicFilter,
    /// SUBSCRIBE, SUBACK or UNSUBSCRIBE without an entry. `[MQTT-3.8.3-3]`, `[MQTT-3.10.3-2]`.
    NoFilters,
    /// A password without a user name. `[MQTT-3.1.2-22]`.
    PasswordWithoutUsername,
    /// A [`ForeignConnect`](crate::ForeignConnect) whose protocol is MQTT 3.1.1 or unknown.
    ForeignProtocol,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FieldTooLong => "field over 65,535 bytes",
            Self::NulCharacter => "string holds U+0000",
            Self::PacketTooLarge => "packet over 268,435,455 bytes",
            Self::TopicName => "topic name is empty or holds a wildcard",
            Self::TopicFilter => "topic filter is empty or misplaces a wildcard",
            Self::NoFilters => "no topic filter",
            Self::PasswordWithoutUsername => "password without user name",
            Self::ForeignProtocol => "foreign CONNECT with this protocol's own name and level",
        })
    }
}

impl std::error::Error for EncodeError {}
