//! What a correct backend is.
#![expect(
    clippy::unwrap_used,
    reason = "test support: compiled here so that every backend can run it"
)]

pub mod fixtures;
