//! When the certificates end that devices attest by: for monitoring.

use model::{ServiceName, Timestamp};
use provisioning::enrollment::GroupAttestation;

use crate::{Fault, Service};

/// Whose a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// It is a CA certificate of the provisioning service.
    Ca,
    /// It is the signing certificate of an enrollment group.
    Group,
}

/// A certificate above those of devices.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attesting {
    /// The provisioning service.
    pub dps: ServiceName,
    /// Whose it is.
    pub holder: Holder,
    /// The CA certificate's name or the group's id.
    pub name: String,
}

impl Service {
    /// All certificates that devices attest by, with the last second in which each is valid; of a
    /// group's two the one that ends later, as it carries on.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn attesting(&self) -> Result<Vec<(Attesting, Timestamp)>, Fault> {
        let mut all = Vec::new();
        for dps in self.store.all_dps().await? {
            let Some(view) = self.store.instance(&dps.value.name).await? else { continue };
            let of = |holder, name: &str| {
                let dps = view.dps.name.clone();
                Attesting { dps, holder, name: name.to_owned() }
            };
            let cas = view.ca_certificates.iter().map(|row| &row.value);
            all.extend(
                cas.map(|ca| (of(Holder::Ca, ca.name.as_str()), ca.certificate.not_after())),
            );
            all.extend(view.groups.iter().filter_map(|row| match &row.value.attestation {
                GroupAttestation::SigningCertificates(slots)
                | GroupAttestation::MakerCertificates(slots) => {
                    let ends = slots.iter().map(|slot| slot.not_after()).max()?;
                    Some((of(Holder::Group, row.value.id.as_str()), ends))
                }
                GroupAttestation::CaReferences(_)
                | GroupAttestation::MakerReferences(_)
                | GroupAttestation::SymmetricKey(_) => None,
            }));
        }
        Ok(all)
    }
}
