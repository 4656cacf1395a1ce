//! Use cases over the model store: records, polls, quota, sessions.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod allocation;
mod certificates;
mod concurrency;
mod consult;
mod elsewhere;
mod enrollments;
mod events;
mod exceptions;
mod far;
mod hub_side;
mod instances;
mod issuance;
mod limits;
mod load;
mod network;
mod orphans;
mod policies;
mod records;
mod reprovision;
mod seeds;
mod sessions;
mod sweeps;
mod tpm;
mod world;
