//! The rules of registration as a table around the pure decision.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod allocation;
mod custom;
mod dependents;
mod expiry;
mod issuance;
mod matching;
mod orders;
mod poll;
mod possession;
mod properties;
mod records;
mod tpm;
mod tpm_makers;
mod world;
