//! The provisioning service's rules, pure: who may register, and where a device goes.
//!
//! What it is: the values that an operator writes ([`enrollment`], [`instance`]) and that the
//! service keeps ([`registration`]), the one decision ([`decide::decide`]) and its explanation
//! ([`explain`]).
//!
//! What it is not: storage, protocols, or the clock. `service` loads the view and commits.
//!
//! Invariants: no `async`, no I/O, no clock, no randomness. No input assigns from a disabled
//! entry; adding a revocation never turns a refusal into an assent; evidence that does not hold
//! changes no record.

pub mod admit;
pub mod allocation;
pub mod decide;
pub mod dependents;
pub mod draft;
pub mod enrollment;
pub mod explain;
pub mod instance;
pub mod issuance;
pub mod load;
pub mod possession;
pub mod quota;
pub mod registration;
pub mod remote;
pub mod reprovision;
pub mod view;
