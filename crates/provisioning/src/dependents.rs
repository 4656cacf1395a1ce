//! What rests on a CA certificate: the preview of its deletion (D-07, C-07).

use attestation::x509::{Certificate, StoredCa, build_chain, same_authority};
use model::{CertificateName, EnrollmentGroupId, Timestamp};

use crate::admit::stored_cas;
use crate::enrollment::GroupAttestation;
use crate::view::InstanceView;

/// A group that admits nobody, or fewer, once a CA certificate is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependent {
    /// The group.
    pub group: EnrollmentGroupId,
    /// Whether it lets devices in now.
    pub enabled: bool,
    /// How it rests on the certificate.
    pub by: Dependence,
    /// Whether the group's other slot admits devices all the same.
    pub other_slot_holds: bool,
}

/// How a group rests on a CA certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependence {
    /// It refers to it by name.
    Reference,
    /// The chain of its own signing certificate ends there.
    Chain,
}

/// The groups that a deletion would touch, oldest first; by the chains that hold at `now`.
///
/// A device that sends a chain to another verified CA is let in all the same; what devices send is
/// not known here.
pub fn dependents(
    instance: &InstanceView,
    name: &CertificateName,
    now: Timestamp,
) -> Vec<Dependent> {
    let before = stored_cas(instance);
    let mut without = instance.clone();
    without.ca_certificates.retain(|ca| ca.value.name != *name);
    let after = stored_cas(&without);
    let groups = instance.groups.iter().map(|row| &row.value);
    groups
        .filter_map(|group| {
            let (by, lost, kept) = match &group.attestation {
                GroupAttestation::SymmetricKey(_) | GroupAttestation::MakerCertificates(_) => {
                    return None;
                }
                GroupAttestation::CaReferences(slots)
                | GroupAttestation::MakerReferences(slots) => {
                    let verified = |other: &CertificateName| {
                        without
                            .ca_certificates
                            .iter()
                            .any(|ca| ca.value.verified && ca.value.name == *other)
                    };
                    let lost = slots.iter().any(|slot| slot == name);
                    (Dependence::Reference, lost, slots.iter().any(verified))
                }
                GroupAttestation::SigningCertificates(slots) => {
                    let lost = slots.iter().any(|slot| {
                        is_anchored(slot, &before, now) && !is_anchored(slot, &after, now)
                    });
                    let kept = slots.iter().any(|slot| is_anchored(slot, &after, now));
                    (Dependence::Chain, lost, kept)
                }
            };
            lost.then(|| Dependent {
                group: group.id.clone(),
                enabled: group.settings.is_enabled(),
                by,
                other_slot_holds: kept,
            })
        })
        .collect()
}

/// Whether a chain from this certificate reaches a verified CA; it may be one itself.
fn is_anchored(certificate: &Certificate, stored: &[StoredCa], now: Timestamp) -> bool {
    let verified = stored.iter().filter(|ca| ca.verified);
    verified.into_iter().any(|ca| same_authority(&ca.certificate, certificate))
        || build_chain(std::slice::from_ref(certificate), stored, now).is_ok()
}
