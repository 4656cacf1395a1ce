//! The hub's rules, pure: identities, twins, who may connect.
//!
//! What it is: the values that a hub keeps ([`identity`], [`twin`], [`instance`]), how a device
//! that was provisioned becomes an identity ([`provision`]), and the one check for connected
//! devices ([`permit`]), used at connect and again at every change.
//!
//! What it is not: storage, protocols, or the clock.
//!
//! Invariants: no `async`, no I/O, no clock, no randomness. No input permits a disabled identity.

pub mod draft;
pub mod identity;
pub mod instance;
pub mod permit;
pub mod provision;
pub mod telemetry;
pub mod twin;
