//! Registration records: what became of a device's claim.

use core::net::IpAddr;
use std::sync::Arc;

use attestation::SymmetricKey;
use attestation::tpm::{EndorsementKey, StorageRootKey};
use attestation::x509::Certificate;
use attestation::x509::issuing::SigningRequest;
use model::{DeviceId, Etag, HostName, RegistrationId, Sha256, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::enrollment::{EntryRef, Mechanism};
use crate::explain::Explanation;
use crate::issuance::Issued;
use crate::reprovision::Order;
use crate::view::{Evidence, RegistrationRequest, TpmEvidence};

/// A registration record; its key is the registration id, unique in the instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Registration {
    /// The claim, as the device spelled it when the record was made.
    pub registration_id: RegistrationId,
    /// The entry that let the device in last; a refusal never changes it (D-10).
    pub owner: EntryRef,
    /// The entry that decided the latest attempt.
    pub decided_by: EntryRef,
    /// What came of the latest attempt.
    pub status: RegistrationStatus,
    /// How the device came to its hub; with `assigned` only.
    pub substatus: Option<Substatus>,
    /// The last hub and device id; kept through refusals for the operator's eyes (D-10).
    pub assignment: Option<Assigned>,
    /// Why the latest attempt failed; with `failed` only.
    pub failure: Option<Failure>,
    /// JSON that a webhook handed to the device.
    pub payload: Option<Value>,
    /// What is still to be done, while `assigning`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// The latest attempt's operation.
    pub operation_id: String,
    /// Operations of a few attempts before, newest first: a device may still poll one of them.
    pub earlier_operation_ids: Vec<String>,
    /// What kind of evidence the latest attempt showed.
    pub mechanism: Mechanism,
    /// The operator's order to provision the device anew, until it has followed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reprovision: Option<Order>,
    /// When it was sent to a hub last; none for a record that is older than this member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_at: Option<Timestamp>,
    /// What a TPM was given at the latest attempt; none without one.
    #[serde(default)]
    pub tpm: Option<TpmRegistration>,
    /// The certificate that the device was given at its latest assignment, if it asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<Issued>,
    /// When the record was made.
    pub created: Timestamp,
    /// When it was written last.
    pub updated: Timestamp,
    /// Changes at every write.
    pub etag: Etag,
    /// Why the latest attempt came out as it did (D-15), with the chain as judged (D-08).
    pub explanation: Arc<Explanation>,
}

impl Registration {
    /// Whether it counts toward the quota: every record but one never assigned and refused (D-11).
    pub const fn counts(&self) -> bool {
        self.assignment.is_some()
    }

    /// Whether the operation is one of this record's.
    pub fn has_operation(&self, operation_id: &str) -> bool {
        self.operation_id == operation_id
            || self.earlier_operation_ids.iter().any(|id| id == operation_id)
    }
}

/// What a TPM was given, and what it polls with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TpmRegistration {
    /// The digest of its endorsement key's Name.
    pub endorsement_key: Sha256,
    /// The key of the challenge that it answered: good for polls, consumed for registering (D-25).
    pub challenge_key: SymmetricKey,
    /// Base64 of its hub key, wrapped for it; with `assigned` only.
    pub authentication_key: Option<String>,
}

/// What a registration that is under way needs to go on, also after a crash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// The protocol version that the device spoke.
    pub api_version: String,
    /// What the device sent along.
    pub payload: Option<Value>,
    /// The certificate that it wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr: Option<SigningRequest>,
    /// Where it called from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// What a TPM showed beside its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<ShownTpm>,
}

/// What a TPM shows when it registers and does not when it polls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownTpm {
    /// Base64 of the `TPM2B_PUBLIC`.
    pub endorsement_key: String,
    /// Base64 of the `TPM2B_PUBLIC`.
    pub storage_root_key: String,
    /// The endorsement certificate and those above it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
}

impl Pending {
    /// What is left to do of a call.
    pub fn of(request: &RegistrationRequest, evidence: &Evidence) -> Self {
        let tpm = match evidence {
            Evidence::Tpm(shown) => Some(ShownTpm {
                endorsement_key: shown.endorsement_key.to_base64(),
                storage_root_key: shown.storage_root_key.to_base64(),
                certificates: shown.certificates.clone(),
            }),
            Evidence::None | Evidence::X509(_) | Evidence::Sas(_) => None,
        };
        Self {
            api_version: request.api_version.clone(),
            payload: request.payload.clone(),
            csr: request.csr.clone(),
            from: request.from,
            tpm,
        }
    }

    /// The evidence to go on with, of a poll that was believed; none where a TPM's keys were not
    /// kept, or are none any more by today's rules.
    pub fn evidence(&self, polled: &Evidence, mechanism: Mechanism) -> Option<Evidence> {
        match (&self.tpm, polled, mechanism) {
            (Some(shown), Evidence::Sas(token), _) => Some(Evidence::Tpm(Box::new(TpmEvidence {
                endorsement_key: EndorsementKey::from_base64(&shown.endorsement_key).ok()?,
                storage_root_key: StorageRootKey::from_base64(&shown.storage_root_key).ok()?,
                certificates: shown.certificates.clone(),
                token: Some(token.clone()),
            }))),
            (None, _, Mechanism::X509 | Mechanism::SymmetricKey) => Some(polled.clone()),
            (Some(_), Evidence::None | Evidence::X509(_) | Evidence::Tpm(_), _)
            | (None, _, Mechanism::Tpm) => None,
        }
    }
}

/// The status words of the wire, lower case there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RegistrationStatus {
    /// Never sent to a device: C reads it as a TPM challenge.
    Unassigned,
    /// Under way.
    Assigning,
    /// On a hub.
    Assigned,
    /// Let in, but something else went wrong.
    Failed,
    /// Refused by a disabled entry.
    Disabled,
}

/// How an assigned device came to its hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Substatus {
    /// For the first time; for old api-versions, also to the hub where it already was.
    InitialAssignment,
    /// Moved, its twin taken along.
    DeviceDataMigrated,
    /// Moved or kept, its twin set to the entry's initial one.
    DeviceDataReset,
    /// To the hub where it already was, its data left as they are.
    ReprovisionedToInitialAssignment,
}

/// Where a device is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assigned {
    /// The hub's host name.
    pub hub: HostName,
    /// Its id there.
    pub device_id: DeviceId,
}

/// Why an admitted device was not assigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// A sentence for the developer.
    pub message: String,
}

/// What can go wrong after a device was let in; the wire's number is the dialect's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureKind {
    /// The custom allocation failed (W-06).
    CustomAllocation,
    /// No hub to choose from, or the wanted one is not linked (L-06, L-08).
    NoHub,
    /// The hub refused the service (L-13).
    HubRefused,
    /// The instance holds as many registrations as it may (D-16).
    QuotaReached,
    /// The certificate that the device asks for can not be issued, or its issuer was revoked.
    Issuance,
}

/// A certificate of a chain, as judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainMember {
    /// SHA-256 of the certificate.
    pub thumbprint: Sha256,
    /// SHA-256 of its public key.
    pub public_key: Sha256,
    /// Its subject.
    pub subject: String,
    /// Its serial number, upper-case hexadecimal.
    pub serial: String,
}
