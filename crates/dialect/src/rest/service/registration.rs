//! `DeviceRegistrationState`: a record as operators see it (§1.8).

use model::Timestamp;
use provisioning::registration::{Registration, RegistrationStatus, Substatus};
use provisioning::reprovision::Order;
use serde::Serialize;
use serde_json::Value;

use crate::rest::error::failure_code;

/// A registration record, as written into JSON.
///
/// A refused device's last hub and device id are shown, unlike to the device (settled D-10).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistrationStateJson<'a> {
    registration_id: &'a str,
    created_date_time_utc: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    assigned_hub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a str>,
    status: RegistrationStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    substatus: Option<Substatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
    last_updated_date_time_utc: Timestamp,
    etag: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reprovision: Option<Order>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a Value>,
}

impl<'a> RegistrationStateJson<'a> {
    /// Writes a registration record, with the order that its device has yet to follow: a member of
    /// ours, which is there only then.
    pub fn of(record: &'a Registration, order: Option<Order>) -> Self {
        let place = record.assignment.as_ref();
        Self {
            registration_id: record.registration_id.as_str(),
            created_date_time_utc: record.created,
            assigned_hub: place.map(|place| place.hub.as_str()),
            device_id: place.map(|place| place.device_id.as_str()),
            status: record.status,
            substatus: record.substatus,
            error_code: record.failure.as_ref().map(|failure| failure_code(failure.kind)),
            error_message: record.failure.as_ref().map(|failure| failure.message.as_str()),
            last_updated_date_time_utc: record.updated,
            etag: record.etag.quoted(),
            reprovision: order,
            payload: record.payload.as_ref(),
        }
    }
}

/// Writes a registration record, with the order that its device has yet to follow.
pub fn json(record: &Registration, order: Option<Order>) -> RegistrationStateJson<'_> {
    RegistrationStateJson::of(record, order)
}
