//! Registration records beyond what the service API does with them: orders to provision devices
//! anew, and what deleted groups left behind.

use model::{EnrollmentGroupId, RegistrationId};
use provisioning::reprovision::{DeviceData, Order};
use serde::{Deserialize, Serialize};

use super::{Body, ListJson, ResourceJson};
use crate::json::{Object, read};
use crate::percent;
use crate::rest::error::{ApiFault, Missing};
use crate::rest::service::{id, word};

/// Deleted groups of one page of `orphans`. Source: ours; the quota keeps groups as few.
pub const ORPHANED_PAGE: usize = 100;

/// Records of a provisioning service, under `dps/{name}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrationsRoute {
    /// `GET enrollment-groups/{id}`
    Group(EnrollmentGroupId),
    /// `PUT enrollment-groups/{id}/reprovision`
    OrderGroup(EnrollmentGroupId),
    /// `DELETE enrollment-groups/{id}/reprovision`
    WithdrawGroup(EnrollmentGroupId),
    /// `PUT registrations/{id}/reprovision`
    Order(RegistrationId),
    /// `DELETE registrations/{id}/reprovision`
    Withdraw(RegistrationId),
    /// `GET orphans?after={group}`
    Orphaned,
    /// `POST orphans/{group}/purge`
    Purge(EnrollmentGroupId),
}

/// Reads a method and what follows the service's name; `kind` is the first word of it.
pub(super) fn route(
    method: &str,
    kind: &str,
    rest: &[&str],
) -> Result<RegistrationsRoute, ApiFault> {
    use RegistrationsRoute as To;
    let group = |text: &str| id("enrollment group", text, EnrollmentGroupId::parse);
    let record = |text: &str| id("registration", text, RegistrationId::parse);
    Ok(match (method, kind, rest) {
        ("GET", "enrollment-groups", [text]) => To::Group(group(text)?),
        ("PUT", "enrollment-groups", [text, "reprovision"]) => To::OrderGroup(group(text)?),
        ("DELETE", "enrollment-groups", [text, "reprovision"]) => To::WithdrawGroup(group(text)?),
        ("PUT", "registrations", [text, "reprovision"]) => To::Order(record(text)?),
        ("DELETE", "registrations", [text, "reprovision"]) => To::Withdraw(record(text)?),
        ("GET", "orphans", []) => To::Orphaned,
        ("POST", "orphans", [text, "purge"]) => To::Purge(group(text)?),
        (_, "enrollment-groups", [_])
        | (_, "enrollment-groups" | "registrations", [_, "reprovision"])
        | (_, "orphans", [] | [_, "purge"]) => return Err(ApiFault::MethodNotAllowed),
        (_, _, _) => return Err(ApiFault::NotFound(Missing::Path)),
    })
}

/// Reads `?after=` of `orphans`, in lower case as keys are.
pub fn after(query: &str) -> Option<String> {
    percent::value(query, "after").map(|text| percent::decoded(text).to_ascii_lowercase())
}

/// Reads the body of `PUT …/reprovision`.
///
/// # Errors
/// [`ApiFault`].
pub fn order_body(body: &[u8]) -> Result<DeviceData, ApiFault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Properties {
        device_data: String,
    }
    let Body { properties: Object(Properties { device_data }) } = read(body)?;
    let values = [DeviceData::Migrate, DeviceData::Reset];
    word("deviceData", &device_data, &["migrate", "reset"], &values)
}

/// Properties of what may be ordered to be provisioned anew.
#[derive(Serialize)]
pub struct ReprovisionProperties {
    #[serde(skip_serializing_if = "Option::is_none")]
    reprovision: Option<Order>,
}

/// The order to one device or to one group, if one stands.
pub fn reprovision_json(
    name: &str,
    order: Option<Order>,
) -> ResourceJson<'_, ReprovisionProperties> {
    ResourceJson { name, etag: None, properties: ReprovisionProperties { reprovision: order } }
}

/// Properties of a group, as far as its records are concerned.
#[derive(Serialize)]
pub struct GroupRegistrationsProperties {
    registrations: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reprovision: Option<Order>,
}

/// An enrollment group: how many records it owns, and the order to its devices.
pub fn group_registrations_json(
    name: &str,
    registrations: u64,
    order: Option<Order>,
) -> ResourceJson<'_, GroupRegistrationsProperties> {
    let properties = GroupRegistrationsProperties { registrations, reprovision: order };
    ResourceJson { name, etag: None, properties }
}

/// Properties of a group that is gone.
#[derive(Serialize)]
pub struct OrphanedProperties {
    registrations: u64,
}

/// A group that is gone, and how many records it left behind.
pub const fn orphaned_json(name: &str, registrations: u64) -> ResourceJson<'_, OrphanedProperties> {
    ResourceJson { name, etag: None, properties: OrphanedProperties { registrations } }
}

/// A page of groups that are gone.
#[derive(Serialize)]
pub struct OrphanedJson<'a> {
    #[serde(flatten)]
    groups: ListJson<ResourceJson<'a, OrphanedProperties>>,
    /// What to give as `after` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl<'a> OrphanedJson<'a> {
    /// A page, and where the next one begins.
    pub const fn of(
        groups: Vec<ResourceJson<'a, OrphanedProperties>>,
        next: Option<String>,
    ) -> Self {
        Self { groups: ListJson { value: groups }, next }
    }
}

/// How far a purge came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PurgedJson {
    /// Records that the call deleted.
    pub deleted: u64,
    /// Whether to call again.
    pub more: bool,
}
