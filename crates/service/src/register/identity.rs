//! The identity that a registration writes, in one commit with its record.

use attestation::SymmetricKey;
use attestation::tpm::seal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hub::identity::{Authentication, Device, Origin, Thumbprint};
use hub::provision::{Provisioned, TwinSource, Wanted, provision};
use model::{Timestamp, limits};
use provisioning::decide::{HubCredential, Placement, TwinPlan};
use provisioning::registration::{Assigned, Registration};
use provisioning::reprovision;
use provisioning::view::{Evidence, RegistrationView, Versioned};
use store::{ChangeScope, Commit, Condition, DeviceView, Write};

use super::issue::issued;
use crate::{Fault, Service, environment};
/// What is known of an identity before a registration writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// Nothing: a device without a record seldom has one.
    TakenAsAbsent,
    /// What the store says.
    Read,
}

impl Service {
    /// What the device will show to its hub. A TPM gets a fresh key at each registration, and with
    /// the record its wrapping.
    pub(super) fn authentication(
        &self,
        view: &RegistrationView,
        place: &Placement,
        evidence: &Evidence,
        record: &mut Registration,
    ) -> Result<Authentication, Fault> {
        Ok(match &place.credential {
            HubCredential::Sas { primary, secondary } => {
                Authentication::Sas { primary: primary.clone(), secondary: secondary.clone() }
            }
            HubCredential::SelfSigned { thumbprint } => {
                let leaf = Some(Thumbprint::Sha256(*thumbprint));
                Authentication::SelfSigned { primary: leaf, secondary: leaf }
            }
            HubCredential::Wrapped => {
                let fresh =
                    || environment::key::<{ limits::HUB_KEY_GENERATED_BYTES }>(&*self.entropy);
                let primary = fresh();
                let wrapped = self.wrapped(evidence, &primary, place.to.hub.as_str())?;
                if let Some(tpm) = &mut record.tpm {
                    tpm.authentication_key = wrapped.map(|wrapped| STANDARD.encode(wrapped));
                }
                Authentication::Sas { primary, secondary: fresh() }
            }
            HubCredential::Issued(issue) => self.certified(view, issue, record)?,
        })
    }

    /// A key wrapped for the TPM that is shown; none where none is.
    pub(super) fn wrapped(
        &self,
        evidence: &Evidence,
        key: &SymmetricKey,
        uri: &str,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let Evidence::Tpm(shown) = evidence else { return Ok(None) };
        let entropy = environment::bytes(self.entropy.as_ref());
        Ok(Some(seal(&shown.endorsement_key, &shown.storage_root_key, key, uri, &entropy)?))
    }

    /// The identity's part of an assignment, and whether it was there: record and identity are one
    /// commit.
    pub(super) async fn place(
        &self,
        commit: &mut Commit,
        place: Placement,
        wanted: Wanted,
        identity: Identity,
        from_elsewhere: Option<Provisioned>,
        now: Timestamp,
    ) -> Result<reprovision::Identity, Fault> {
        let there = match identity {
            Identity::TakenAsAbsent => None,
            Identity::Read => self.store.device(&place.to.hub, &place.to.device_id).await?,
        };
        let left = match &place.from {
            Some(from) => self.store.device(&from.hub, &from.device_id).await?,
            None => None,
        };
        commit.conditions.push(device_condition(&place.to, there.as_ref()));
        let left_behind = from_elsewhere.or_else(|| left.as_ref().map(provisioned));
        let fresh = provision(wanted, there.as_ref().map(provisioned), left_behind.as_ref(), now);
        let hub = place.to.hub.clone();
        let id = place.to.device_id.clone();
        let old = there.as_ref().map(|there| &there.device.value);
        if old.is_none_or(|old| !is_same(old, &fresh.device)) {
            if old.is_some() {
                let scope = ChangeScope::Device { hub: hub.clone(), device_id: id.clone() };
                commit.changes.push(scope);
            }
            commit.writes.push(Write::Device(hub.clone(), Box::new(fresh.device)));
        }
        if there.as_ref().is_none_or(|there| there.twin.value != fresh.twin) {
            commit.conditions.push(Condition::Twin {
                hub: hub.clone(),
                id: id.clone(),
                at: there.as_ref().map(|there| there.twin.revision),
            });
            commit.writes.push(Write::Twin(hub, id, Box::new(fresh.twin)));
        }
        if let Some(from) = place.from {
            leave(commit, from, left.as_ref());
        }
        Ok(match there {
            Some(_) => reprovision::Identity::Found,
            None => reprovision::Identity::Made,
        })
    }
}

/// Removes the identity that a device leaves behind.
pub(super) fn leave(commit: &mut Commit, from: Assigned, left: Option<&DeviceView>) {
    commit.conditions.push(device_condition(&from, left));
    if let Some(left) = left {
        commit.conditions.push(Condition::Twin {
            hub: from.hub.clone(),
            id: from.device_id.clone(),
            at: Some(left.twin.revision),
        });
    }
    commit.writes.push(Write::DeleteDevice(from.hub.clone(), from.device_id.clone()));
    commit.changes.push(ChangeScope::Device { hub: from.hub, device_id: from.device_id });
}

fn device_condition(at: &Assigned, found: Option<&DeviceView>) -> Condition {
    Condition::Device {
        hub: at.hub.clone(),
        id: at.device_id.clone(),
        at: found.map(|found| found.device.revision),
    }
}

fn provisioned(view: &DeviceView) -> Provisioned {
    let DeviceView { device: Versioned { value: device, .. }, twin: Versioned { value: twin, .. } } =
        view.clone();
    Provisioned { device, twin }
}

pub(super) fn wanted(
    view: &RegistrationView,
    record: &Registration,
    place: &Placement,
    authentication: Authentication,
) -> Wanted {
    let chain = &record.explanation.chain;
    Wanted {
        device_id: place.to.device_id.clone(),
        authentication,
        issued: issued(view, record),
        iot_edge: place.iot_edge,
        origin: Origin {
            dps: view.instance.dps.name.clone(),
            registration_id: record.registration_id.clone(),
            thumbprints: chain.iter().map(|member| member.thumbprint).collect(),
            public_keys: chain.iter().map(|member| member.public_key).collect(),
        },
        initial_tags: place.initial_tags.clone(),
        initial_desired: place.initial_desired.clone(),
        twin: match place.twin {
            TwinPlan::KeepOrInitial => TwinSource::Own,
            TwinPlan::Migrate => TwinSource::LeftBehind,
            TwinPlan::Reset => TwinSource::Initial,
        },
    }
}

/// Whether writing the identity would change nothing that anyone can see.
fn is_same(old: &Device, new: &Device) -> bool {
    let same_authentication = match (&old.authentication, &new.authentication) {
        (
            Authentication::Sas { primary: a, secondary: b },
            Authentication::Sas { primary: c, secondary: d },
        ) => a.same_as(c) & b.same_as(d),
        (
            Authentication::SelfSigned { primary: a, secondary: b },
            Authentication::SelfSigned { primary: c, secondary: d },
        ) => a == c && b == d,
        (Authentication::CertificateAuthority, Authentication::CertificateAuthority)
        | (Authentication::None, Authentication::None) => true,
        (
            Authentication::Sas { .. }
            | Authentication::SelfSigned { .. }
            | Authentication::CertificateAuthority
            | Authentication::None,
            _,
        ) => false,
    };
    same_authentication
        && old.iot_edge == new.iot_edge
        && old.origin == new.origin
        && old.issued == new.issued
        && old.status == new.status
        && old.device_scope == new.device_scope
}
