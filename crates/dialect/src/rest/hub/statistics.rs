//! How many devices there are, and how many are connected (§2.2).

use serde::Serialize;

/// `RegistryStatistics`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceStatisticsJson {
    /// All identities.
    pub total_device_count: u64,
    /// Those that may connect.
    pub enabled_device_count: u64,
    /// Those that may not.
    pub disabled_device_count: u64,
}

/// `ServiceStatistics`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatisticsJson {
    /// Devices with a live session.
    pub connected_device_count: u64,
}
