//! V-18 to V-24, V-29 and the defaults.

use super::*;
use crate::enrollment::{CustomAllocation, Settings};

fn with(settings: SettingsDraft) -> Result<Settings, DraftError> {
    let draft = IndividualDraft { settings, ..individual_draft(symmetric()) };
    put(&draft, None, &instance()).map(|entry| entry.settings)
}

fn hubs(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn definition(webhook_url: &str, api_version: &str) -> CustomAllocationDraft {
    CustomAllocationDraft {
        webhook_url: Some(webhook_url.to_owned()),
        api_version: Some(api_version.to_owned()),
    }
}

const HUB_1: &str = "hub1.localhost";
const HUB_2: &str = "hub2.localhost";

#[test]
fn v_18_custom_without_definition_is_refused() {
    let custom = |custom_allocation| SettingsDraft {
        allocation_policy: Some(AllocationPolicy::Custom),
        custom_allocation,
        ..SettingsDraft::default()
    };
    let missing = |member| DraftError::CustomAllocationMissing { member };
    assert_eq!(with(custom(None)).unwrap_err(), missing("customAllocationDefinition"));
    let half =
        CustomAllocationDraft { webhook_url: Some("https://a.test".to_owned()), api_version: None };
    assert_eq!(
        with(custom(Some(half))).unwrap_err(),
        missing("customAllocationDefinition.apiVersion")
    );
    let half =
        CustomAllocationDraft { webhook_url: None, api_version: Some("2021-10-01".to_owned()) };
    assert_eq!(
        with(custom(Some(half))).unwrap_err(),
        missing("customAllocationDefinition.webhookUrl")
    );
    let whole = custom(Some(definition("https://www.test.test", "2019-03-31")));
    let stored = with(whole).unwrap();
    assert_eq!(
        stored.custom_allocation,
        Some(CustomAllocation {
            webhook_url: "https://www.test.test".to_owned(),
            api_version: "2019-03-31".to_owned(),
        })
    );
}

#[test]
fn v_19_a_definition_beside_another_policy_is_stored() {
    let stored = with(SettingsDraft {
        allocation_policy: Some(AllocationPolicy::GeoLatency),
        custom_allocation: Some(definition("https://a.test/x", "2019-03-31")),
        ..SettingsDraft::default()
    });
    assert!(stored.unwrap().custom_allocation.is_some());
}

#[test]
fn v_20_iot_hubs_without_allocation_policy_is_refused() {
    let given = SettingsDraft { iot_hubs: hubs(&[HUB_1]), ..SettingsDraft::default() };
    assert_eq!(with(given).unwrap_err(), DraftError::HubsWithoutPolicy);
    let empty = SettingsDraft { iot_hubs: hubs(&[]), ..SettingsDraft::default() };
    assert!(with(empty).unwrap().iot_hubs.is_empty());
}

#[test]
fn v_21_static_without_a_hub_is_accepted() {
    let stored = with(SettingsDraft {
        allocation_policy: Some(AllocationPolicy::Static),
        ..SettingsDraft::default()
    });
    assert_eq!(stored.unwrap().allocation_policy, Some(AllocationPolicy::Static));
}

#[test]
fn v_22_static_with_several_hubs_is_refused() {
    let fixed = |names: &[&str]| SettingsDraft {
        allocation_policy: Some(AllocationPolicy::Static),
        iot_hubs: hubs(names),
        ..SettingsDraft::default()
    };
    let error = with(fixed(&[HUB_1, HUB_2])).unwrap_err();
    assert_eq!(error, DraftError::StaticWithSeveralHubs { given: 2 });
    // The same hub twice is one hub.
    assert_eq!(with(fixed(&[HUB_1, "HUB1.localhost"])).unwrap().iot_hubs.len(), 1);
}

#[test]
fn v_23_a_hub_that_is_not_linked_is_refused() {
    let hub = |name: &str| SettingsDraft {
        allocation_policy: Some(AllocationPolicy::Hashed),
        iot_hubs: hubs(&[HUB_1, name]),
        ..SettingsDraft::default()
    };
    assert_eq!(with(hub(HUB_2)).unwrap().iot_hubs.len(), 2);
    for other in ["hub3.localhost", "", "not a host"] {
        let error = with(hub(other)).unwrap_err();
        assert_eq!(error, DraftError::HubNotLinked { hub: other.to_owned() });
    }
    let legacy = |name: &str| SettingsDraft {
        iot_hub_host_name: Some(name.to_owned()),
        ..SettingsDraft::default()
    };
    assert_eq!(with(legacy(HUB_1)).unwrap().iot_hub_host_name.unwrap().as_str(), HUB_1);
    assert!(with(legacy("")).unwrap().iot_hub_host_name.is_none());
    assert!(with(legacy("hub3.localhost")).is_err());
}

#[test]
fn v_24_a_webhook_is_an_https_address_of_a_known_version() {
    let check = |url: &str, version: &str| {
        with(SettingsDraft {
            allocation_policy: Some(AllocationPolicy::Custom),
            custom_allocation: Some(definition(url, version)),
            ..SettingsDraft::default()
        })
        .map(|_| ())
    };
    for good in ["https://a.test", "HTTPS://a.test:8443/f?code=x", "https://a.test?x", "https://a"]
    {
        assert_eq!(check(good, "2021-10-01"), Ok(()), "{good}");
    }
    for bad in
        ["", "http://a.test", "a.test/f", "https://", "https:///f", "https://a b", "https://ä.test"]
    {
        assert_eq!(check(bad, "2021-10-01"), Err(DraftError::WebhookUrl), "{bad}");
    }
    for good in ["2018-09-01-preview", "2018-09-01", "2019-03-31"] {
        assert_eq!(check("https://a.test", good), Ok(()), "{good}");
    }
    for bad in ["2018-08-31", "2018-04-01", "", "latest", "2019-03-31x", "20190331--"] {
        let found = check("https://a.test", bad);
        assert_eq!(found, Err(DraftError::WebhookApiVersion), "{bad}");
    }
}

#[test]
fn what_is_left_out_gets_its_default() {
    let stored = with(SettingsDraft::default()).unwrap();
    assert_eq!(stored.provisioning_status, ProvisioningStatus::Enabled);
    assert_eq!(stored.reprovision_policy, Some(ReprovisionPolicy::DEFAULT));
    assert_eq!(stored.allocation_policy, None);
    assert_eq!(stored.iot_edge, None);
}

#[test]
fn r_20_a_reprovision_policy_is_stored_as_given_and_not_invented_for_old_clients() {
    let stored = |reprovision_policy| {
        with(SettingsDraft { reprovision_policy, ..SettingsDraft::default() })
            .unwrap()
            .reprovision_policy
    };
    let never = ReprovisionPolicy { update_hub_assignment: false, migrate_device_data: false };
    assert_eq!(stored(ReprovisionDraft::Given(never)), Some(never));
    assert_eq!(stored(ReprovisionDraft::LeftToDefault), Some(ReprovisionPolicy::DEFAULT));
    assert_eq!(stored(ReprovisionDraft::Unknown), None);
}

#[test]
fn disabled_is_stored() {
    let stored = with(SettingsDraft {
        provisioning_status: Some(ProvisioningStatus::Disabled),
        ..SettingsDraft::default()
    });
    assert!(!stored.unwrap().is_enabled());
}
