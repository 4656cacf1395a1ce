//! A TPM's part of a registration in software: two keys on NIST P-256, and the unwrapping.
//!
//! It trusts the server: the integrity of what it takes in is not checked, which costs a real TPM
//! a few hashes.

use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::cipher::{AES_128, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::iv::FixedLength;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SubjectPublicKeyInfo,
};

/// The attributes and the policy of an endorsement key by the template L-2.
const ENDORSEMENT: &[u8] =
    b"\x00\x03\x00\xb2\x00\x20\x83\x71\x97\x67\x44\x84\xb3\xf8\x1a\x90\xcc\x8d\x46\xa5\xd7\x24\
    \xfd\x52\xd7\x6e\x06\x52\x0b\x64\xf2\xa1\xda\x1b\x33\x14\x69\xaa";
/// Those of a storage root key as the SDKs make it.
const STORAGE: &[u8] = b"\x00\x03\x04\x72\x00\x00";
/// AES-128 in CFB mode, no scheme, NIST P-256, no key derivation.
const PARAMETERS: &[u8] = b"\x00\x06\x00\x80\x00\x43\x00\x10\x00\x03\x00\x10";
/// `SubjectPublicKeyInfo` of a P-256 key, up to the point.
const SPKI: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\
    \x03\x42\x00";
/// An alternative name with a TPM's maker, model and version.
const TPM_NAME: &[u8] = b"\x30\x35\xa4\x33\x30\x31\x31\x2f\
    \x30\x0d\x06\x05\x67\x81\x05\x02\x01\x0c\x04id:1\
    \x30\x0d\x06\x05\x67\x81\x05\x02\x02\x0c\x04soft\
    \x30\x0f\x06\x05\x67\x81\x05\x02\x03\x0c\x06id:2.0";

/// The digits of base32, in lower case. Source: RFC 4648 §6.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A key that others are wrapped for.
#[derive(Debug)]
struct Key {
    private: PrivateKey,
    point: Vec<u8>,
    /// The `TPMT_PUBLIC`.
    area: Vec<u8>,
}

impl Key {
    fn generate(kind: &[u8]) -> Self {
        let private = PrivateKey::generate(&ECDH_P256).unwrap();
        let point = private.compute_public_key().unwrap().as_ref().to_vec();
        let (x, y) = (&point[1..33], &point[33..]);
        let head = b"\x00\x23\x00\x0b";
        let area = [head, kind, PARAMETERS, &sized(x), &sized(y)].concat();
        Self { private, point, area }
    }

    /// What a seed that is shared with the key protects: what follows the integrity.
    fn open(&self, secret: &[u8], label: &str, name: &[u8], wrapped: &[u8]) -> Vec<u8> {
        let (x, rest) = split(secret);
        let (y, _) = split(rest);
        let peer = UnparsedPublicKey::new(&ECDH_P256, [&[4], x, y].concat());
        let own_x = &self.point[1..33];
        let seed = agreement::agree(&self.private, peer, (), |z| {
            let parts = [&[0, 0, 0, 1], z, label.as_bytes(), &[0], x, own_x].concat();
            Ok(digest(&SHA256, &parts).as_ref().to_vec())
        })
        .unwrap();
        // KDFa for 128 bits.
        let parts = [&[0, 0, 0, 1], b"STORAGE\0".as_slice(), name, &[0, 0, 0, 128]].concat();
        let tag = hmac::sign(&hmac::Key::new(HMAC_SHA256, &seed), &parts);
        let (_integrity, encrypted) = split(wrapped);
        decrypted(&tag.as_ref()[..16], encrypted)
    }
}

/// A TPM that was never seen before.
#[derive(Debug)]
pub struct SoftTpm {
    endorsement: Key,
    storage: Key,
}

impl SoftTpm {
    /// Makes its keys.
    pub fn generate() -> Self {
        Self { endorsement: Key::generate(ENDORSEMENT), storage: Key::generate(STORAGE) }
    }

    /// The same TPM after its owner was cleared: with another storage root key.
    #[must_use]
    pub fn cleared(self) -> Self {
        Self { storage: Key::generate(STORAGE), ..self }
    }

    /// The public areas of the two keys, base64: the endorsement key's first.
    pub fn keys(&self) -> [String; 2] {
        [&self.endorsement, &self.storage].map(|key| STANDARD.encode(sized(&key.area)))
    }

    /// What SDKs name the TPM.
    pub fn registration_id(&self) -> String {
        let hash = digest(&SHA256, &sized(&self.endorsement.area));
        let bits: String = hash.as_ref().iter().map(|byte| format!("{byte:08b}")).collect();
        let digits = bits.as_bytes().chunks(5).map(|five| {
            let text = format!("{:0<5}", std::str::from_utf8(five).unwrap());
            char::from(BASE32[usize::from_str_radix(&text, 2).unwrap()])
        });
        digits.collect()
    }

    /// Its endorsement certificate, base64 of DER.
    pub fn certificate(&self, maker: &Issuer<'_, KeyPair>) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::KeyAgreement];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, 1])];
        let mut name = CustomExtension::from_oid_content(&[2, 5, 29, 17], TPM_NAME.to_vec());
        name.set_criticality(true);
        params.custom_extensions.push(name);
        let spki = [SPKI, &self.endorsement.point].concat();
        let key = SubjectPublicKeyInfo::from_der(&spki).unwrap();
        STANDARD.encode(params.signed_by(&key, maker).unwrap().der())
    }

    /// The key in an `authenticationKey`, base64 both: `TPM2_ActivateCredential`, `TPM2_Import`.
    /// From what was wrapped for another TPM comes a key too, but a wrong one.
    ///
    /// # Panics
    ///
    /// When that is no `authenticationKey` for keys of this kind.
    pub fn take_in(&self, authentication_key: &str) -> String {
        let blob = STANDARD.decode(authentication_key).unwrap();
        let (credential, rest) = split(&blob);
        let (credential_secret, rest) = split(rest);
        let (duplicate, rest) = split(rest);
        let (duplicate_secret, rest) = split(rest);
        let (public, _uri) = split(rest);
        let name = name_of(&self.storage.area);
        let inner = self.endorsement.open(credential_secret, "IDENTITY", &name, credential);
        let (inner_key, _) = split(&inner);
        let name = name_of(public);
        let wrapped = self.storage.open(duplicate_secret, "DUPLICATE", &name, duplicate);
        let clear = decrypted(inner_key, &wrapped);
        let (_integrity, sensitive) = split(&clear);
        let (_authorization, rest) = split(&sensitive[4..]);
        let (_seed_value, rest) = split(rest);
        STANDARD.encode(split(rest).0)
    }
}

fn name_of(area: &[u8]) -> Vec<u8> {
    [b"\x00\x0b", digest(&SHA256, area).as_ref()].concat()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [u16::try_from(bytes.len()).unwrap().to_be_bytes().as_slice(), bytes].concat()
}

/// What follows a size of 16 bits, and the rest.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (size, rest) = bytes.split_at(2);
    rest.split_at(usize::from(u16::from_be_bytes([size[0], size[1]])))
}

fn decrypted(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let key = DecryptingKey::cfb128(UnboundCipherKey::new(&AES_128, key).unwrap()).unwrap();
    let iv = DecryptionContext::Iv128(FixedLength::from(&[0; 16]));
    key.decrypt(&mut bytes, iv).unwrap();
    bytes
}
