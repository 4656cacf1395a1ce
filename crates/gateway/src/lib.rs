//! Sockets: listeners, TLS, drivers.

pub mod listener;
pub mod peer;
pub mod tls;
