//! A seed shared with the TPM that holds a key, and what it protects.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use zeroize::Zeroizing;

use super::error::SealError;
use super::kdf::{cfb, hmac, kdfa, kdfe};
use super::marshal::sized;
use super::public::{Name, PublicArea, PublicKey};

/// Numbers tried as an ephemeral P-256 key; one in 2^32 is none.
const EPHEMERAL_TRIES: u8 = 8;

/// What a seed is for. Source: Part 1, "Secret Sharing".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The credential of `TPM2_ActivateCredential`.
    Identity,
    /// The outer wrapper of `TPM2_Import`.
    Duplicate,
}

impl Purpose {
    const fn label(self) -> &'static str {
        match self {
            Self::Identity => "IDENTITY",
            Self::Duplicate => "DUPLICATE",
        }
    }

    /// The same, with the zero byte that ends it in OAEP.
    const fn label_ended(self) -> &'static [u8] {
        match self {
            Self::Identity => b"IDENTITY\0",
            Self::Duplicate => b"DUPLICATE\0",
        }
    }
}

/// Randomness for one wrapped key: 32 bytes, of which everything random is derived.
pub(super) struct Entropy<'e>(pub(super) &'e [u8; 32]);

impl Entropy<'_> {
    pub(super) fn bytes<const N: usize>(&self, what: &str) -> Zeroizing<[u8; N]> {
        kdfa(self.0, what, &[], &[])
    }
}

/// A seed that only the holder of one key can know.
pub(super) struct Seed {
    clear: Zeroizing<[u8; 32]>,
    /// The `TPM2B_ENCRYPTED_SECRET`.
    pub(super) sealed: Vec<u8>,
}

impl Seed {
    /// Makes a seed and encrypts it to a key.
    ///
    /// The padding of OAEP is drawn by the cryptographic library; nothing depends on it.
    /// Source: Part 1, annexes "RSA Secret Sharing" and "ECC Secret Sharing".
    pub(super) fn shared_with(
        area: &PublicArea,
        purpose: Purpose,
        entropy: &Entropy<'_>,
    ) -> Result<Self, SealError> {
        match &area.key {
            PublicKey::Rsa2048 { .. } => {
                let clear = entropy.bytes(purpose.label());
                let key = PublicEncryptingKey::from_der(&area.key.spki_der())
                    .map_err(|_| SealError::Crypto)?;
                let mut out = [0; 256];
                let sealed = OaepPublicEncryptingKey::new(key)?.encrypt(
                    &OAEP_SHA256_MGF1SHA256,
                    clear.as_slice(),
                    &mut out,
                    Some(purpose.label_ended()),
                )?;
                Ok(Self { sealed: sized(sealed)?, clear })
            }
            PublicKey::P256 { point } => {
                let own = ephemeral(purpose, entropy)?;
                let own_point = own.compute_public_key()?;
                let (own_x, own_y) = coordinates(own_point.as_ref())?;
                let (x, _) = coordinates(point)?;
                let peer = UnparsedPublicKey::new(&agreement::ECDH_P256, point);
                let clear = agreement::agree(&own, peer, SealError::Crypto, |z| {
                    Ok(kdfe(z, purpose.label(), own_x, x))
                })?;
                let sealed = sized(&[sized(own_x)?, sized(own_y)?].concat())?;
                Ok(Self { clear, sealed })
            }
        }
    }

    /// Encrypts some bytes and authenticates them together with an object's Name:
    /// `TPM2B(HMAC) ‖ ciphertext`. Source: Part 1, "Outer Wrap" and "Credential Protection".
    pub(super) fn protect(&self, name: &Name, clear: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = kdfa::<16>(self.clear.as_slice(), "STORAGE", name.as_bytes(), &[]);
        let mut encrypted = clear.to_vec();
        cfb(&key, &mut encrypted)?;
        let key = kdfa::<32>(self.clear.as_slice(), "INTEGRITY", &[], &[]);
        let tag = hmac(&key, &[&encrypted, name.as_bytes()]);
        Ok([sized(&tag)?, encrypted].concat())
    }
}

fn ephemeral(purpose: Purpose, entropy: &Entropy<'_>) -> Result<PrivateKey, SealError> {
    (0..EPHEMERAL_TRIES)
        .find_map(|number| {
            let candidate = entropy.bytes::<32>(&format!("{} {number}", purpose.label()));
            PrivateKey::from_private_key(&agreement::ECDH_P256, candidate.as_slice()).ok()
        })
        .ok_or(SealError::Crypto)
}

/// The coordinates of an uncompressed point.
fn coordinates(point: &[u8]) -> Result<(&[u8], &[u8]), SealError> {
    let [0x04, coordinates @ ..] = point else { return Err(SealError::Crypto) };
    coordinates.split_at_checked(32).ok_or(SealError::Crypto)
}
