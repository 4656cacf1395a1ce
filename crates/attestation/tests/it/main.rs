//! What the crate promises, seen from outside.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod access;
mod certificate;
mod chain;
mod chain_hostile;
mod chain_rules;
mod differential;
mod issuing;
mod limbo;
mod malformed;
mod pki;
mod swtpm;
mod tpm_challenge;
mod tpm_endorsement;
mod tpm_public;
mod upload;
