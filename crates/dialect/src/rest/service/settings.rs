//! The members that both kinds of enrollment have, both ways.

use std::borrow::Cow;

use model::Timestamp;
use provisioning::draft::{CustomAllocationDraft, ReprovisionDraft, SettingsDraft};
use provisioning::enrollment::{
    AllocationPolicy, CustomAllocation, ProvisioningStatus, ReprovisionPolicy, Settings, Stamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Keys, word};
use crate::api_version::ApiVersion;
use crate::json::object;
use crate::rest::error::ApiFault;

/// The shared members in the order in which they are written; absent ones are left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SettingsJson<'a> {
    capabilities: CapabilitiesJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    iot_hub_host_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_twin: Option<&'a Map<String, Value>>,
    etag: String,
    provisioning_status: ProvisioningStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    reprovision_policy: Option<ReprovisionPolicy>,
    created_date_time_utc: Timestamp,
    last_updated_date_time_utc: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocation_policy: Option<AllocationPolicy>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    iot_hubs: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_allocation_definition: Option<CustomAllocationJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_policy_name: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CapabilitiesJson {
    iot_edge: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CustomAllocationJson<'a> {
    webhook_url: Cow<'a, str>,
    api_version: &'a str,
}

/// What stands for the query of an address, which may hold a key (W-10).
const MASKED_QUERY: &str = "?****";

fn custom(allocation: &CustomAllocation, keys: Keys) -> CustomAllocationJson<'_> {
    let url = allocation.webhook_url.as_str();
    let webhook_url = match (keys, url.split_once(['?', '#'])) {
        (Keys::WithheldAll, Some((address, _))) => Cow::from(format!("{address}{MASKED_QUERY}")),
        (Keys::WithheldAll, None) | (Keys::Written | Keys::Withheld, _) => Cow::from(url),
    };
    CustomAllocationJson { webhook_url, api_version: &allocation.api_version }
}

impl<'a> SettingsJson<'a> {
    pub(super) fn of(settings: &'a Settings, stamp: &Stamp, keys: Keys) -> Self {
        Self {
            capabilities: CapabilitiesJson { iot_edge: settings.iot_edge.unwrap_or(false) },
            iot_hub_host_name: settings.iot_hub_host_name.as_ref().map(|host| host.as_str()),
            initial_twin: settings.initial_twin.as_ref(),
            etag: stamp.etag.quoted(),
            provisioning_status: settings.provisioning_status,
            reprovision_policy: settings.reprovision_policy,
            created_date_time_utc: stamp.created,
            last_updated_date_time_utc: stamp.updated,
            allocation_policy: settings.allocation_policy,
            iot_hubs: settings.iot_hubs.iter().map(|host| host.as_str()).collect(),
            custom_allocation_definition: settings
                .custom_allocation
                .as_ref()
                .map(|allocation| custom(allocation, keys)),
            credential_policy_name: settings.credential_policy_name.as_deref(),
        }
    }
}

/// The shared members as read; `etag`, dates and `registrationState` are not looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SettingsRead {
    #[serde(default, deserialize_with = "object")]
    capabilities: Option<CapabilitiesRead>,
    iot_hub_host_name: Option<String>,
    initial_twin: Option<Map<String, Value>>,
    provisioning_status: Option<String>,
    #[serde(default, deserialize_with = "object")]
    reprovision_policy: Option<ReprovisionRead>,
    allocation_policy: Option<String>,
    iot_hubs: Option<Vec<String>>,
    #[serde(default, deserialize_with = "object")]
    custom_allocation_definition: Option<CustomAllocationRead>,
    credential_policy_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CapabilitiesRead {
    iot_edge: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReprovisionRead {
    update_hub_assignment: Option<bool>,
    migrate_device_data: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CustomAllocationRead {
    webhook_url: Option<String>,
    api_version: Option<String>,
}

const STATUSES: &[&str] = &["enabled", "disabled"];
const POLICIES: &[&str] = &["hashed", "geoLatency", "static", "custom"];

/// Sorts what was read by its meaning.
pub(super) fn draft(read: SettingsRead, version: &ApiVersion) -> Result<SettingsDraft, ApiFault> {
    let status = |given: String| {
        let values = [ProvisioningStatus::Enabled, ProvisioningStatus::Disabled];
        word("provisioningStatus", &given, STATUSES, &values)
    };
    let policy = |given: String| {
        let values = [
            AllocationPolicy::Hashed,
            AllocationPolicy::GeoLatency,
            AllocationPolicy::Static,
            AllocationPolicy::Custom,
        ];
        word("allocationPolicy", &given, POLICIES, &values)
    };
    Ok(SettingsDraft {
        provisioning_status: read.provisioning_status.map(status).transpose()?,
        reprovision_policy: reprovision(read.reprovision_policy, version)?,
        allocation_policy: read.allocation_policy.map(policy).transpose()?,
        iot_hubs: read.iot_hubs.unwrap_or_default(),
        iot_hub_host_name: read.iot_hub_host_name,
        custom_allocation: read.custom_allocation_definition.map(|definition| {
            CustomAllocationDraft {
                webhook_url: definition.webhook_url,
                api_version: definition.api_version,
            }
        }),
        initial_twin: read.initial_twin,
        iot_edge: read.capabilities.and_then(|capabilities| capabilities.iot_edge),
        credential_policy_name: read.credential_policy_name,
    })
}

fn reprovision(
    read: Option<ReprovisionRead>,
    version: &ApiVersion,
) -> Result<ReprovisionDraft, ApiFault> {
    let missing = |member| ApiFault::MissingMember { member };
    match read {
        Some(read) => Ok(ReprovisionDraft::Given(ReprovisionPolicy {
            update_hub_assignment: read
                .update_hub_assignment
                .ok_or_else(|| missing("reprovisionPolicy.updateHubAssignment"))?,
            migrate_device_data: read
                .migrate_device_data
                .ok_or_else(|| missing("reprovisionPolicy.migrateDeviceData"))?,
        })),
        None if version.knows_reprovision_policies() => Ok(ReprovisionDraft::LeftToDefault),
        None => Ok(ReprovisionDraft::Unknown),
    }
}
