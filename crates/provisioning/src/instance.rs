//! One provisioning service: its names, its linked hubs, its CA certificates, its limits.

use std::collections::BTreeMap;

use attestation::SymmetricKey;
use attestation::access::Policy;
use attestation::network::{Network, NetworkAccess};
use attestation::x509::Certificate;
use model::{
    CertificateName, Etag, HostName, IdScope, PolicyName, RegionName, ServiceName, Timestamp,
    VerificationCode,
};
use serde::{Deserialize, Serialize};

use crate::enrollment::{AllocationPolicy, EntryRef};
use crate::issuance::Issuance;
use crate::quota::Quota;

/// A provisioning service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dps {
    /// Its name.
    pub name: ServiceName,
    /// The tenant's id on the device wire.
    pub id_scope: IdScope,
    /// The host that its devices and operators reach it by.
    pub host: HostName,
    /// How a hub is chosen where the entry does not say (L-01).
    pub allocation_policy: AllocationPolicy,
    /// The hubs that devices can be sent to.
    pub linked_hubs: Vec<LinkedHub>,
    /// Who may use the service API.
    pub policies: Vec<Policy<Right>>,
    /// From where it may be called (S-75).
    #[serde(default)]
    pub network: NetworkAccess,
    /// Counts that may not be passed.
    pub quota: Quota,
    /// What the challenges of TPMs are derived from (D-25); none until the first TPM shows itself.
    #[serde(default)]
    pub challenge_secret: Option<SymmetricKey>,
    /// Entries whose devices may show certificates that have expired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expiry_exceptions: Vec<ExpiryException>,
    /// What certificates are issued by while registering.
    #[serde(default)]
    pub issuance: Issuance,
    /// Where devices may be, for the nearest hub (L-05).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
    /// When it was made.
    pub created: Timestamp,
}

/// A region: devices whose addresses are in its networks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Its name.
    pub name: RegionName,
    /// The addresses of the devices in it.
    pub networks: Vec<Network>,
}

/// An operator's exception: until an instant, the devices of one entry are judged as if none of
/// their certificates could expire. It is there so that a fleet which was left too long can come
/// and get new ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryException {
    /// The entry; one that is made anew under the same id is another.
    pub entry: EntryRef,
    /// When it ends, by itself.
    pub until: Timestamp,
    /// Why it was made, in the operator's words.
    pub reason: String,
}

impl ExpiryException {
    /// Whether it is in force.
    pub fn holds_at(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

/// What a policy of a provisioning service grants.
///
/// Source: `dps-service-api` K-10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Right {
    /// Reads and writes the service's own settings.
    ServiceConfig,
    /// Reads enrollments.
    EnrollmentRead,
    /// Reads and writes enrollments.
    EnrollmentWrite,
    /// Registration status, read and write (K-11).
    DeviceConnect,
    /// Reads registration records.
    RegistrationStatusRead,
    /// Reads and deletes registration records.
    RegistrationStatusWrite,
}

/// Whether rights grant what is needed: a write implies its read, and `DeviceConnect` covers
/// registration status (K-11).
pub fn grants(rights: &[Right], needed: Right) -> bool {
    let implied_by = |right: &Right| match needed {
        Right::EnrollmentRead => {
            matches!(right, Right::EnrollmentRead | Right::EnrollmentWrite)
        }
        Right::RegistrationStatusRead => matches!(
            right,
            Right::RegistrationStatusRead | Right::RegistrationStatusWrite | Right::DeviceConnect
        ),
        Right::RegistrationStatusWrite => {
            matches!(right, Right::RegistrationStatusWrite | Right::DeviceConnect)
        }
        Right::ServiceConfig | Right::EnrollmentWrite | Right::DeviceConnect => *right == needed,
    };
    rights.iter().any(implied_by)
}

/// A hub that a provisioning service may send devices to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedHub {
    /// The hub's host name.
    pub host: HostName,
    /// 1..=1000: its share in a hashed allocation (L-03).
    pub allocation_weight: u32,
    /// Whether an allocation may choose it (L-02).
    pub apply_allocation_policy: bool,
    /// How its registry is reached where it is no hub of this server; none for one that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteHub>,
    /// Milliseconds from a region to the hub, as the operator knows them (L-05).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub latencies: BTreeMap<RegionName, u32>,
}

/// The registry of a hub that lives elsewhere, as its connection string names it (L-11).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoteHub {
    /// Host, and port where it is not 443: where to call, and the resource of tokens (K-14).
    pub authority: String,
    /// The policy there; it needs `RegistryWrite` and `ServiceConnect`.
    pub policy: PolicyName,
    /// The policy's key.
    pub key: SymmetricKey,
}

impl PartialEq for RemoteHub {
    fn eq(&self, other: &Self) -> bool {
        self.authority == other.authority
            && self.policy == other.policy
            && self.key.same_as(&other.key)
    }
}

impl Eq for RemoteHub {}

impl LinkedHub {
    /// The same as long as the link says the same; its key is not in it.
    pub fn etag(&self) -> Etag {
        let Self { host, allocation_weight, apply_allocation_policy, remote, latencies } = self;
        let remote = remote.as_ref().map(|remote| (&remote.authority, &remote.policy));
        etag_of(&(host, allocation_weight, apply_allocation_policy, remote, latencies))
    }
}

fn etag_of(shown: &impl Serialize) -> Etag {
    let text = serde_json::to_vec(shown).unwrap_or_default();
    Etag::new(&attestation::sha256(&text).to_string())
}

impl Dps {
    /// The same as long as operators are shown the same of it. No key is in it, nor what has etags
    /// of its own, so that a change of those does not overtake one of this.
    pub fn etag(&self) -> Etag {
        let links: Vec<Etag> = self.linked_hubs.iter().map(LinkedHub::etag).collect();
        let Self { id_scope, host, allocation_policy, network, quota, regions, created, .. } = self;
        etag_of(&(id_scope, host, allocation_policy, links, network, quota, regions, created))
    }

    /// How the registry of a linked hub is reached; none for a hub of this server, or one that is
    /// not linked.
    pub fn remote(&self, hub: &HostName) -> Option<&RemoteHub> {
        self.linked_hubs.iter().find(|linked| linked.host == *hub)?.remote.as_ref()
    }
}

/// A CA certificate of an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaCertificate {
    /// Its name in the instance.
    pub name: CertificateName,
    /// The certificate.
    pub certificate: Certificate,
    /// Whether possession of its key was proven, or vouched for by the operator (C-03).
    pub verified: bool,
    /// What a proof of possession has to name, once one was asked for (C-01).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<VerificationCode>,
    /// Changes at every write.
    pub etag: Etag,
    /// When it was uploaded first.
    pub created: Timestamp,
    /// When it was written last.
    pub updated: Timestamp,
}
