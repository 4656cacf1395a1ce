//! Whatever a device says of itself parses or not, without a panic.
#![no_main]

use dialect::mqtt::{Credential, SignIn, addressee};
use libfuzzer_sys::fuzz_target;
use model::RegistrationId;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (first, second) = text.split_once('\n').unwrap_or((text, text));
    let _ = addressee(first);
    let sign_in =
        SignIn { client_id: second, username: Some(first), credential: Credential::Shown };
    let _ = dialect::mqtt::dps::claim(sign_in);
    if let Ok(claim) = dialect::mqtt::hub::claim(sign_in) {
        let _ = dialect::mqtt::hub::operation(second, &claim);
        let _ = dialect::mqtt::hub::grant(second, 1, &claim);
    }
    if let Some(operation) = dialect::mqtt::dps::operation(first) {
        // A response topic is one line that begins as devices expect.
        let topic = dialect::mqtt::dps::response_topic(202, operation.rid(), Some(2));
        assert!(topic.starts_with("$dps/registrations/res/202/?$rid="));
    }
    let _ = dialect::mqtt::hub::properties(first);
    let _ = dialect::rest::device::route("PUT", first);
    if let Ok(id) = RegistrationId::parse("device") {
        if let Ok(version) = dialect::api_version::ApiVersion::parse("2025-07-01-preview") {
            let _ = dialect::rest::device::register_body(&id, &version, data);
        }
    }
});
