//! Rules of what must be shown: members, certificates, keys (V-06 to V-17, V-25, V-28, A-45 to
//!

use attestation::SymmetricKey;
use attestation::tpm::EndorsementKey;
use attestation::x509::Certificate;
use model::{CertificateName, Secret, Sha256};

use super::{
    AttestationDraft, CertificateDraft, DraftError, KeysDraft, Slot, TpmDraft, X509Draft,
    X509Member,
};
use crate::enrollment::{
    Certified, EntryId, Group, GroupAttestation, IndividualAttestation, KeyPair, Mechanism, Slots,
};
use crate::view::InstanceView;

/// Applies every rule of an individual's attestation.
pub(super) fn individual(
    draft: &AttestationDraft,
    existing: Option<&IndividualAttestation>,
    instance: &InstanceView,
    keys: &mut dyn FnMut() -> SymmetricKey,
) -> Result<IndividualAttestation, DraftError> {
    unchanged(draft.mechanism, existing.map(IndividualAttestation::mechanism))?;
    of_one_mechanism(draft)?;
    match draft.mechanism {
        Mechanism::Tpm => tpm(draft.tpm.as_ref()),
        Mechanism::SymmetricKey => {
            let old = match existing {
                Some(IndividualAttestation::SymmetricKey(old)) => Some(old),
                Some(
                    IndividualAttestation::ClientCertificates(_)
                    | IndividualAttestation::CaReferences(_)
                    | IndividualAttestation::Tpm { .. },
                )
                | None => None,
            };
            key_pair(draft.symmetric_key.as_ref(), old, keys)
                .map(IndividualAttestation::SymmetricKey)
        }
        Mechanism::X509 if certifies(draft) == Some(Certified::EndorsementKey) => {
            Err(DraftError::MakersOfIndividual)
        }
        Mechanism::X509 => match x509(draft.x509.as_ref())? {
            One::Client(slots) => {
                let held = match existing {
                    Some(IndividualAttestation::ClientCertificates(held)) => Some(held),
                    Some(
                        IndividualAttestation::CaReferences(_)
                        | IndividualAttestation::SymmetricKey(_)
                        | IndividualAttestation::Tpm { .. },
                    )
                    | None => None,
                };
                certificates(X509Member::ClientCertificates, slots, held)
                    .map(IndividualAttestation::ClientCertificates)
            }
            One::Signing(_) => Err(DraftError::SigningCertificatesOfIndividual),
            One::CaReferences(names) => {
                ca_references(names, instance).map(IndividualAttestation::CaReferences)
            }
        },
    }
}

/// Applies every rule of a group's attestation.
pub(super) fn group(
    draft: &AttestationDraft,
    existing: Option<&GroupAttestation>,
    instance: &InstanceView,
    keys: &mut dyn FnMut() -> SymmetricKey,
) -> Result<GroupAttestation, DraftError> {
    if draft.mechanism == Mechanism::Tpm {
        return Err(DraftError::TpmGroup);
    }
    unchanged(draft.mechanism, existing.map(GroupAttestation::mechanism))?;
    of_one_mechanism(draft)?;
    if draft.mechanism == Mechanism::SymmetricKey {
        let old = match existing {
            Some(GroupAttestation::SymmetricKey(old)) => Some(old),
            Some(
                GroupAttestation::SigningCertificates(_)
                | GroupAttestation::CaReferences(_)
                | GroupAttestation::MakerCertificates(_)
                | GroupAttestation::MakerReferences(_),
            )
            | None => None,
        };
        let pair = key_pair(draft.symmetric_key.as_ref(), old, keys)?;
        return Ok(GroupAttestation::SymmetricKey(pair));
    }
    let before = existing.and_then(GroupAttestation::certifies);
    let certified = match (certifies(draft), before) {
        (Some(given), Some(before)) if given != before => {
            return Err(DraftError::CertifiesChanged);
        }
        (given, before) => given.or(before).unwrap_or(Certified::DeviceKey),
    };
    match x509(draft.x509.as_ref())? {
        One::Client(_) => Err(DraftError::ClientCertificatesOfGroup),
        One::Signing(slots) => {
            let held = match existing {
                Some(
                    GroupAttestation::SigningCertificates(held)
                    | GroupAttestation::MakerCertificates(held),
                ) => Some(held),
                Some(
                    GroupAttestation::CaReferences(_)
                    | GroupAttestation::MakerReferences(_)
                    | GroupAttestation::SymmetricKey(_),
                )
                | None => None,
            };
            let slots = certificates(X509Member::SigningCertificates, slots, held)?;
            Ok(match certified {
                Certified::DeviceKey => GroupAttestation::SigningCertificates(slots),
                Certified::EndorsementKey => GroupAttestation::MakerCertificates(slots),
            })
        }
        One::CaReferences(names) => {
            let names = ca_references(names, instance)?;
            Ok(match certified {
                Certified::DeviceKey => GroupAttestation::CaReferences(names),
                Certified::EndorsementKey => GroupAttestation::MakerReferences(names),
            })
        }
    }
}

