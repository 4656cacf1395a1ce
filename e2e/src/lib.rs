//! End-to-end harness: a running Muster, and unmodified Azure SDKs as its clients.
//!
//! The SDKs fix their ports (443 and 8883) and need real host names, so each test runs in a
//! [`world`] of its own: fresh network, mount and process namespaces in which those ports are
//! free and `dps.localhost` resolves. Tests therefore run in parallel, share nothing, and leave
//! no process behind.
//!
//! - [`world()`] runs a test body inside such a world; [`bare_world`] does without a server.
//! - [`Server`] starts, stops, kills and restarts `muster serve`, and runs `muster` commands.
//! - [`Rest`] speaks the service APIs with SAS tokens over HTTPS.
//! - [`Pki`] makes certificate authorities and device chains.
//! - [`Provisioning`], [`HubDevice`], [`NodeClient`] and [`PythonClient`] run the SDK programs of
//!   `python/` and `node/`.
//! - [`replay()`] sends what clients that can not run here would, from vectors made of their sources.
//! - [`Tpm`] is a software TPM, in a [`tpm_world`].
//! - [`Receiver`] is a receiver of lifecycle events that verifies them.
//! - [`Webhook`] is a custom allocation webhook of an operator's.
//! - [`Az`] runs the Azure command line, in an [`az_world`].
//! - [`World::schemathesis`] asks everything that a server's OpenAPI documents say.
//! - [`Tls`] and [`mqtt`] send any bytes, for what no SDK would say.
//!
//! The machine's own hosts file and trust store are never touched. On a machine that can't make
//! namespaces a test says `skipped: …` aloud; with `CI=true` it fails instead.
//! What the clients of passing tests did is noted, for the page that [`compatibility`] writes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code: it runs programs, waits for them, and fails by panicking"
)]

mod az;
mod calls;
mod certified;
mod device;
mod matrix;
pub mod mqtt;
mod node;
mod pki;
mod process;
mod python;
mod receiver;
mod replay;
mod rest;
mod sas;
mod sdk;
mod server;
mod soft_tpm;
mod tpm;
mod webhook;
mod wire;
mod world;

pub use az::Az;
pub use certified::{Certified, Certifying, Transport};
pub use device::{Credential, HubDevice, Outcome, Provisioning, Sdk};
pub use matrix::compatibility;
pub use node::NodeClient;
pub use pki::{Authority, DeviceCertificate, Pki, ServerCertificate, derived_key};
pub use python::PythonClient;
pub use receiver::Receiver;
pub use replay::replay;
pub use rest::{Reply, Rest};
pub use sas::{escape, in_seconds, sas_signature, sas_token};
pub use server::Server;
pub use soft_tpm::SoftTpm;
pub use tpm::{Tpm, TpmMaker};
pub use webhook::Webhook;
pub use wire::{Tls, Wire};
pub use world::{World, az_world, bare_world, schemathesis_world, tpm_world, world};

/// The host that the provisioning service answers on.
pub const DPS: &str = "dps.localhost";
/// The first hub's host; its name in the command line is `hub1`.
pub const HUB1: &str = "hub1.localhost";
/// The second hub's host; its name in the command line is `hub2`.
pub const HUB2: &str = "hub2.localhost";
/// The host of a hub of another server, in each world's hosts file.
pub const FAR: &str = "far.localhost";
