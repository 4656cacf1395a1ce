//! Time and randomness, as parameters.

use attestation::SymmetricKey;
use model::{Etag, Timestamp};

/// Where the service reads the time.
pub trait Clock: Send + Sync {
    /// The instant.
    fn now(&self) -> Timestamp;
}

/// Where the service gets its randomness.
pub trait Entropy: Send + Sync {
    /// Fills the bytes from a cryptographically secure source.
    fn fill(&self, bytes: &mut [u8]);
}

/// A random GUID (version 4) in its usual form.
pub(crate) fn guid(entropy: &dyn Entropy) -> String {
    let mut bytes = [0_u8; 16];
    entropy.fill(&mut bytes);
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = (*version & 0x0F) | 0x40;
    *variant = (*variant & 0x3F) | 0x80;
    model::hex::guid(bytes)
}

/// A fresh serial number of a certificate.
pub(crate) fn serial(entropy: &dyn Entropy) -> [u8; 16] {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    bytes
}

/// A fresh etag.
pub(crate) fn etag(entropy: &dyn Entropy) -> Etag {
    Etag::new(&guid(entropy))
}

/// A fresh symmetric key of `N` bytes.
pub(crate) fn key<const N: usize>(entropy: &dyn Entropy) -> SymmetricKey {
    let mut bytes = vec![0_u8; N];
    entropy.fill(&mut bytes);
    SymmetricKey::from_bytes(bytes).unwrap_or_else(|_| unreachable_key_length())
}

/// 32 bytes that are used once.
pub(crate) fn bytes(entropy: &dyn Entropy) -> [u8; 32] {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    bytes
}

/// `N` is 32 or 64 at every call, both within the bounds of a key.
#[expect(clippy::unreachable, reason = "the lengths are constants within a key's bounds")]
fn unreachable_key_length() -> SymmetricKey {
    unreachable!("a generated key has a length within its bounds")
}
