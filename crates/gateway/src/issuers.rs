//! The issuers whose bearer tokens operators may show.

mod fetch;
mod remote;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use attestation::bearer::Issuer;

pub use remote::{Location, Remote, Rhythm};

/// Knows which issuers are trusted now.
pub trait Issuers: Send + Sync {
    /// Those that are trusted at this moment, with the keys that are known of them.
    fn trusted(&self) -> Arc<Vec<Issuer>>;

    /// A token named a key that is not known of this issuer: it may have a new one. Anybody can
    /// cause this, so what it leads to must be bounded.
    fn unknown_key(&self, issuer: &str);
}

/// Trusts no issuer: shared access policies are all there is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Issuers for Nobody {
    fn trusted(&self) -> Arc<Vec<Issuer>> {
        Arc::default()
    }

    fn unknown_key(&self, _issuer: &str) {}
}
