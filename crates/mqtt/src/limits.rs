//! What a packet and a connection may cost.

use std::time::Duration;

/// The most that one packet may hold, checked by [`decode`](crate::decode).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest whole packet, fixed header included, in bytes.
    ///
    /// Compared with the length in the fixed header, before the body has arrived.
    pub packet_bytes_max: usize,
    /// Most topic filters in one SUBSCRIBE or UNSUBSCRIBE, and codes in one SUBACK.
    pub filters_max: usize,
}

impl Limits {
    /// The standard's own ceiling: a remaining length of 268,435,455 bytes, any number of filters.
    ///
    /// The packet's size bounds the filters here. For a client or a test, not for a server.
    /// Source: MQTT 3.1.1 §2.2.3, table 2.4.
    pub const STANDARD: Self = Self { packet_bytes_max: 268_435_460, filters_max: usize::MAX };
}

/// The most that one [`Connection`](crate::Connection) may cost the server.
///
/// [`Default`] gives the values named at the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Packet limits until the application accepts the CONNECT.
    ///
    /// A stranger's packet; smaller than `session`. Default: 32 KiB, which leaves room for a will.
    pub before_accept: Limits,
    /// Packet limits afterwards. Default: 272 KiB (a 256 KiB message, its topic and header), 16
    /// filters.
    pub session: Limits,
    /// How long after its creation a connection may take to deliver one complete CONNECT.
    /// Default: 30 s.
    ///
    /// Source: MQTT 3.1.1 §3.1.4, "within a reasonable amount of time".
    pub connect_within: Duration,
    /// How long a client that asked for keep-alive 0 may stay silent. Default: 30 min.
    ///
    /// Source: MQTT 3.1.1 §3.1.2.10: the server may end an idle client at any time.
    pub idle_max: Duration,
    /// Cap on one and a half times the keep-alive. Default: 1,767 s.
    pub keep_alive_timeout_max: Duration,
    /// Most at-least-once messages sent and not yet acknowledged. Default: 64.
    pub in_flight_max: usize,
    /// Most at-least-once messages waiting for room in flight. Default: 256.
    pub queued_messages_max: usize,
    /// Most encoded bytes of those waiting messages. Default: 1 MiB.
    pub queued_bytes_max: usize,
    /// Output that may wait for the driver, in bytes. Default: 512 KiB.
    ///
    /// At this mark the connection stops reading packets and accepts no further message into the
    /// output. Answers to the requests already read may still pass it, a few bytes each.
    pub output_bytes_max: usize,
    /// Most PUBLISH, SUBSCRIBE and UNSUBSCRIBE packets read and not yet answered by the
    /// application. Default: 64. At this mark the connection stops reading packets.
    pub unanswered_max: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            before_accept: Limits { packet_bytes_max: 32 * 1024, filters_max: 1 },
            session: Limits { packet_bytes_max: 272 * 1024, filters_max: 16 },
            connect_within: Duration::from_secs(30),
            idle_max: Duration::from_secs(30 * 60),
            keep_alive_timeout_max: Duration::from_secs(1_767),
            in_flight_max: 64,
            queued_messages_max: 256,
            queued_bytes_max: 1024 * 1024,
            output_bytes_max: 512 * 1024,
            unanswered_max: 64,
        }
    }
}
