//! Enrollments: the operator's rules for who may register, and how.

use attestation::SymmetricKey;
use attestation::x509::Certificate;
use model::{
    CertificateName, DeviceId, EnrollmentGroupId, Etag, HostName, RegistrationId, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::reprovision::Order;

/// An individual enrollment: one device may register.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Individual {
    /// The claim that it answers to.
    pub registration_id: RegistrationId,
    /// The device id on the hub; the registration id where there is none (T-04).
    pub device_id: Option<DeviceId>,
    /// What the device must show.
    pub attestation: IndividualAttestation,
    /// What it gets.
    pub settings: Settings,
    /// Free JSON of the operator's, returned as stored.
    pub optional_device_information: Option<Value>,
    /// Versions and times.
    pub stamp: Stamp,
}

/// An enrollment group: every device that shows evidence of the group's kind may register.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// The group's id.
    pub id: EnrollmentGroupId,
    /// What a member must show.
    pub attestation: GroupAttestation,
    /// What it gets.
    pub settings: Settings,
    /// The operator's order to provision its devices anew, each at its next registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reprovision: Option<Order>,
    /// Versions and times.
    pub stamp: Stamp,
}

/// The version and the times of a stored entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Changes at every write.
    pub etag: Etag,
    /// When the entry was created; tells it from an earlier one of the same id.
    pub created: Timestamp,
    /// When it was written last.
    pub updated: Timestamp,
}

/// A primary and a secondary credential; either may be absent, not both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots<T> {
    /// The first.
    pub primary: Option<T>,
    /// The second, equally valid (M-21).
    pub secondary: Option<T>,
}

impl<T> Slots<T> {
    /// The filled slots, primary first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.primary.iter().chain(self.secondary.iter())
    }

    /// Whether neither slot is filled.
    pub const fn is_empty(&self) -> bool {
        self.primary.is_none() && self.secondary.is_none()
    }
}

/// Two symmetric keys, both valid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyPair {
    /// The first.
    pub primary: SymmetricKey,
    /// The second.
    pub secondary: SymmetricKey,
}

/// What the device of an individual enrollment must show.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IndividualAttestation {
    /// One of these very certificates.
    ClientCertificates(Slots<Certificate>),
    /// A chain that holds one of these CA certificates of the instance.
    CaReferences(Slots<CertificateName>),
    /// A token that one of the keys signed.
    SymmetricKey(KeyPair),
    /// A TPM with this endorsement key.
    Tpm {
        /// Base64 of the `TPM2B_PUBLIC`.
        endorsement_key: String,
        /// Base64 of the `TPM2B_PUBLIC`; not checked (M-24).
        storage_root_key: Option<String>,
    },
}

/// What a member of an enrollment group must show.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GroupAttestation {
    /// A chain that holds one of these certificates.
    SigningCertificates(Slots<Certificate>),
    /// A chain that holds one of these CA certificates of the instance.
    CaReferences(Slots<CertificateName>),
    /// A token signed by a key that is derived from one of these.
    SymmetricKey(KeyPair),
    /// A TPM whose endorsement certificate has a chain that holds one of these certificates.
    MakerCertificates(Slots<Certificate>),
    /// A TPM whose endorsement certificate has a chain that holds one of these CA certificates of
    /// the instance.
    MakerReferences(Slots<CertificateName>),
}

/// What the certificates below a group's CAs are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certified {
    /// The key that a device shows in TLS.
    DeviceKey,
    /// The endorsement key of a TPM; ours, see `docs/decisions/0007`.
    EndorsementKey,
}

/// The kind of evidence that an entry asks for, as the wire names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mechanism {
    /// A certificate chain.
    X509,
    /// A SAS token.
    SymmetricKey,
    /// A TPM.
    Tpm,
}

impl IndividualAttestation {
    /// The kind of evidence.
    pub const fn mechanism(&self) -> Mechanism {
        match self {
            Self::ClientCertificates(_) | Self::CaReferences(_) => Mechanism::X509,
            Self::SymmetricKey(_) => Mechanism::SymmetricKey,
            Self::Tpm { .. } => Mechanism::Tpm,
        }
    }
}

impl GroupAttestation {
    /// The kind of evidence, as the entry's document names it: makers of TPMs are known by
    /// certificates.
    pub const fn mechanism(&self) -> Mechanism {
        match self {
            Self::SigningCertificates(_)
            | Self::CaReferences(_)
            | Self::MakerCertificates(_)
            | Self::MakerReferences(_) => Mechanism::X509,
            Self::SymmetricKey(_) => Mechanism::SymmetricKey,
        }
    }

