//! Lifecycle events, pure: what happened, who wants to hear of it, when it is told again.
//!
//! What it is: the closed list of what can happen ([`Happened`], [`EventType`]), a subscription with
//! its filter ([`subscription`]), an event on its way to one ([`Delivery`]), and the rule of what
//! follows a try ([`schedule`]).
//!
//! What it is not: the form on the wire, which is `dialect`'s, and the sending, which is
//! `service`'s and `gateway`'s.
//!
//! Invariants: no `async`, no I/O, no clock, no randomness. A [`Delivery`] carries no key.

mod delivery;
mod happened;
pub mod schedule;
pub mod subscription;

pub use delivery::{Dead, DeadReason, Delivery, Event, Queued, Tried};
pub use happened::{EntryChange, EventType, Existence, Happened, Source};
pub use subscription::{EndpointUrl, Filter, Subscription};
