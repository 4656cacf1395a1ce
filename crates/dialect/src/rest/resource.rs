//! How events and resource logs name what they are of: as Azure Resource Manager does.

use model::ServiceName;

/// What stands where Azure has a subscription and a resource group; Muster has neither.
const GROUP: &str = "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000/RESOURCEGROUPS/MUSTER";

/// The resource id of a hub. Source: the samples of `event-schema-iot-hub.md`.
pub fn hub_id(name: &ServiceName) -> String {
    format!("{GROUP}/PROVIDERS/MICROSOFT.DEVICES/IOTHUBS/{}", name.as_str().to_ascii_uppercase())
}

/// The resource id of a provisioning service. Source: the samples of
/// `monitor-iot-dps-reference.md`.
pub fn dps_id(name: &ServiceName) -> String {
    let name = name.as_str().to_ascii_uppercase();
    format!("{GROUP}/PROVIDERS/MICROSOFT.DEVICES/PROVISIONINGSERVICES/{name}")
}
