//! The binary as an operator and a CI script use it: real processes, ports from the system.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod backup;
mod certificates;
mod ephemeral;
mod process;
mod tls_client;
#[cfg(feature = "otel")]
mod traces;
mod upgrade;
#[cfg(not(feature = "otel"))]
mod without_traces;
