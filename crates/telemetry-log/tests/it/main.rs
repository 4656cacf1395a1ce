//! The log on real files.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod append;
mod full;
mod kill;
mod recovery;
mod retention;
mod support;
