//! One hub: its names and its shared access policies.

use attestation::access::Policy;
use attestation::network::NetworkAccess;
use model::{Etag, HostName, ServiceName, Timestamp};
use serde::{Deserialize, Serialize};

/// A hub.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hub {
    /// Its name.
    pub name: ServiceName,
    /// The host that its devices and operators reach it by.
    pub host: HostName,
    /// Who may use the service API.
    pub policies: Vec<Policy<Right>>,
    /// From where it may be called.
    #[serde(default)]
    pub network: NetworkAccess,
    /// When it was made.
    pub created: Timestamp,
}

impl Hub {
    /// The same as long as operators are shown the same of it; no key is in it.
    pub fn etag(&self) -> Etag {
        let shown = (&self.host, &self.network, &self.created);
        let text = serde_json::to_vec(&shown).unwrap_or_default();
        Etag::new(&attestation::sha256(&text).to_string())
    }
}

/// What a policy of a hub grants. Source: `iot-hub` §1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Right {
    /// Reads identities.
    RegistryRead,
    /// Creates, changes and deletes identities.
    RegistryWrite,
    /// Twins, methods, commands, telemetry.
    ServiceConnect,
    /// The device side, as any device.
    DeviceConnect,
}

/// Whether rights grant what is needed; a write implies its read.
pub fn grants(rights: &[Right], needed: Right) -> bool {
    rights.iter().any(|right| {
        *right == needed || (needed == Right::RegistryRead && *right == Right::RegistryWrite)
    })
}
