//! Device identities: the entries of a hub's registry.

use attestation::SymmetricKey;
use model::{DeviceId, RegistrationId, ServiceName, Sha1Thumbprint, Sha256, Timestamp};
use serde::{Deserialize, Serialize};

/// A device identity. Source: `iot-hub` §2.3.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Device {
    /// Its id, case kept.
    pub device_id: DeviceId,
    /// .NET ticks at creation: tells it from an earlier identity of the same id.
    pub generation_id: i64,
    /// Grows by one with every write; its etag.
    pub version: u64,
    /// Whether it may connect.
    pub status: DeviceStatus,
    /// Words of the operator's, at most 128 characters.
    pub status_reason: Option<String>,
    /// When the status changed last.
    pub status_updated: Timestamp,
    /// What it shows when it connects.
    pub authentication: Authentication,
    /// Whether it is an IoT Edge device.
    pub iot_edge: bool,
    /// The edge scope, given by the hub to edge devices and by operators to leaf devices.
    pub device_scope: Option<String>,
    /// Scopes above, for nested edge.
    pub parent_scopes: Vec<String>,
    /// The provisioning service that made it; none for one that an operator made.
    pub origin: Option<Origin>,
    /// The certificates among its own that a provisioning service has issued, the latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issued: Vec<IssuedCertificate>,
    /// When it was made.
    pub created: Timestamp,
}

/// A certificate that a provisioning service has issued: good only as long as its issuer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuedCertificate {
    /// SHA-256 of the certificate.
    pub thumbprint: Sha256,
    /// The provisioning service.
    pub dps: ServiceName,
    /// The issuing CA, as the provisioning service tells it from every other one.
    pub issuer: String,
}

/// Where an identity came from (D-08).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// The provisioning service.
    pub dps: ServiceName,
    /// The claim that it provisioned.
    pub registration_id: RegistrationId,
    /// SHA-256 of every certificate of the chain as judged, leaf first.
    pub thumbprints: Vec<Sha256>,
    /// SHA-256 of every public key of the chain, leaf first.
    pub public_keys: Vec<Sha256>,
}

/// Whether an identity may connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeviceStatus {
    /// It may.
    #[default]
    Enabled,
    /// It may not.
    Disabled,
}

/// What a device shows when it connects. Source: `iot-hub` §1.4.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Authentication {
    /// Tokens signed with one of two keys.
    Sas {
        /// The first key.
        primary: SymmetricKey,
        /// The second key.
        secondary: SymmetricKey,
    },
    /// One of two certificates, known by thumbprint; no chain is looked at.
    SelfSigned {
        /// The first.
        primary: Option<Thumbprint>,
        /// The second.
        secondary: Option<Thumbprint>,
    },
    /// A certificate that a CA of the hub signed.
    CertificateAuthority,
    /// Nothing: it can not connect.
    None,
}

/// A thumbprint of either length, as the registry takes both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Thumbprint {
    /// 40 hexadecimal digits.
    Sha1(Sha1Thumbprint),
    /// 64 hexadecimal digits.
    Sha256(Sha256),
}

impl Thumbprint {
    /// Reads 40 or 64 hexadecimal digits of either case.
    pub fn parse(text: &str) -> Option<Self> {
        Sha1Thumbprint::parse(text)
            .map(Self::Sha1)
            .or_else(|_| Sha256::parse(text).map(Self::Sha256))
            .ok()
    }
}

impl std::fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sha1(hash) => write!(f, "{hash}"),
            Self::Sha256(hash) => write!(f, "{hash}"),
        }
    }
}

impl Device {
    /// An identity that an operator makes.
    pub fn new(device_id: DeviceId, authentication: Authentication, now: Timestamp) -> Self {
        Self {
            device_id,
            generation_id: now.dotnet_ticks(),
            version: first_version(now),
            status: DeviceStatus::Enabled,
            status_reason: None,
            status_updated: Timestamp::ZERO,
            authentication,
            iot_edge: false,
            device_scope: None,
            parent_scopes: Vec::new(),
            origin: None,
            issued: Vec::new(),
            created: now,
        }
    }
}

/// Where a new identity begins to count: by the clock, so that the etag of an earlier identity of
/// the same id is none of its own.
fn first_version(now: Timestamp) -> u64 {
    let milliseconds = now.unix_ticks().div_euclid(10_000).rem_euclid(1_000_000_000);
    u64::try_from(milliseconds).unwrap_or_default().saturating_add(1)
}
