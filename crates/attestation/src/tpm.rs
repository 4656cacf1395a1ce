//! TPM 2.0 keys, and the challenge that proves which TPM a device holds.
//!
//! The service makes a key, wraps it so that only the TPM of one endorsement key can take it in
//! ([`seal`]), and lets the device sign a SAS token with it ([`Challenge`]). The hub key of the
//! device is delivered in the same wrapping.
//!
//! Where an endorsement key comes from is for its individual enrollment to vouch for, or for its
//! maker: [`EndorsementKey::is_certified_by`] judges the maker's certificate alone, and `x509` the
//! chain above it.
//!
//! Sources: TCG TPM 2.0 Library, Part 1 (Architecture), Part 2 (Structures), Part 3 (Commands);
//! TCG EK Credential Profile for TPM Family 2.0, templates L-1 and L-2; `dps-device-api` §6.4.

mod challenge;
mod duplicate;
mod endorsement;
mod error;
mod kdf;
mod marshal;
mod public;
mod seal;
mod seed;

pub use challenge::{CHALLENGE_SLOT, Challenge};
pub use endorsement::EndorsementCertificateError;
pub use error::{PublicError, SealError};
pub use public::{EndorsementKey, Name, StorageRootKey};
pub use seal::{URI_BYTES_MAX, seal};

/// Algorithm identifiers. Source: Part 2 §6.3, `TPM_ALG_ID`.
mod alg {
    pub(super) const RSA: u16 = 0x0001;
    pub(super) const HMAC: u16 = 0x0005;
    pub(super) const AES: u16 = 0x0006;
    pub(super) const KEYEDHASH: u16 = 0x0008;
    pub(super) const SHA256: u16 = 0x000B;
    pub(super) const NULL: u16 = 0x0010;
    pub(super) const ECC: u16 = 0x0023;
    pub(super) const CFB: u16 = 0x0043;
}

/// Object attributes. Source: Part 2 §8.3, `TPMA_OBJECT`.
mod attributes {
    pub(super) const FIXED_TPM: u32 = 1 << 1;
    pub(super) const FIXED_PARENT: u32 = 1 << 4;
    pub(super) const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
    pub(super) const USER_WITH_AUTH: u32 = 1 << 6;
    pub(super) const RESTRICTED: u32 = 1 << 16;
    pub(super) const DECRYPT: u32 = 1 << 17;
    pub(super) const SIGN: u32 = 1 << 18;
}
