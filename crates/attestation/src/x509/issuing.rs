//! Certificates that the service issues: the requests, the keys that sign, and what is signed.
//!
//! Source: RFC 2986 (requests), RFC 5280 §4.1 and §4.2 (certificates).

mod certificate;
mod key;
mod request;
mod write;

pub use certificate::{Draft, IssueError, Role, issue};
pub use key::{PrivateKey, PrivateKeyError};
pub use request::{RequestError, RequestPart, SigningRequest};

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kinds of key that a certificate is issued for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyType {
    /// ECDSA on NIST P-256.
    P256,
    /// ECDSA on NIST P-384.
    P384,
    /// RSA of 2048 to 4096 bits.
    Rsa,
}

impl KeyType {
    /// All of them, the strongest of the quick ones first.
    pub const ALL: &'static [Self] = &[Self::P384, Self::P256, Self::Rsa];
    /// Their names, in the same order.
    pub const WORDS: &'static [&'static str] = &["P-384", "P-256", "RSA"];

    /// The name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::P384 => "P-384",
            Self::P256 => "P-256",
            Self::Rsa => "RSA",
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
