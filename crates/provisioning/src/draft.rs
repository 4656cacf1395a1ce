//! What an operator asks of an enrollment, and the rules that make an entry of it.
//!
//! A draft is the request as it came, sorted by meaning: ids of the address are parsed, all else
//! is still text. [`individual`] and [`group`] apply the rules V-01 to V-30 and and
//! give the entry to store, or the first rule that the draft breaks.
//!
//! Source of the rule numbers: `dps-service-api` §1.9 and §1.10.

mod attestation;
mod error;
mod settings;
#[cfg(test)]
mod tests;

use ::attestation::SymmetricKey;
use ::attestation::tpm::EndorsementKey;
use model::{DeviceId, EnrollmentGroupId, RegistrationId, Secret, Sha256};
use serde_json::{Map, Value};

use crate::enrollment::{
    AllocationPolicy, Certified, EntryId, Group, GroupAttestation, Individual,
    IndividualAttestation, Mechanism, ProvisioningStatus, ReprovisionPolicy, Slots, Stamp,
};
use crate::view::InstanceView;

pub use error::{DraftError, Slot, X509Member};

/// An individual enrollment as asked for.
#[derive(Clone, Debug)]
pub struct IndividualDraft {
    /// The id that was addressed.
    pub registration_id: RegistrationId,
    /// The id that the document names, if it names one (V-05).
    pub named: Option<String>,
    /// The device id on the hub; empty is absent.
    pub device_id: Option<String>,
    /// What the device must show.
    pub attestation: AttestationDraft,
    /// What it gets.
    pub settings: SettingsDraft,
    /// Free JSON of the operator's.
    pub optional_device_information: Option<Value>,
}

/// An enrollment group as asked for.
#[derive(Clone, Debug)]
pub struct GroupDraft {
    /// The id that was addressed.
    pub id: EnrollmentGroupId,
    /// The id that the document names, if it names one (V-05).
    pub named: Option<String>,
    /// What a member must show.
    pub attestation: AttestationDraft,
    /// What it gets.
    pub settings: SettingsDraft,
}

/// What must be shown, as asked for: a mechanism, and the members that describe it.
///
/// More or fewer members than the mechanism has can be given; V-06 refuses them.
#[derive(Clone, Debug)]
pub struct AttestationDraft {
    /// The mechanism that the document names.
    pub mechanism: Mechanism,
    /// The member of a TPM.
    pub tpm: Option<TpmDraft>,
    /// The member of certificates.
    pub x509: Option<X509Draft>,
    /// The member of symmetric keys.
    pub symmetric_key: Option<KeysDraft>,
}

/// A TPM as asked for.
#[derive(Clone, Debug, Default)]
pub struct TpmDraft {
    /// Base64 of the `TPM2B_PUBLIC`.
    pub endorsement_key: Option<String>,
    /// Base64 of the `TPM2B_PUBLIC`.
    pub storage_root_key: Option<String>,
}

/// Certificates as asked for; one member only may be given (V-06).
#[derive(Clone, Debug, Default)]
pub struct X509Draft {
    /// Leaf certificates, of individuals (V-08).
    pub client_certificates: Option<Slots<CertificateDraft>>,
    /// CA certificates, of groups (V-09).
    pub signing_certificates: Option<Slots<CertificateDraft>>,
    /// Names of CA certificates of the instance.
    pub ca_references: Option<Slots<String>>,
    /// What certificates below a group's CAs are for; as it was where absent, so that a client
    /// which does not know of it takes nothing away, and device keys for a new group.
    pub certifies: Option<Certified>,
}

/// What a certificate slot was sent as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateDraft {
    /// A certificate, in any of the encodings of V-13.
    Uploaded(Vec<u8>),
    /// Only what the service had said of a stored certificate: keep that one.
    Kept {
        /// The SHA-256 thumbprint, in hexadecimal digits as sent.
        thumbprint: String,
    },
}

/// Symmetric keys as asked for; an absent or empty one is kept or generated (V-16, V-17, A-47).
#[derive(Clone, Debug, Default)]
pub struct KeysDraft {
    /// Base64.
    pub primary: Option<Secret<String>>,
    /// Base64.
    pub secondary: Option<Secret<String>>,
}

/// What both kinds of enrollment give, as asked for.
#[derive(Clone, Debug, Default)]
pub struct SettingsDraft {
    /// Whether devices are let in; enabled where absent.
    pub provisioning_status: Option<ProvisioningStatus>,
    /// What a further registration does.
    pub reprovision_policy: ReprovisionDraft,
    /// How the hub is chosen.
    pub allocation_policy: Option<AllocationPolicy>,
    /// Host names of the hubs to choose from.
    pub iot_hubs: Vec<String>,
    /// The single hub of old clients; empty is absent.
    pub iot_hub_host_name: Option<String>,
    /// Where a custom allocation is asked for.
    pub custom_allocation: Option<CustomAllocationDraft>,
    /// The first twin, kept to the letter.
    pub initial_twin: Option<Map<String, Value>>,
    /// Whether devices are IoT Edge devices.
    pub iot_edge: Option<bool>,
    /// A name of the 2025-07-01-preview.
    pub credential_policy_name: Option<String>,
}

