//! Whatever an operator's tool sends parses or not, without a panic.
#![no_main]

use dialect::api_version::ApiVersion;
use dialect::rest::query::{self, Collection};
use dialect::rest::{admin, hub, service};
use libfuzzer_sys::fuzz_target;
use model::{DeviceId, EnrollmentGroupId, RegistrationId};

fuzz_target!(|data: &[u8]| {
    let Ok(version) = ApiVersion::parse("2021-10-01") else {
        return;
    };
    if let Ok(id) = RegistrationId::parse("device") {
        let _ = service::enrollment::draft(&id, data, &version);
    }
    if let Ok(id) = EnrollmentGroupId::parse("group") {
        let _ = service::group::draft(&id, data, &version);
    }
    if let Ok(id) = DeviceId::parse("device") {
        let _ = hub::draft(&id, data);
    }
    let _ = service::bulk::individuals(data, &version);
    let _ = service::bulk::groups(data, &version);
    if let Ok(text) = query::text(data) {
        let _ = query::asked(&text, Collection::Enrollments);
    }
    let _ = admin::dps_body(data);
    let _ = admin::certificate_body(data);
    let _ = admin::link_body(data);
    if let Ok(text) = std::str::from_utf8(data) {
        for method in ["GET", "PUT", "POST", "DELETE"] {
            let _ = service::route(method, text);
            let _ = hub::route(method, text);
            let _ = admin::route(method, text);
        }
        let _ = ApiVersion::of_query(Some(text));
        let _ = query::asked(text, Collection::Devices);
    }
});
