//! A hub's registry: device identities and twins, as operators read and write them.
//!
//! Source: `iot-hub` §2 and §4.

mod bulk;
mod device;
mod route;
mod statistics;
pub mod telemetry;
#[cfg(test)]
mod tests;
mod twin;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{Etag, IfMatch};

pub use bulk::{BULK_DEVICES_MAX, BulkResult, Item, Operation, bulk};
pub use device::{ConnectionState, DeviceJson, Presence, Telling, draft, json};
pub use route::{Route, method, route};
pub use statistics::{DeviceStatisticsJson, ServiceStatisticsJson};
pub use twin::{TwinJson, twin, twin_if_match, twin_update};

use super::error::ApiFault;

/// Devices of one list at the most, and where no count is given. Source: `iot-hub` §2.2.
const DEVICES_TOP_MAX: usize = 1_000;

/// The etag of a device identity as the wire has it: base64 of its version's decimal digits.
///
/// Source: `iot-hub` §2.3, `NzI3ODk0ODYz` is 727894863.
pub fn etag(version: u64) -> String {
    STANDARD.encode(version.to_string())
}

/// The `ETag` header of a device identity, in quotes.
pub fn etag_header(version: u64) -> (&'static str, String) {
    ("ETag", format!("\"{}\"", etag(version)))
}

/// Reads an `If-Match` header about a device identity; the etag it gives is the version's decimal
/// digits. A text that is no etag of ours matches nothing.
pub fn if_match(header: Option<&str>) -> IfMatch {
    match IfMatch::parse(header) {
        IfMatch::Etag(sent) => {
            let digits = STANDARD
                .decode(sent.as_str())
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
            IfMatch::Etag(digits.map_or(sent, |digits| Etag::new(&digits)))
        }
        given @ (IfMatch::Absent | IfMatch::Any) => given,
    }
}

/// How many devices a list may hold: `top` of the query, 1..=1000.
///
/// # Errors
/// [`ApiFault::Invalid`] for a text that is no such number.
pub fn top(query: Option<&str>) -> Result<usize, ApiFault> {
    let text = query.and_then(|query| crate::percent::value(query, "top"));
    let refused = || ApiFault::Invalid(format!("top is not a number of 1 to {DEVICES_TOP_MAX}."));
    match text {
        None | Some("") => Ok(DEVICES_TOP_MAX),
        Some(text) => match text.parse() {
            Ok(0) | Err(_) => Err(refused()),
            Ok(top) if top > DEVICES_TOP_MAX => Err(refused()),
            Ok(top) => Ok(top),
        },
    }
}

/// A time of a device: the zero instant without a fraction, and without `Z` in the answer to a
/// creation.
///
/// Source: `iot-hub` §2.3, recordings of the real hub.
fn time_text(at: model::Timestamp, telling: Telling) -> String {
    match (at == model::Timestamp::ZERO, telling) {
        (true, Telling::Created) => "0001-01-01T00:00:00".to_owned(),
        (true, Telling::Known) => "0001-01-01T00:00:00Z".to_owned(),
        (false, _) => at.to_string(),
    }
}
