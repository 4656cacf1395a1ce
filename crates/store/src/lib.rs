//! What is kept: views go out, commits come in.
//!
//! What it is: the port ([`Store`]) that every backend implements, the vocabulary of a change
//! ([`Commit`]), the executable model ([`memory::Memory`]) and the suite that defines what a
//! correct backend is ([`mod@suite`]).
//!
//! What it is not: rules. A view is loaded, `provisioning` or `hub` decides, and the service says
//! what to write and which rows that rests on.
//!
//! Invariants: no transaction crosses the trait, no closure runs inside one. A commit applies as a
//! whole or not at all; a returned commit survives power loss. A commit that rests on a row which
//! has changed since answers [`CommitError::Conflict`]. Every change and its audit line are one
//! commit.

mod commit;
mod error;
pub mod memory;
pub mod suite;
pub mod telemetry;
mod traits;

pub use commit::{
    AuditLine, ChangeScope, Claim, Commit, Committed, Condition, Counted, RefusedBound, Write,
};
pub use error::{CommitError, StoreError};
pub use traits::{
    Change, Deliveries, DeliveryCount, DeviceCount, DeviceView, Devices, Enrollments, Events,
    IndividualView, Instances, Jobs, Orphaned, Page, Registrations, Store, StoreWork, Views,
};
