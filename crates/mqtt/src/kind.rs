//! The fourteen packet types, and the fixed flags of each.

/// The type in a packet's first byte.
///
/// Source: MQTT 3.1.1 §2.2.1, table 2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketKind {
    /// Type 1.
    Connect,
    /// Type 2.
    Connack,
    /// Type 3.
    Publish,
    /// Type 4.
    Puback,
    /// Type 5.
    Pubrec,
    /// Type 6.
    Pubrel,
    /// Type 7.
    Pubcomp,
    /// Type 8.
    Subscribe,
    /// Type 9.
    Suback,
    /// Type 10.
    Unsubscribe,
    /// Type 11.
    Unsuback,
    /// Type 12.
    Pingreq,
    /// Type 13.
    Pingresp,
    /// Type 14.
    Disconnect,
}

impl PacketKind {
    /// The type's number, 1..=14.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Connect => 1,
            Self::Connack => 2,
            Self::Publish => 3,
            Self::Puback => 4,
            Self::Pubrec => 5,
            Self::Pubrel => 6,
            Self::Pubcomp => 7,
            Self::Subscribe => 8,
            Self::Suback => 9,
            Self::Unsubscribe => 10,
            Self::Unsuback => 11,
            Self::Pingreq => 12,
            Self::Pingresp => 13,
            Self::Disconnect => 14,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Connect,
            2 => Self::Connack,
            3 => Self::Publish,
            4 => Self::Puback,
            5 => Self::Pubrec,
            6 => Self::Pubrel,
            7 => Self::Pubcomp,
            8 => Self::Subscribe,
            9 => Self::Suback,
            10 => Self::Unsubscribe,
            11 => Self::Unsuback,
            12 => Self::Pingreq,
            13 => Self::Pingresp,
            14 => Self::Disconnect,
            _ => return None,
        })
    }

    /// The fixed header's flags, 0..=15, for every type but PUBLISH, whose flags are data.
    ///
    /// Source: MQTT 3.1.1 §2.2.2, table 2.2.
    pub(crate) const fn fixed_flags(self) -> Option<u8> {
        match self {
            Self::Publish => None,
            Self::Pubrel | Self::Subscribe | Self::Unsubscribe => Some(0b0010),
            Self::Connect
            | Self::Connack
            | Self::Puback
            | Self::Pubrec
            | Self::Pubcomp
            | Self::Suback
            | Self::Unsuback
            | Self::Pingreq
            | Self::Pingresp
            | Self::Disconnect => Some(0),
        }
    }
}
