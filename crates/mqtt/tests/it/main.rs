//! The codec and the connection, through the public interface only.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod bounds;
mod codec;
mod connection;
mod flow;
mod lengths;
mod mutation;
mod packets;
mod rules;
mod vectors;