    /// What the certificates below its CAs are for; none without CAs.
    pub const fn certifies(&self) -> Option<Certified> {
        match self {
            Self::SigningCertificates(_) | Self::CaReferences(_) => Some(Certified::DeviceKey),
            Self::MakerCertificates(_) | Self::MakerReferences(_) => {
                Some(Certified::EndorsementKey)
            }
            Self::SymmetricKey(_) => None,
        }
    }
}

/// Whether an entry lets devices in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProvisioningStatus {
    /// Devices that show the evidence are provisioned.
    #[default]
    Enabled,
    /// Devices that show the evidence are refused.
    Disabled,
}

/// What happens when an already assigned device registers again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReprovisionPolicy {
    /// Allocate again; otherwise the device stays where it is.
    pub update_hub_assignment: bool,
    /// Take the twin along; otherwise the entry's initial twin is applied again.
    pub migrate_device_data: bool,
}

impl ReprovisionPolicy {
    /// Reprovision and migrate: the policy of an entry that names none.
    pub const DEFAULT: Self = Self { update_hub_assignment: true, migrate_device_data: true };
}

/// How a hub is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AllocationPolicy {
    /// Evenly by the hubs' weights, the same for the same registration id (D-26).
    Hashed,
    /// The nearest hub.
    GeoLatency,
    /// The one hub of the entry.
    Static,
    /// A webhook of the operator's says.
    Custom,
}

/// Where a custom allocation is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomAllocation {
    /// An absolute https address.
    pub webhook_url: String,
    /// The version of the request's form.
    pub api_version: String,
}

/// What both kinds of enrollment give to their devices.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Whether devices are let in.
    pub provisioning_status: ProvisioningStatus,
    /// What a further registration does for an absent one.
    pub reprovision_policy: Option<ReprovisionPolicy>,
    /// How the hub is chosen; the instance's default where there is none (L-01).
    pub allocation_policy: Option<AllocationPolicy>,
    /// The hubs to choose from; all linked ones where there is none (L-02).
    pub iot_hubs: Vec<HostName>,
    /// The single hub of old clients (L-12).
    pub iot_hub_host_name: Option<HostName>,
    /// Where a custom allocation is asked for.
    pub custom_allocation: Option<CustomAllocation>,
    /// The first twin, `{tags, properties: {desired}}`, as the operator gave it (T-02).
    pub initial_twin: Option<Map<String, Value>>,
    /// Whether devices are IoT Edge devices (T-03); as given, absent included.
    pub iot_edge: Option<bool>,
    /// A name of the 2025-07-01-preview, stored and returned.
    pub credential_policy_name: Option<String>,
}

impl Settings {
    /// Whether the entry lets devices in.
    pub fn is_enabled(&self) -> bool {
        self.provisioning_status == ProvisioningStatus::Enabled
    }
}

/// Names one entry, and tells it from an earlier one of the same id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryRef {
    /// Which entry.
    pub id: EntryId,
    /// When it was created.
    pub created: Timestamp,
}

/// The id of an entry of either kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EntryId {
    /// An individual enrollment.
    Individual(RegistrationId),
    /// An enrollment group.
    Group(EnrollmentGroupId),
}

impl std::fmt::Display for EntryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Individual(id) => write!(f, "individual enrollment {id}"),
            Self::Group(id) => write!(f, "enrollment group {id}"),
        }
    }
}

/// An entry of either kind, borrowed, for what both share.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'v> {
    /// An individual enrollment.
    Individual(&'v Individual),
    /// An enrollment group.
    Group(&'v Group),
}

impl<'v> Entry<'v> {
    /// What the entry gives.
    pub const fn settings(self) -> &'v Settings {
        match self {
            Self::Individual(entry) => &entry.settings,
            Self::Group(entry) => &entry.settings,
        }
    }

    /// The entry's version.
    pub const fn etag(self) -> &'v Etag {
        match self {
            Self::Individual(entry) => &entry.stamp.etag,
            Self::Group(entry) => &entry.stamp.etag,
        }
    }

    /// Names the entry.
    pub fn reference(self) -> EntryRef {
        match self {
            Self::Individual(entry) => EntryRef {
                id: EntryId::Individual(entry.registration_id.clone()),
                created: entry.stamp.created,
            },
            Self::Group(entry) => {
                EntryRef { id: EntryId::Group(entry.id.clone()), created: entry.stamp.created }
            }
        }
    }

    /// The device id that a device of this entry gets (T-04).
    pub fn device_id(self, registration_id: &RegistrationId) -> DeviceId {
        match self {
            Self::Individual(Individual { device_id: Some(device_id), .. }) => device_id.clone(),
            Self::Individual(_) | Self::Group(_) => DeviceId::from(registration_id),
        }
    }
}
