//! What went wrong, as the wire says it: the one place with statuses and error codes.
//!
//! Two functions are total over everything that can be refused: [`dps`] for the provisioning
//! service, on every protocol, and [`hub`] for a hub. An error's code is its status times 1000
//! plus a detail. Source: `dps-service-api` §1.7, `dps-device-api` §2.4, `iot-hub` §3.

mod dps;
mod fault;
mod hub;
#[cfg(test)]
mod tests;

use attestation::bearer::Denied;
use model::Timestamp;
use provisioning::registration::FailureKind;
use serde::Serialize;

use crate::json::ascii_json;

pub use dps::{DpsFault, dps};
pub use fault::{ApiFault, BULK_ITEMS_MAX, Missing};
pub use hub::{HubFault, hub};

/// Seconds that a client waits after a refusal that will pass; 2..=5, because Java takes no other.
///
/// Source: settled D-20; `dps-device-api` §8.
const RETRY_AFTER_S: u32 = 5;

/// The code of a refused address, at a provisioning service and at a hub. Ours: Azure answers with a
/// 401 that does not say why, which S-75 wants told.
const ADDRESS_REFUSED: u32 = 403_100;

/// Characters of a message. Source: ours; the longest of our own sentences stay under half of it.
const MESSAGE_CHARS_MAX: usize = 512;

/// An error as a peer gets to see it: nothing of our insides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    /// The HTTP status, also that of an MQTT response topic.
    pub status: u16,
    /// The error code, `status` times 1000 plus a detail.
    pub code: u32,
    /// A sentence for the developer.
    pub message: String,
    /// Seconds to wait before the call is worth repeating.
    pub retry_after: Option<u32>,
    /// Why, where the caller is not told: for the log alone.
    pub reason: Option<String>,
    /// How the caller can show who it is (RFC 9110 section 11.6.1).
    pub challenge: Option<String>,
    /// The code's name, for the header and the text of a hub's errors.
    ///
    /// Source: C# SDK `iothub/service/src/Common/Exceptions/ErrorCode.cs`, whose enumeration is
    /// read back from it.
    pub hub_code_name: &'static str,
}

/// A status, a code and its name.
#[derive(Clone, Copy)]
struct Code(u16, u32, &'static str);

impl Code {
    /// An error of this code; a message that quotes what a client sent is cut short.
    fn says(self, message: impl Into<String>) -> WireError {
        let Self(status, code, hub_code_name) = self;
        let mut message = message.into();
        if let Some((at, _)) = message.char_indices().nth(MESSAGE_CHARS_MAX) {
            message.truncate(at);
            message.push('…');
        }
        WireError {
            status,
            code,
            message,
            retry_after: None,
            reason: None,
            challenge: None,
            hub_code_name,
        }
    }

    /// For what passes by itself.
    fn says_later(self, message: impl Into<String>, retry_after: u32) -> WireError {
        WireError { retry_after: Some(retry_after), ..self.says(message) }
    }
}

/// The body of errors of the provisioning service, of twins and of device channels.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorJson<'a> {
    error_code: u32,
    tracking_id: &'a str,
    message: &'a str,
    timestamp_utc: Timestamp,
}

/// The body of errors of a hub's registry.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HubErrorJson {
    message: String,
    exception_message: String,
}

impl WireError {
    /// The body `{errorCode, trackingId, message, timestampUtc}`, in ASCII: errors of the
    /// provisioning service on every protocol, and of a hub's twins on MQTT.
    ///
    /// Source: `dps-device-api` §2.4; Node parses it before it looks at the status.
    pub fn json(&self, tracking_id: &str, now: Timestamp) -> Vec<u8> {
        ascii_json(&ErrorJson {
            error_code: self.code,
            tracking_id,
            message: &self.message,
            timestamp_utc: now,
        })
    }

    /// The body `{"Message": "ErrorCode:…;…", "ExceptionMessage": "Tracking ID:…"}`: errors of a
    /// hub's REST API.
    ///
    /// Source: `iot-hub` §3.1.
    pub fn hub_json(&self, tracking_id: &str, now: Timestamp) -> Vec<u8> {
        let id: String = tracking_id.chars().filter(char::is_ascii_hexdigit).collect();
        ascii_json(&HubErrorJson {
            message: format!("ErrorCode:{};{}", self.hub_code_name, self.message),
            exception_message: format!("Tracking ID:{id}-G:0-TimeStamp:{}", american(now)),
        })
    }

