//! WebSockets as a byte stream, so that the MQTT driver needs to know nothing of them.
//!
//! [`Handshake`] answers the HTTP/1.1 upgrade request, [`WebSocket`] carries the bytes afterwards.
//! Packets and frames are unrelated: one frame may hold several packets, and one packet may be
//! spread over frames. Source: MQTT 3.1.1 §6.0; RFC 6455.
//!
//! No extension is agreed on, compression included.

mod handshake;
mod stream;

pub use handshake::{Handshake, Refusal, asks_for_websocket};
pub use stream::{MESSAGE_BYTES_MAX, UpgradedWebSocket, WebSocket};
