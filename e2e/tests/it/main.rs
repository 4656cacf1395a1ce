//! Scenarios on a running server with unmodified SDKs, each in a world of its own.
//!
//! The files named `s_c…` are the scenarios of the same number in the project's seed rules.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests fail by panicking"
)]

mod access;
mod allocation;
mod apply;
mod az;
mod bulk_load;
mod ca_certificates;
mod command_line;
mod custom_allocation;
mod diagnostics;
mod durability;
mod events;
mod every_client;
mod fleet;
mod hostile;
mod hostile_access;
mod hostile_bodies;
mod hostile_chains;
mod hostile_flood;
mod hostile_http;
mod hostile_hub;
mod hostile_mqtt;
mod hostile_names;
mod hostile_pki;
mod hostile_tokens;
mod hostile_tpm;
mod issuance;
mod laptop;
mod linked_hub;
mod node_registry;
mod node_service;
mod operator;
mod own_certificate;
mod python_service;
mod replay;
mod reprovision;
mod s_c1;
mod s_c2;
mod s_c3;
mod s_c4;
mod s_c5;
mod s_c6;
mod s_c7;
mod s_c8;
mod scene;
mod schemathesis;
mod world;