/// A reprovision policy as asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReprovisionDraft {
    /// This one.
    Given(ReprovisionPolicy),
    /// None, by a client that knows of them: the default is stored.
    #[default]
    LeftToDefault,
    /// None, by a client older than 2018-09-01, which knows none: none is stored.
    Unknown,
}

/// A custom allocation as asked for; both texts are demanded (V-18).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomAllocationDraft {
    /// An absolute https address.
    pub webhook_url: Option<String>,
    /// The version of the request's form.
    pub api_version: Option<String>,
}

/// Makes the individual enrollment that a draft asks for.
///
/// `keys` gives fresh symmetric keys; it is called once for each key that must be generated.
/// Uniqueness among individuals needs the store: see [`claims_of`].
///
/// # Errors
/// The first rule that the draft breaks.
pub fn individual(
    draft: &IndividualDraft,
    existing: Option<&Individual>,
    instance: &InstanceView,
    keys: &mut dyn FnMut() -> SymmetricKey,
    stamp: Stamp,
) -> Result<Individual, DraftError> {
    names_itself(draft.registration_id.key(), draft.named.as_deref())?;
    let device_id = match draft.device_id.as_deref() {
        None | Some("") => None,
        Some(given) => Some(
            DeviceId::parse(given)
                .map_err(|because| DraftError::DeviceId { given: given.to_owned(), because })?,
        ),
    };
    let attestation = attestation::individual(
        &draft.attestation,
        existing.map(|existing| &existing.attestation),
        instance,
        keys,
    )?;
    let fresh = Individual {
        registration_id: draft.registration_id.clone(),
        device_id,
        attestation,
        settings: settings::settings(&draft.settings, instance)?,
        optional_device_information: draft.optional_device_information.clone(),
        stamp,
    };
    let own = EntryId::Individual(draft.registration_id.clone());
    attestation::free_of_groups(&claims_of(&fresh), &own, instance)?;
    Ok(fresh)
}

/// Makes the enrollment group that a draft asks for.
///
/// `keys` gives fresh symmetric keys; it is called once for each key that must be generated.
/// That no individual holds one of its certificates needs the store: see
/// [`signing_certificates_of`].
///
/// # Errors
/// The first rule that the draft breaks.
pub fn group(
    draft: &GroupDraft,
    existing: Option<&Group>,
    instance: &InstanceView,
    keys: &mut dyn FnMut() -> SymmetricKey,
    stamp: Stamp,
) -> Result<Group, DraftError> {
    names_itself(draft.id.key(), draft.named.as_deref())?;
    let attestation = attestation::group(
        &draft.attestation,
        existing.map(|existing| &existing.attestation),
        instance,
        keys,
    )?;
    let own = EntryId::Group(draft.id.clone());
    let claimed = attestation::claimed_by(&attestation, instance);
    attestation::free_of_groups(&claimed, &own, instance)?;
    Ok(Group {
        id: draft.id.clone(),
        attestation,
        settings: settings::settings(&draft.settings, instance)?,
        reprovision: existing.and_then(|existing| existing.reprovision),
        stamp,
    })
}

/// Hashes of what an individual enrollment alone may hold in its instance: the contents of its
/// client certificates (V-12), the Name's digest of its endorsement key (V-30).
pub fn claims_of(individual: &Individual) -> Vec<Sha256> {
    match &individual.attestation {
        IndividualAttestation::ClientCertificates(slots) => attestation::contents(slots),
        IndividualAttestation::Tpm { endorsement_key, .. } => {
            EndorsementKey::from_base64(endorsement_key)
                .map(|key| key.name().digest())
                .into_iter()
                .collect()
        }
        IndividualAttestation::CaReferences(_) | IndividualAttestation::SymmetricKey(_) => {
            Vec::new()
        }
    }
}

/// The refusal of an individual enrollment that claims what another entry holds (V-12, V-30).
pub const fn in_use(fresh: &Individual, by: EntryId) -> DraftError {
    match fresh.attestation.mechanism() {
        Mechanism::Tpm => DraftError::EndorsementKeyInUse { by },
        Mechanism::X509 | Mechanism::SymmetricKey => DraftError::CertificateInUse { by },
    }
}

/// Content hashes of the certificates that a group holds itself, for V-12.
pub fn signing_certificates_of(group: &Group) -> Vec<Sha256> {
    match &group.attestation {
        GroupAttestation::SigningCertificates(slots)
        | GroupAttestation::MakerCertificates(slots) => attestation::contents(slots),
        GroupAttestation::CaReferences(_)
        | GroupAttestation::MakerReferences(_)
        | GroupAttestation::SymmetricKey(_) => Vec::new(),
    }
}

/// V-05: the document's id is the address's, but for case. A document without one is let through.
fn names_itself(addressed: &str, named: Option<&str>) -> Result<(), DraftError> {
    match named {
        Some(named) if !named.eq_ignore_ascii_case(addressed) => {
            Err(DraftError::OtherId { addressed: addressed.to_owned(), named: named.to_owned() })
        }
        Some(_) | None => Ok(()),
    }
}
