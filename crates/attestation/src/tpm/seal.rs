//! A key in the wrapping that devices get as `authenticationKey`.

use zeroize::Zeroizing;

use super::duplicate::HmacKey;
use super::error::SealError;
use super::kdf::cfb;
use super::marshal::sized;
use super::public::{EndorsementKey, StorageRootKey};
use super::seed::{Entropy, Purpose, Seed};
use crate::SymmetricKey;

/// Bytes of the text beside the key. Source: `dps-device-api` §6.4: the SDK of Java decrypts it in
/// one command of its TPM.
pub const URI_BYTES_MAX: usize = 1024;

/// Wraps a key so that one TPM alone can take it in, as an HMAC key under its storage root key.
///
/// The device gives the parts to `TPM2_ActivateCredential`, which yields the inner key if the
/// endorsement key and the storage root key are in the same TPM, and then to `TPM2_Import` and
/// `TPM2_Load`. `uri` goes along encrypted: Java's SDK wants some bytes there, no SDK looks at
/// them. `entropy` is 32 random bytes, never used twice.
///
/// | part | structure |
/// |---|---|
/// | credential | `TPM2B_ID_OBJECT` |
/// | its seed, for the endorsement key | `TPM2B_ENCRYPTED_SECRET` |
/// | duplicate of the key | `TPM2B_PRIVATE` |
/// | its seed, for the storage root key | `TPM2B_ENCRYPTED_SECRET` |
/// | the key's public area | `TPM2B_PUBLIC` |
/// | encrypted `uri` | size of 16 bits, bytes |
///
/// Source: `dps-device-api` §6.4; Part 3, `TPM2_MakeCredential`, `TPM2_ActivateCredential`,
/// `TPM2_Import`.
///
/// # Errors
/// Both of [`SealError`].
pub fn seal(
    endorsement_key: &EndorsementKey,
    storage_root_key: &StorageRootKey,
    key: &SymmetricKey,
    uri: &str,
    entropy: &[u8; 32],
) -> Result<Vec<u8>, SealError> {
    if uri.len() > URI_BYTES_MAX {
        return Err(SealError::UriTooLong);
    }
    let entropy = Entropy(entropy);
    // All SDKs import with AES-128, whatever the length of what they activated.
    let inner_key = entropy.bytes::<16>("INNER");

    let credential_seed = Seed::shared_with(&endorsement_key.0, Purpose::Identity, &entropy)?;
    let credential = Zeroizing::new(sized(inner_key.as_slice())?);
    let credential = credential_seed.protect(&storage_root_key.name(), &credential)?;

    let hmac_key = HmacKey::new(key, &entropy.bytes("SEED VALUE"))?;
    let duplicate_seed = Seed::shared_with(&storage_root_key.0, Purpose::Duplicate, &entropy)?;

    // The inner key's second use: the only bytes that both share their key stream are the first
    // block, which in the duplicate is the head of a digest.
    let mut uri = uri.as_bytes().to_vec();
    cfb(&inner_key, &mut uri)?;

    Ok([
        sized(&credential)?,
        credential_seed.sealed,
        hmac_key.duplicate(&inner_key, &duplicate_seed)?,
        duplicate_seed.sealed,
        hmac_key.public()?,
        sized(&uri)?,
    ]
    .concat())
}
