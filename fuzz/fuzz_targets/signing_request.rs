//! Certificate signing requests: whatever is read has one subject and a key that can be judged.
#![no_main]

use attestation::x509::issuing::SigningRequest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(request) = SigningRequest::from_der(data) {
        let _ = (request.common_name(), request.key_type(), request.verify());
        assert!(!request.spki_der().is_empty());
    }
});
