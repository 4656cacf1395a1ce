//! The gateway from outside: TLS, listeners and WebSockets over loopback.

mod certificates;
mod listener;
mod possession;
mod tls;
mod websocket;
mod world;