    /// The same error, which tells that a bearer token would be looked at (RFC 6750 section 3).
    #[must_use]
    pub fn asking_for_a_token(mut self) -> Self {
        self.challenge.get_or_insert_with(|| "Bearer".to_owned());
        self
    }

    /// The same error, of which the log tells why.
    #[must_use]
    pub fn because(self, reason: impl ToString) -> Self {
        Self { reason: Some(reason.to_string()), ..self }
    }

    /// Whether it refuses the method alone, so that the answer names those that there are.
    pub const fn refuses_method(&self) -> bool {
        self.status == 405
    }

    /// Whether it refuses who calls, or from where, and not what is asked for.
    pub const fn refuses_caller(&self) -> bool {
        self.status == 401 || self.code == ADDRESS_REFUSED
    }

    /// The headers of an error of the provisioning service, beside the content type.
    ///
    /// Source: `dps-service-api` §1.5.
    pub fn headers(&self, tracking_id: &str) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("x-ms-request-id", tracking_id.to_owned()),
            ("x-ms-error-code", self.code.to_string()),
        ];
        headers.extend(self.retry_after.map(|seconds| ("Retry-After", seconds.to_string())));
        headers.extend(self.challenge.clone().map(|scheme| ("WWW-Authenticate", scheme)));
        headers
    }

    /// The headers of an error of a hub, beside the content type.
    ///
    /// Source: `iot-hub` §2.1.
    pub fn hub_headers(&self, tracking_id: &str) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("x-ms-request-id", tracking_id.to_owned()),
            ("iothub-errorcode", self.hub_code_name.to_owned()),
        ];
        headers.extend(self.retry_after.map(|seconds| ("Retry-After", seconds.to_string())));
        headers.extend(self.challenge.clone().map(|scheme| ("WWW-Authenticate", scheme)));
        headers
    }
}

/// A bearer is told what was wrong with a token that a trusted issuer has signed, and of any other
/// that it is not believed. Source: RFC 6750 section 3.1.
fn bearer(denied: &Denied, unbelieved: Code, not_enough: Code) -> WireError {
    let told = denied.told();
    let (code, error) = match denied {
        Denied::Right => (not_enough, "insufficient_scope"),
        Denied::TooLong
        | Denied::Malformed
        | Denied::Algorithm
        | Denied::UnknownIssuer
        | Denied::UnknownKey { .. }
        | Denied::Signature
        | Denied::Expired
        | Denied::NotYetValid
        | Denied::Audience
        | Denied::Subject => (unbelieved, "invalid_token"),
    };
    let description =
        told.map(|told| format!(", error_description=\"{told}\"")).unwrap_or_default();
    let challenge = Some(format!("Bearer error=\"{error}\"{description}"));
    let message = told.map_or_else(|| "Unauthorized".to_owned(), |told| format!("{told}."));
    WireError { challenge, ..code.says(message) }
}
/// The code of a certificate that could not be issued. Source: none `[U]`; ours, beside 400207 to
/// 400209.
const ISSUANCE_FAILED: u32 = 400_210;

/// The error code in the record of a device that was let in but not assigned.
///
/// Source: C SDK `provisioning_client/src/prov_device_ll_client.c` branches on 400208 and 400209;
/// `dps-service-api` §1.7.
pub const fn failure_code(kind: FailureKind) -> u32 {
    match kind {
        FailureKind::CustomAllocation => 400_207,
        FailureKind::NoHub => 400_208,
        FailureKind::HubRefused => 400_209,
        FailureKind::QuotaReached => 403_001,
        FailureKind::Issuance => ISSUANCE_FAILED,
    }
}

/// `MM/DD/YYYY hh:mm:ss`, from the text `YYYY-MM-DDThh:mm:ss.…`.
fn american(now: Timestamp) -> String {
    let text = now.to_string();
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    format!("{}/{}/{} {}", part(5..7), part(8..10), part(0..4), part(11..19))
}
