//! Azure's words on each protocol: packets, paths and JSON on one side, typed operations and
//! values on the other.
//!
//! What it is: [`mqtt`] reads user names and topics and writes the topics and bodies of answers;
//! [`rest`] reads paths and bodies and writes bodies; [`rest::error`] is the one place that turns
//! what went wrong into a status, a code and a text.
//!
//! What it is not: rules (those are in `provisioning` and `hub`), packets' bytes (those are in
//! `mqtt`), sockets.
//!
//! Invariants: no `async`, no I/O, no clock, no randomness. A status code, an error code or a
//! topic is written in this crate alone. Every reader is total: no input makes it panic, and what
//! it refuses it names.

pub mod api_version;
pub mod json;
pub mod mqtt;
mod percent;
pub mod rest;
#[cfg(test)]
mod samples;
