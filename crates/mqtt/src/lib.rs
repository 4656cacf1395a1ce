//! MQTT 3.1.1 without IO: a codec, and the server's half of one connection.
//!
//! What it is: [`decode`] and [`encode`] turn bytes into [`Packet`]s and back, for all fourteen
//! packet types in both directions; [`Connection`] is the state machine of one accepted socket,
//! driven by bytes and by a monotonic time that the caller gives.
//!
//! What it is *not*: it opens no socket, reads no clock, draws no random number, logs nothing and
//! allocates no task. It knows no topic grammar beyond the standard's own, no credentials, no
//! sessions and no retained messages: those belong to whoever reads its [`Event`]s.
//!
//! Invariants:
//!
//! - [`decode`] is total: no input makes it panic, read past its slice, or allocate by a length
//!   that the peer merely claims. A packet over the size limit is refused on its header.
//! - [`encode`] never writes a packet that [`decode`] would refuse; on an error the output buffer
//!   is as it was.
//! - A [`Connection`] holds bounded memory: input, events, unanswered requests, messages in flight,
//!   queued messages and output each have a limit in [`ConnectionLimits`] or a constant here.
//! - [`Event::Closed`] comes exactly once and last. After it every call is without effect, and
//!   [`Connection::closed`] keeps the reason.
//! - How the input is split into slices never changes the events.
//!
//! Text is checked (UTF-8 without U+0000, no wildcard in a topic name) and otherwise untouched:
//! `$`-topics and query-like suffixes pass byte for byte.
//!
//! Source: OASIS Standard "MQTT Version 3.1.1", 29 October 2014; sections are cited as
//! `MQTT 3.1.1 §…`, its normative statements as `[MQTT-…]`.

mod connection;
mod decode;
mod encode;
mod error;
mod kind;
mod limits;
mod packet;
mod reader;
mod text;

pub use connection::{
    CloseReason, ConnectRequest, Connection, Event, Guarantee, Instant, PublishError,
    READ_BYTES_MAX, ReceivedPublish, RequestedFilter, SessionPresent, UseError, Violation,
    WillMessage,
};
pub use decode::decode;
pub use encode::encode;
pub use error::{DecodeError, EncodeError, Rule};
pub use kind::PacketKind;
pub use limits::{ConnectionLimits, Limits};
pub use packet::{
    Connack, Connect, ConnectRefusal, Delivery, FilterRequest, ForeignConnect, Packet, PacketId,
    Publish, Qos, Redacted, Suback, SubackCode, Subscribe, Unsubscribe, Will,
};
pub use text::{is_topic_filter, is_topic_name};
