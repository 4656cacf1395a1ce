//! An HMAC key in the form that `TPM2_Import` takes.

use zeroize::Zeroizing;

use super::error::SealError;
use super::kdf::cfb;
use super::marshal::sized;
use super::public::Name;
use super::seed::Seed;
use super::{alg, attributes};
use crate::SymmetricKey;

/// The public and the sensitive area of an HMAC key.
pub(super) struct HmacKey {
    /// The `TPMT_PUBLIC`.
    public: Vec<u8>,
    /// The `TPM2B_SENSITIVE`.
    sensitive: Zeroizing<Vec<u8>>,
}

impl HmacKey {
    /// Makes a keyed-hash object of a key; `seed_value` hides the key in the object's `unique`.
    ///
    /// The scheme is given, because the SDKs of Java and Node read its hash; the empty
    /// authorization value is what all SDKs use. Source: Part 2 §12.2.4 and §12.3.2.4;
    /// `dps-device-api` §6.4.
    pub(super) fn new(key: &SymmetricKey, seed_value: &[u8; 32]) -> Result<Self, SealError> {
        let unique = crate::sha256(&Zeroizing::new([seed_value, key.as_bytes()].concat()));
        let attributes = attributes::SIGN | attributes::USER_WITH_AUTH;
        let public = [
            alg::KEYEDHASH.to_be_bytes().as_slice(),
            &alg::SHA256.to_be_bytes(),
            &attributes.to_be_bytes(),
            &sized(&[])?, // authPolicy
            &alg::HMAC.to_be_bytes(),
            &alg::SHA256.to_be_bytes(),
            &sized(&unique.0)?,
        ]
        .concat();
        let sensitive = Zeroizing::new(
            [
                alg::KEYEDHASH.to_be_bytes().as_slice(),
                &sized(&[])?, // authValue
                &sized(seed_value)?,
                &Zeroizing::new(sized(key.as_bytes())?),
            ]
            .concat(),
        );
        Ok(Self { public, sensitive: Zeroizing::new(sized(&sensitive)?) })
    }

    /// The `TPM2B_PUBLIC`.
    pub(super) fn public(&self) -> Result<Vec<u8>, SealError> {
        sized(&self.public)
    }

    /// The `TPM2B_PRIVATE` of the duplicate: wrapped with a symmetric key, and that with the seed
    /// of the new parent. Source: Part 1, "Duplication", "Inner Wrap" and "Outer Wrap".
    pub(super) fn duplicate(
        &self,
        inner_key: &[u8; 16],
        seed: &Seed,
    ) -> Result<Vec<u8>, SealError> {
        let name = Name::of(&self.public);
        let checked = Zeroizing::new([&self.sensitive, name.as_bytes().as_slice()].concat());
        let integrity = sized(&crate::sha256(&checked).0)?;
        let mut inner = Zeroizing::new([integrity.as_slice(), &self.sensitive].concat());
        cfb(inner_key, &mut inner)?;
        sized(&seed.protect(&name, &inner)?)
    }
}
