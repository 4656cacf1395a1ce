//! The gateway from outside: TLS, listeners and WebSockets over loopback.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod certificates;
mod listener;
mod possession;
mod tls;
mod websocket;
mod world;
