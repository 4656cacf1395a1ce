//! What a decision is made of: one snapshot of the store, and what the device showed.

use core::net::IpAddr;
use std::sync::Arc;

use attestation::sas::SasToken;
use attestation::tpm::{EndorsementKey, StorageRootKey};
use attestation::x509::Certificate;
use attestation::x509::issuing::SigningRequest;
use model::{RegistrationId, Revision, Sha256};
use serde::{Deserialize, Serialize};

use crate::enrollment::{Entry, EntryRef, Group, Individual};
use crate::instance::{CaCertificate, Dps};
use crate::registration::Registration;

/// A row with the revision that it was read at.
#[derive(Clone, Debug)]
pub struct Versioned<T> {
    /// The row.
    pub value: T,
    /// Its revision.
    pub revision: Revision,
}

/// The part of the store that all registrations of an instance share.
///
/// `generation` changes with every write to the instance, its groups or its CA certificates, and
/// a commit rests on it as a whole: a group that appears is as good a reason to judge again as
/// one that changes.
#[derive(Clone, Debug)]
pub struct InstanceView {
    /// The instance.
    pub dps: Dps,
    /// Its groups, oldest first.
    pub groups: Vec<Versioned<Group>>,
    /// Its CA certificates, oldest first.
    pub ca_certificates: Vec<Versioned<CaCertificate>>,
    /// The revision of all this together.
    pub generation: Revision,
}

/// One snapshot for one registration.
#[derive(Clone, Debug)]
pub struct RegistrationView {
    /// What all registrations of the instance share.
    pub instance: Arc<InstanceView>,
    /// The individual enrollment of the presented id (M-02).
    pub individual_by_id: Option<Versioned<Individual>>,
    /// Every individual enrollment that holds the presented leaf (M-03) or endorsement key, oldest
    /// first; the one found by id may be among them.
    pub individuals_by_leaf: Vec<Versioned<Individual>>,
    /// The record of the presented id.
    pub registration: Option<Versioned<Registration>>,
    /// How many records count toward the quota (D-11).
    pub registrations_counted: u64,
    /// How many records of the instance were ever deleted.
    pub registrations_deleted: u64,
}

impl RegistrationView {
    /// The entry of this name, if it is still the one that it was.
    pub fn entry(&self, named: &EntryRef) -> Option<Entry<'_>> {
        let individuals = self.individual_by_id.iter().chain(&self.individuals_by_leaf);
        let groups = self.instance.groups.iter().map(|found| &found.value);
        individuals
            .map(|found| Entry::Individual(&found.value))
            .chain(groups.map(Entry::Group))
            .find(|found| found.reference() == *named)
    }
}

/// What a device showed; not yet believed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Evidence {
    /// Neither a certificate nor a token.
    None,
    /// A certificate chain, leaf first, never empty; TLS has proven that the device holds the
    /// leaf's private key.
    X509(Vec<Certificate>),
    /// A SAS token.
    Sas(SasToken),
    /// A TPM, which has yet to prove itself or does so with a token.
    Tpm(Box<TpmEvidence>),
}

impl Evidence {
    /// The hash by which individual enrollments that hold it are found, see
    /// [`crate::draft::claims_of`].
    pub fn claim(&self) -> Option<Sha256> {
        match self {
            Self::X509(presented) => presented.first().map(Certificate::content_hash),
            Self::Tpm(shown) => Some(shown.endorsement_key.name().digest()),
            Self::None | Self::Sas(_) => None,
        }
    }
}

/// A TPM as a device shows it when it registers (M-24).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TpmEvidence {
    /// The key that the TPM is known by.
    pub endorsement_key: EndorsementKey,
    /// The key that others are imported under; any will do.
    pub storage_root_key: StorageRootKey,
    /// The endorsement certificate and intermediates above it; empty where the device shows none,
    /// as standard SDKs do.
    pub certificates: Vec<Certificate>,
    /// The answer to a challenge; none at the first call.
    pub token: Option<SasToken>,
}

/// What a device asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegistrationRequest {
    /// The claim, as presented.
    pub registration_id: RegistrationId,
    /// The protocol version that the device speaks, `YYYY-MM-DD` and perhaps `-preview`.
    pub api_version: String,
    /// JSON of the device's for a custom allocation.
    pub payload: Option<serde_json::Value>,
    /// The certificate that it wants, if it wants one.
    pub csr: Option<SigningRequest>,
    /// Where the device calls from, if that is known.
    pub from: Option<IpAddr>,
}
