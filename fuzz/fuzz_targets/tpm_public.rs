//! A TPM's public area parses or not, without a panic; whatever parses can be wrapped for.
#![no_main]

use attestation::SymmetricKey;
use attestation::tpm::{EndorsementKey, StorageRootKey, seal};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = EndorsementKey::from_base64(text);
    }
    let Ok(endorsement_key) = EndorsementKey::from_bytes(data) else {
        return;
    };
    let storage_root_key = StorageRootKey::from_bytes(data).expect("both are storage keys");
    assert_eq!(&endorsement_key.name().as_bytes()[2..], attestation::sha256(&data[2..]).0);
    let key = SymmetricKey::from_bytes((0..32).collect()).expect("32 bytes are a key");
    seal(&endorsement_key, &storage_root_key, &key, "", &[0; 32]).expect("a parsed key encrypts");
});
