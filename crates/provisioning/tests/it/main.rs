//! The rules of registration as a table around the pure decision.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod matching;
mod poll;
mod properties;
mod records;
mod world;