/// What the document says of the certificates below its CAs.
fn certifies(draft: &AttestationDraft) -> Option<Certified> {
    draft.x509.as_ref().and_then(|x509| x509.certifies)
}

/// The one X.509 member that was given.
enum One<'d> {
    Client(&'d Slots<CertificateDraft>),
    Signing(&'d Slots<CertificateDraft>),
    CaReferences(&'d Slots<String>),
}

/// V-28: the mechanism stays; which certificates are asked for may change.
fn unchanged(to: Mechanism, from: Option<Mechanism>) -> Result<(), DraftError> {
    match from {
        Some(from) if from != to => Err(DraftError::MechanismChanged { from, to }),
        Some(_) | None => Ok(()),
    }
}

/// V-06: no member of another mechanism.
fn of_one_mechanism(draft: &AttestationDraft) -> Result<(), DraftError> {
    let given = [
        (Mechanism::Tpm, draft.tpm.is_some()),
        (Mechanism::X509, draft.x509.is_some()),
        (Mechanism::SymmetricKey, draft.symmetric_key.is_some()),
    ];
    let mechanism = draft.mechanism;
    match given.into_iter().find(|(of, given)| *given && *of != mechanism) {
        Some((other, _)) => Err(DraftError::AttestationOfOther { mechanism, other }),
        None => Ok(()),
    }
}

/// V-06: exactly one X.509 member.
fn x509(draft: Option<&X509Draft>) -> Result<One<'_>, DraftError> {
    let draft = draft.ok_or(DraftError::AttestationMissing(Mechanism::X509))?;
    let X509Draft { client_certificates, signing_certificates, ca_references, certifies: _ } =
        draft;
    match (client_certificates, signing_certificates, ca_references) {
        (Some(slots), None, None) => Ok(One::Client(slots)),
        (None, Some(slots), None) => Ok(One::Signing(slots)),
        (None, None, Some(names)) => Ok(One::CaReferences(names)),
        (client, signing, names) => Err(DraftError::X509Members {
            given: usize::from(client.is_some())
                + usize::from(signing.is_some())
                + usize::from(names.is_some()),
        }),
    }
}

/// V-10, V-13, A-45, A-46: every filled slot holds a certificate, sent or kept; a slot that is
/// not sent is emptied.
fn certificates(
    member: X509Member,
    draft: &Slots<CertificateDraft>,
    held: Option<&Slots<Certificate>>,
) -> Result<Slots<Certificate>, DraftError> {
    if draft.is_empty() {
        return Err(DraftError::NoCertificate(member));
    }
    let one = |slot: Slot, draft: &CertificateDraft| match draft {
        CertificateDraft::Uploaded(bytes) => Certificate::from_upload(bytes)
            .map_err(|fault| DraftError::Certificate { member, slot, because: fault.to_string() }),
        CertificateDraft::Kept { thumbprint } => held
            .into_iter()
            .flat_map(Slots::iter)
            .find(|held| held.thumbprint().to_string().eq_ignore_ascii_case(thumbprint))
            .cloned()
            .ok_or(DraftError::UnknownCertificate { member, slot }),
    };
    Ok(Slots {
        primary: draft.primary.as_ref().map(|draft| one(Slot::Primary, draft)).transpose()?,
        secondary: draft.secondary.as_ref().map(|draft| one(Slot::Secondary, draft)).transpose()?,
    })
}

/// V-10, V-25: the names are of CA certificates of the instance, verified or not.
fn ca_references(
    draft: &Slots<String>,
    instance: &InstanceView,
) -> Result<Slots<CertificateName>, DraftError> {
    let one = |slot: Slot, given: &Option<String>| match given.as_deref() {
        None | Some("") => Ok(None),
        Some(given) => instance
            .ca_certificates
            .iter()
            .map(|found| &found.value.name)
            .find(|name| name.as_str().eq_ignore_ascii_case(given))
            .cloned()
            .map(Some)
            .ok_or_else(|| DraftError::UnknownCa { slot, name: given.to_owned() }),
    };
    let slots = Slots {
        primary: one(Slot::Primary, &draft.primary)?,
        secondary: one(Slot::Secondary, &draft.secondary)?,
    };
    match slots.is_empty() {
        true => Err(DraftError::NoCertificate(X509Member::CaReferences)),
        false => Ok(slots),
    }
}

/// V-15 to V-17, A-47: a key that is not given stays as it was, or is generated.
fn key_pair(
    draft: Option<&KeysDraft>,
    old: Option<&KeyPair>,
    keys: &mut dyn FnMut() -> SymmetricKey,
) -> Result<KeyPair, DraftError> {
    let mut one = |slot: Slot, given: Option<&Secret<String>>, old: Option<&SymmetricKey>| match (
        given.map(|text| text.expose().as_str()),
        old,
    ) {
        (None | Some(""), Some(old)) => Ok(old.clone()),
        (None | Some(""), None) => Ok(keys()),
        (Some(given), _) => {
            SymmetricKey::from_base64(given).map_err(|_| DraftError::SymmetricKey { slot })
        }
    };
    let given = |pick: fn(&KeysDraft) -> Option<&Secret<String>>| draft.and_then(pick);
    Ok(KeyPair {
        primary: one(
            Slot::Primary,
            given(|keys| keys.primary.as_ref()),
            old.map(|old| &old.primary),
        )?,
        secondary: one(
            Slot::Secondary,
            given(|keys| keys.secondary.as_ref()),
            old.map(|old| &old.secondary),
        )?,
    })
}

/// A TPM is known by its endorsement key; its storage root key is taken as given.
fn tpm(draft: Option<&TpmDraft>) -> Result<IndividualAttestation, DraftError> {
    let draft = draft.ok_or(DraftError::AttestationMissing(Mechanism::Tpm))?;
    let endorsement_key = draft.endorsement_key.clone().unwrap_or_default();
    EndorsementKey::from_base64(&endorsement_key)
        .map_err(|because| DraftError::EndorsementKey { because })?;
    let storage_root_key = draft.storage_root_key.clone().filter(|key| !key.is_empty());
    if storage_root_key.as_deref().is_some_and(|key| !is_base64(key)) {
        return Err(DraftError::StorageRootKey);
    }
    Ok(IndividualAttestation::Tpm { endorsement_key, storage_root_key })
}

/// Whether the text is base64 of something, padded. Source: RFC 4648 §4.
fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    !digits.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - digits.len() <= 2
        && digits.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

/// Thumbprints of the filled slots.
pub(super) fn contents(slots: &Slots<Certificate>) -> Vec<Sha256> {
    slots.iter().map(Certificate::content_hash).collect()
}

/// Content hashes of all certificates that a group stands for, those it refers to included.
pub(super) fn claimed_by(attestation: &GroupAttestation, instance: &InstanceView) -> Vec<Sha256> {
    match attestation {
        GroupAttestation::SigningCertificates(slots)
        | GroupAttestation::MakerCertificates(slots) => contents(slots),
        GroupAttestation::CaReferences(names) | GroupAttestation::MakerReferences(names) => {
            instance
                .ca_certificates
                .iter()
                .map(|found| &found.value)
                .filter(|ca| names.iter().any(|name| *name == ca.name))
                .map(|ca| ca.certificate.content_hash())
                .collect()
        }
        GroupAttestation::SymmetricKey(_) => Vec::new(),
    }
}

/// V-12: no group but the entry itself stands for one of these certificates.
pub(super) fn free_of_groups(
    certificates: &[Sha256],
    own: &EntryId,
    instance: &InstanceView,
) -> Result<(), DraftError> {
    let is_own = |group: &Group| *own == EntryId::Group(group.id.clone());
    let holder = instance.groups.iter().map(|found| &found.value).find(|group| {
        !is_own(group)
            && claimed_by(&group.attestation, instance).iter().any(|of| certificates.contains(of))
    });
    match holder {
        Some(group) => Err(DraftError::CertificateInUse { by: EntryId::Group(group.id.clone()) }),
        None => Ok(()),
    }
}
