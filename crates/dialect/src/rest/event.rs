//! Lifecycle events as CloudEvents 1.0 over HTTP, in structured mode, one event a request.
//!
//! Those of hubs have the types and the data of Event Grid's; the others are ours.
//! Source: CloudEvents 1.0.2, its HTTP protocol binding §3.2 and HTTP Web Hooks;
//! `articles/event-grid/event-schema-iot-hub.md`.

use std::time::Duration;

use events::schedule::Outcome;
use events::{Event, Happened, Source};
use model::Timestamp;
use provisioning::enrollment::{Entry, EntryId, ProvisioningStatus};
use serde::Serialize;
use serde_json::{Value, json};

use super::service::registration;
use super::{hub, resource};
use crate::json::utf8_json;

/// The media type of an event. Source: CloudEvents HTTP protocol binding §3.2.1.
pub const CLOUD_EVENT: &str = "application/cloudevents+json; charset=utf-8";
/// What a request for consent and every event says of its sender. Source: HTTP Web Hooks §4.1.1.
pub const ORIGIN_HEADER: &str = "webhook-request-origin";
/// How often events may come, a minute, as it is asked for. Source: HTTP Web Hooks §4.1.3.
pub const RATE_HEADER: &str = "webhook-request-rate";
/// Whom a receiver allows. Source: HTTP Web Hooks §4.2.1.
pub const ALLOWED_HEADER: &str = "webhook-allowed-origin";
/// The origin that is told: the host of the administration.
pub const ORIGIN: &str = "muster.localhost";
/// Where the server's own events come from.
const SERVER: &str = "/muster";

#[derive(Serialize)]
struct CloudEventJson<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: &'a str,
    time: Timestamp,
    datacontenttype: &'static str,
    data: &'a Value,
}

/// An event as JSON.
pub fn structured(event: &Event) -> Vec<u8> {
    utf8_json(&cloud_event(event))
}

/// An event as a value.
pub(in crate::rest) fn cloud_event(event: &Event) -> impl Serialize + '_ {
    CloudEventJson {
        specversion: "1.0",
        id: &event.id,
        source: match &event.source {
            Source::Hub(name) => resource::hub_id(name),
            Source::Dps(name) => resource::dps_id(name),
            Source::Server => SERVER.to_owned(),
        },
        kind: event.event_type.name(),
        subject: &event.subject,
        time: event.time,
        datacontenttype: "application/json",
        data: &event.data,
    }
}

/// What is told of something.
pub fn data(happened: &Happened<'_>) -> Value {
    match *happened {
        Happened::Device { hub, device, twin, .. } => json!({
            "twin": hub::twin(device, twin, hub::Presence::default()),
            "hubName": hub.as_str(),
            "deviceId": device.device_id.as_str(),
        }),
        Happened::Connection { hub, device_id, sequence, .. } => json!({
            "deviceConnectionStateEventInfo": { "sequenceNumber": format!("{sequence:064X}") },
            "hubName": hub.as_str(),
            "deviceId": device_id.as_str(),
        }),
        Happened::Registered { dps, record } => json!({
            "provisioningServiceName": dps.as_str(),
            "enrollment": entry_id(&record.decided_by.id),
            "registrationState": registration::json(record, None),
        }),
        Happened::RegistrationDeleted { dps, id } => json!({
            "provisioningServiceName": dps.as_str(),
            "registrationId": id.as_str(),
        }),
        Happened::Entry { dps, entry, .. } => json!({
            "provisioningServiceName": dps.as_str(),
            "enrollment": entry_id(&entry.reference().id),
            "provisioningStatus": status(entry),
            "etag": entry.etag().quoted(),
        }),
        Happened::EntryDeleted { dps, id } => json!({
            "provisioningServiceName": dps.as_str(),
            "enrollment": entry_id(id),
        }),
        Happened::Test { subscription } => json!({ "subscription": subscription.as_str() }),
    }
}

fn entry_id(id: &EntryId) -> Value {
    match id {
        EntryId::Individual(id) => json!({ "type": "individual", "id": id.as_str() }),
        EntryId::Group(id) => json!({ "type": "group", "id": id.as_str() }),
    }
}

fn status(entry: Entry<'_>) -> ProvisioningStatus {
    entry.settings().provisioning_status
}

/// What an answer's status says of an event.
///
/// Source: `articles/event-grid/delivery-and-retry.md`: 200 to 204 is success, 400, 401, 403 and 413
/// are not tried again; HTTP Web Hooks §2.2: nor are 410 and 415. A redirection is not followed.
pub fn outcome(status: u16, retry_after: Option<&str>) -> Outcome {
    let because = format!("it answered with status {status}");
    match status {
        200..=204 => Outcome::Taken,
        400 | 401 | 403 | 410 | 413 | 415 => Outcome::Refused(because),
        _ => {
            let seconds = retry_after.and_then(|text| text.trim().parse().ok());
            Outcome::Failed { because, asked_pause: seconds.map(Duration::from_secs) }
        }
    }
}

/// Whether the answer to a request for consent grants it.
///
/// # Errors
/// Why not, for the operator.
pub fn consent(status: u16, allowed: Option<&str>) -> Result<(), String> {
    match (status, allowed.map(str::trim)) {
        (200..=299, Some("*")) => Ok(()),
        (200..=299, Some(origin)) if origin.eq_ignore_ascii_case(ORIGIN) => Ok(()),
        (200..=299, Some(_)) => Err(format!("it allows another origin than {ORIGIN}")),
        (200..=299, None) => Err("its answer has no WebHook-Allowed-Origin".to_owned()),
        (status, _) => Err(format!("it answered OPTIONS with status {status}")),
    }
}

#[cfg(test)]
mod tests;
