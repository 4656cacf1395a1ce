//! The key derivations and the cipher of a TPM whose hash is SHA-256 and whose cipher is AES-128.

use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{digest, hmac};
use zeroize::Zeroizing;

use super::error::SealError;

/// `KDFa`: N bytes from a key by HMAC-SHA256 in counter mode.
///
/// Source: Part 1, "KDFa()"; NIST SP 800-108. N is at most 64 here.
pub(super) fn kdfa<const N: usize>(
    key: &[u8],
    label: &str,
    context_u: &[u8],
    context_v: &[u8],
) -> Zeroizing<[u8; N]> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let bits = u32::try_from(N * 8).unwrap_or(u32::MAX);
    let mut out = Zeroizing::new([0; N]);
    for (block, counter) in out.chunks_mut(32).zip(1_u32..) {
        let mut context = hmac::Context::with_key(&key);
        context.update(&counter.to_be_bytes());
        context.update(label.as_bytes());
        context.update(&[0]);
        context.update(context_u);
        context.update(context_v);
        context.update(&bits.to_be_bytes());
        let tag = context.sign();
        for (to, from) in block.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
    }
    out
}

/// `KDFe`: 32 bytes from the x-coordinate of a shared point by SHA-256.
///
/// Source: Part 1, "KDFe for ECDH"; NIST SP 800-56A.
pub(super) fn kdfe(z: &[u8], label: &str, party_u: &[u8], party_v: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&1_u32.to_be_bytes());
    context.update(z);
    context.update(label.as_bytes());
    context.update(&[0]);
    context.update(party_u);
    context.update(party_v);
    let mut out = Zeroizing::new([0; 32]);
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// Encrypts in place by AES-128 in CFB mode with an IV of zeroes.
///
/// TPMs take no other IV here; each key encrypts one structure (Part 1, "Protected Storage").
pub(super) fn cfb(key: &[u8; 16], in_out: &mut [u8]) -> Result<(), SealError> {
    let key = EncryptingKey::cfb128(UnboundCipherKey::new(&AES_128, key)?)?;
    key.less_safe_encrypt(in_out, EncryptionContext::Iv128(FixedLength::from(&[0; 16])))?;
    Ok(())
}

/// HMAC-SHA256.
pub(super) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut tag = [0; 32];
    tag.copy_from_slice(context.sign().as_ref());
    tag
}
