//! What becomes of one entry of a load, where many individual enrollments come from a file.
//!
//! The rules of an entry are those of a PUT ([`crate::draft`]); a load adds what is to be done
//! about an entry that is there already, and that nothing is written that would change nothing:
//! a load can be repeated, wholly or in part, and does no harm.

use attestation::SymmetricKey;
use attestation::x509::Certificate;

use crate::draft::{self, DraftError, IndividualDraft};
use crate::enrollment::{Individual, IndividualAttestation, KeyPair, Settings, Slots, Stamp};
use crate::view::InstanceView;

/// What a load does about an entry that is there and differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExisting {
    /// Refuses the new one.
    #[default]
    Fail,
    /// Leaves the present one as it is.
    Skip,
    /// Puts the new one in its place.
    Replace,
}

/// What becomes of one entry of a load.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It is written: created, or in the place of the present one.
    Write(Box<Individual>),
    /// It is there, and is what was asked for.
    Unchanged,
    /// Another one is there, and stays.
    Skipped,
    /// Another one is there, which is an error.
    Exists,
}

/// Judges one entry of a load.
///
/// An entry that says nothing of its status leaves the status of the present one as it is: a load
/// lets nobody in again whom an operator shut out, unless it says so. Keys that are not given stay,
/// as with a PUT.
///
/// # Errors
/// The first rule that the draft breaks.
pub fn judge(
    draft: &IndividualDraft,
    present: Option<&Individual>,
    existing: OnExisting,
    instance: &InstanceView,
    keys: &mut dyn FnMut() -> SymmetricKey,
    stamp: Stamp,
) -> Result<Verdict, DraftError> {
    let Some(present) = present else {
        let fresh = draft::individual(draft, None, instance, keys, stamp)?;
        return Ok(Verdict::Write(Box::new(fresh)));
    };
    let mut draft = draft.clone();
    let status = draft.settings.provisioning_status;
    draft.settings.provisioning_status =
        Some(status.unwrap_or(present.settings.provisioning_status));
    let fresh = draft::individual(&draft, Some(present), instance, keys, stamp);
    match (existing, fresh) {
        (_, Ok(fresh)) if same(present, &fresh) => Ok(Verdict::Unchanged),
        (OnExisting::Replace, fresh) => fresh.map(|fresh| Verdict::Write(Box::new(fresh))),
        // Another mechanism is a fault only of one that would take the place of the present one.
        (OnExisting::Skip, Ok(_) | Err(DraftError::MechanismChanged { .. })) => {
            Ok(Verdict::Skipped)
        }
        (OnExisting::Fail, Ok(_) | Err(DraftError::MechanismChanged { .. })) => Ok(Verdict::Exists),
        (OnExisting::Skip | OnExisting::Fail, Err(fault)) => Err(fault),
    }
}

/// Whether two entries differ in nothing but their stamps.
pub fn same(one: &Individual, other: &Individual) -> bool {
    let Individual {
        registration_id,
        device_id,
        attestation,
        settings,
        optional_device_information,
        stamp: _,
    } = one;
    registration_id.as_str() == other.registration_id.as_str()
        && *device_id == other.device_id
        && same_settings(settings, &other.settings)
        && *optional_device_information == other.optional_device_information
        && same_attestation(attestation, &other.attestation)
}

fn same_settings(one: &Settings, other: &Settings) -> bool {
    let Settings {
        provisioning_status,
        reprovision_policy,
        allocation_policy,
        iot_hubs,
        iot_hub_host_name,
        custom_allocation,
        initial_twin,
        iot_edge,
        credential_policy_name,
    } = one;
    *provisioning_status == other.provisioning_status
        && *reprovision_policy == other.reprovision_policy
        && *allocation_policy == other.allocation_policy
        && *iot_hubs == other.iot_hubs
        && *iot_hub_host_name == other.iot_hub_host_name
        && *custom_allocation == other.custom_allocation
        && *initial_twin == other.initial_twin
        // Written alike, and meaning the same (T-03).
        && iot_edge.unwrap_or(false) == other.iot_edge.unwrap_or(false)
        && *credential_policy_name == other.credential_policy_name
}

fn same_attestation(one: &IndividualAttestation, other: &IndividualAttestation) -> bool {
    use IndividualAttestation::{CaReferences, ClientCertificates, SymmetricKey, Tpm};
    match (one, other) {
        (ClientCertificates(one), ClientCertificates(other)) => same_certificates(one, other),
        (CaReferences(one), CaReferences(other)) => one == other,
        (SymmetricKey(one), SymmetricKey(other)) => same_keys(one, other),
        (
            Tpm { endorsement_key, storage_root_key },
            Tpm { endorsement_key: other, storage_root_key: other_root },
        ) => endorsement_key == other && storage_root_key == other_root,
        (ClientCertificates(_) | CaReferences(_) | SymmetricKey(_) | Tpm { .. }, _) => false,
    }
}

fn same_certificates(one: &Slots<Certificate>, other: &Slots<Certificate>) -> bool {
    let hash = |slot: &Option<Certificate>| slot.as_ref().map(Certificate::thumbprint);
    hash(&one.primary) == hash(&other.primary) && hash(&one.secondary) == hash(&other.secondary)
}

fn same_keys(one: &KeyPair, other: &KeyPair) -> bool {
    one.primary.same_as(&other.primary) && one.secondary.same_as(&other.secondary)
}
