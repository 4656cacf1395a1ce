//! Evidence to verdict: X.509 chains, symmetric keys, SAS and bearer tokens, TPMs, addresses.
//!
//! What it is: the parsed forms of what a device or an operator shows ([`SymmetricKey`],
//! [`sas::SasToken`], [`x509::Certificate`], [`tpm::EndorsementKey`]), and the verdicts over them
//! ([`sas::SasToken::is_signed_by`], [`x509::build_chain`], [`tpm::Challenge::answered`],
//! [`access::authorize`], [`bearer::authorize`], [`network::NetworkAccess::admit`]).
//!
//! What it is not: the rule of who may register. Nothing here knows what an enrollment is, nor
//! which key or certificate belongs to whom.
//!
//! Invariants:
//! - No clock, no randomness, no I/O, no `async`, no logging: `now` and entropy are parameters.
//!   The exceptions are OAEP's padding in [`tpm::seal`], and a private key's making and ECDSA's
//!   nonce in [`x509::issuing`]: the cryptographic library draws them and takes none.
//! - No input makes it panic, and every loop over input has a bound in [`model::limits`] or
//!   beside it.
//! - Key material has no `Debug` content, no `PartialEq`, and is wiped when it is dropped;
//!   comparisons with it take the same time whatever the outcome.
//! - A certificate is parsed whole and strictly: bytes that some parser would skip are refused,
//!   so that two readers never see two certificates in the same bytes.

pub mod access;
pub mod bearer;
pub mod network;
mod roca;
pub mod sas;
mod symmetric_key;
pub mod tpm;
pub mod x509;

pub use symmetric_key::{KeyError, SymmetricKey};

use model::Sha256;

/// The SHA-256 hash of some bytes.
pub fn sha256(bytes: &[u8]) -> Sha256 {
    let mut hash = [0; 32];
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    hash.copy_from_slice(digest.as_ref());
    Sha256(hash)
}
