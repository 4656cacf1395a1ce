//! Rules of what an entry gives: hubs, policies, webhook (V-18 to V-24).

use model::HostName;

use super::{CustomAllocationDraft, DraftError, ReprovisionDraft, SettingsDraft};
use crate::enrollment::{AllocationPolicy, CustomAllocation, ReprovisionPolicy, Settings};
use crate::view::InstanceView;

/// The first version of the custom allocation's request. Source: V-24.
const WEBHOOK_API_VERSION_FIRST: &str = "2018-09-01";

/// Applies every rule of the settings.
pub(super) fn settings(
    draft: &SettingsDraft,
    instance: &InstanceView,
) -> Result<Settings, DraftError> {
    let iot_hubs = hubs(&draft.iot_hubs, instance)?;
    let policy = draft.allocation_policy;
    if !iot_hubs.is_empty() && policy.is_none() {
        return Err(DraftError::HubsWithoutPolicy);
    }
    if policy == Some(AllocationPolicy::Static) && iot_hubs.len() > 1 {
        return Err(DraftError::StaticWithSeveralHubs { given: iot_hubs.len() });
    }
    let custom_allocation = match (&draft.custom_allocation, policy) {
        (Some(definition), _) => Some(custom(definition)?),
        (None, Some(AllocationPolicy::Custom)) => {
            return Err(DraftError::CustomAllocationMissing {
                member: "customAllocationDefinition",
            });
        }
        (None, _) => None,
    };
    Ok(Settings {
        provisioning_status: draft.provisioning_status.unwrap_or_default(),
        reprovision_policy: match draft.reprovision_policy {
            ReprovisionDraft::Given(policy) => Some(policy),
            ReprovisionDraft::LeftToDefault => Some(ReprovisionPolicy::DEFAULT),
            ReprovisionDraft::Unknown => None,
        },
        allocation_policy: policy,
        iot_hubs,
        iot_hub_host_name: match draft.iot_hub_host_name.as_deref() {
            None | Some("") => None,
            Some(given) => Some(linked(given, instance)?),
        },
        custom_allocation,
        initial_twin: draft.initial_twin.clone(),
        iot_edge: draft.iot_edge,
        credential_policy_name: draft.credential_policy_name.clone(),
    })
}

/// The named hubs, each linked and once only.
fn hubs(given: &[String], instance: &InstanceView) -> Result<Vec<HostName>, DraftError> {
    let mut hubs = Vec::new();
    for name in given {
        let hub = linked(name, instance)?;
        if !hubs.contains(&hub) {
            hubs.push(hub);
        }
    }
    Ok(hubs)
}

/// V-23: a hub that is named must be linked.
fn linked(given: &str, instance: &InstanceView) -> Result<HostName, DraftError> {
    HostName::parse(given)
        .ok()
        .filter(|hub| instance.dps.linked_hubs.iter().any(|linked| linked.host == *hub))
        .ok_or_else(|| DraftError::HubNotLinked { hub: given.to_owned() })
}

/// V-18, V-19, V-24: a definition is whole wherever it is given.
fn custom(draft: &CustomAllocationDraft) -> Result<CustomAllocation, DraftError> {
    let missing = |member| DraftError::CustomAllocationMissing { member };
    let webhook_url = draft
        .webhook_url
        .clone()
        .ok_or_else(|| missing("customAllocationDefinition.webhookUrl"))?;
    let api_version = draft
        .api_version
        .clone()
        .ok_or_else(|| missing("customAllocationDefinition.apiVersion"))?;
    if !is_https(&webhook_url) {
        return Err(DraftError::WebhookUrl);
    }
    if !is_recent(&api_version) {
        return Err(DraftError::WebhookApiVersion);
    }
    Ok(CustomAllocation { webhook_url, api_version })
}

/// Whether the text is an absolute https address with a host.
fn is_https(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("https")
        && url.chars().all(|c| c.is_ascii_graphic())
        && HostName::parse_authority(authority).is_ok()
}

/// Whether the text begins with a date that is not too early, and ends there or in `-preview`.
fn is_recent(version: &str) -> bool {
    let date = version.strip_suffix("-preview").unwrap_or(version);
    let is_date = date.len() == 10
        && date.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    is_date && date >= WEBHOOK_API_VERSION_FIRST
}
