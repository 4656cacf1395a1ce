//! How a device that was provisioned becomes an identity on a hub (R-21 to R-30, D-14).

use model::{DeviceId, Timestamp};
use serde_json::{Map, Value};

use crate::identity::{
    Authentication, Device, DeviceStatus, IssuedCertificate, Origin, Thumbprint,
};
use crate::twin::{Section, Twin};

/// An identity with its twin.
#[derive(Clone, Debug)]
pub struct Provisioned {
    /// The identity.
    pub device: Device,
    /// Its twin.
    pub twin: Twin,
}

/// What becomes of a twin when an identity is provisioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TwinSource {
    /// What is there stays; an identity that is made gets the initial twin.
    Own,
    /// The twin of the identity that is left behind.
    LeftBehind,
    /// The initial twin.
    Initial,
}

/// What provisioning asks of a hub.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The device's id.
    pub device_id: DeviceId,
    /// What it will show.
    pub authentication: Authentication,
    /// Where `authentication` is a certificate that was issued to it: which.
    pub issued: Option<IssuedCertificate>,
    /// Whether it is an IoT Edge device; none leaves an existing identity as it is.
    pub iot_edge: Option<bool>,
    /// Where it came from.
    pub origin: Origin,
    /// The first twin's tags.
    pub initial_tags: Map<String, Value>,
    /// The first twin's desired properties.
    pub initial_desired: Map<String, Value>,
    /// What becomes of the twin.
    pub twin: TwinSource,
}

/// The identity after provisioning, from what is on the hub already and what is left behind
/// elsewhere.
///
/// The status of an existing identity is kept, and that of one left behind is taken along: a
/// registration never enables what a hub's operator disabled (D-14, S-07).
pub fn provision(
    wanted: Wanted,
    existing: Option<Provisioned>,
    left_behind: Option<&Provisioned>,
    now: Timestamp,
) -> Provisioned {
    let initial = || Twin::initial(wanted.initial_tags.clone(), &wanted.initial_desired, now);
    let migrated = left_behind.filter(|_| wanted.twin == TwinSource::LeftBehind);
    let (mut device, old_twin) = match existing {
        Some(Provisioned { mut device, twin }) => {
            device.version += 1;
            certify(&mut device, wanted.authentication, wanted.issued);
            (device, Some(twin))
        }
        None => {
            let mut device = Device::new(wanted.device_id, wanted.authentication, now);
            device.issued.extend(wanted.issued);
            (device, None)
        }
    };
    device.origin = Some(wanted.origin);
    // capabilities are migrated, where the entry says nothing of them.
    let iot_edge = wanted.iot_edge.or_else(|| migrated.map(|old| old.device.iot_edge));
    if let Some(iot_edge) = iot_edge {
        device.iot_edge = iot_edge;
    }
    if device.iot_edge && device.device_scope.is_none() {
        device.device_scope =
            Some(format!("ms-azure-iot-edge://{}-{}", device.device_id, device.generation_id));
    }
    if let Some(old) = left_behind.map(|old| &old.device)
        && old.status == DeviceStatus::Disabled
    {
        device.status = DeviceStatus::Disabled;
        device.status_reason = old.status_reason.clone();
        device.status_updated = old.status_updated;
    }
    let twin = match (wanted.twin, old_twin, left_behind) {
        (TwinSource::LeftBehind, Some(own), Some(old)) => behind(&own, old.twin.clone()),
        (TwinSource::LeftBehind, None, Some(old)) => old.twin.clone(),
        (TwinSource::Own, Some(own), _) | (TwinSource::LeftBehind, Some(own), None) => own,
        (TwinSource::Initial, Some(own), _) => behind(&own, initial()),
        (TwinSource::Own | TwinSource::Initial, None, _) | (TwinSource::LeftBehind, None, None) => {
            initial()
        }
    };
    Provisioned { device, twin }
}

/// Gives an identity what it will show.
///
/// A certificate that renews an issued one leaves that as the second: the device may not have the
/// new one yet, and a session that it has goes on. The next renewal takes it away.
fn certify(device: &mut Device, authentication: Authentication, issued: Option<IssuedCertificate>) {
    let first = match &device.authentication {
        Authentication::SelfSigned { primary: Some(Thumbprint::Sha256(first)), .. } => Some(*first),
        Authentication::SelfSigned { .. }
        | Authentication::Sas { .. }
        | Authentication::CertificateAuthority
        | Authentication::None => None,
    };
    let before = first
        .and_then(|first| device.issued.iter().find(|known| known.thumbprint == first).cloned());
    (device.authentication, device.issued) = match (issued, before) {
        (None, _) => (authentication, Vec::new()),
        (Some(issued), Some(before)) if issued == before => return,
        (Some(issued), Some(before)) => {
            let slot = |known: &IssuedCertificate| Some(Thumbprint::Sha256(known.thumbprint));
            let renewed =
                Authentication::SelfSigned { primary: slot(&issued), secondary: slot(&before) };
            (renewed, vec![issued, before])
        }
        (Some(issued), None) => (authentication, vec![issued]),
    };
}

/// A twin in the place of another: it goes on counting, so that no reader takes the new state for
/// an old one.
fn behind(old: &Twin, new: Twin) -> Twin {
    let section =
        |old: &Section, new: Section| Section { version: new.version.max(old.version + 1), ..new };
    Twin {
        version: new.version.max(old.version + 1),
        etag_counter: new.etag_counter.max(old.etag_counter + 1),
        desired: section(&old.desired, new.desired),
        reported: section(&old.reported, new.reported),
        tags: new.tags,
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod renewals {
    use model::{RegistrationId, ServiceName, Sha256};

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_893_456_000);

    fn slot(at: u8) -> Option<Thumbprint> {
        Some(Thumbprint::Sha256(Sha256([at; 32])))
    }

    fn issued(at: u8) -> IssuedCertificate {
        let dps = ServiceName::parse("dps").unwrap();
        IssuedCertificate { thumbprint: Sha256([at; 32]), dps, issuer: format!("ca-{at}") }
    }

    /// Provisions with a certificate of this number, that was issued or not.
    fn with(
        existing: Option<Provisioned>,
        at: u8,
        issued: Option<IssuedCertificate>,
    ) -> Provisioned {
        let wanted = Wanted {
            device_id: DeviceId::parse("dev").unwrap(),
            authentication: Authentication::SelfSigned { primary: slot(at), secondary: slot(at) },
            issued,
            iot_edge: None,
            origin: Origin {
                dps: ServiceName::parse("dps").unwrap(),
                registration_id: RegistrationId::parse("dev").unwrap(),
                thumbprints: Vec::new(),
                public_keys: Vec::new(),
            },
            initial_tags: Map::new(),
            initial_desired: Map::new(),
            twin: TwinSource::Own,
        };
        provision(wanted, existing, None, NOW)
    }

    fn renewed(existing: Provisioned, at: u8) -> Provisioned {
        with(Some(existing), at, Some(issued(at)))
    }

    #[track_caller]
    fn check(found: &Provisioned, primary: u8, secondary: u8, notes: &[u8]) {
        let Authentication::SelfSigned { primary: first, secondary: second } =
            &found.device.authentication
        else {
            panic!("{found:?}")
        };
        assert_eq!((*first, *second), (slot(primary), slot(secondary)));
        let expected: Vec<_> = notes.iter().map(|at| issued(*at)).collect();
        assert_eq!(found.device.issued, expected);
    }

    #[test]
    fn r_28_a_renewed_certificate_leaves_the_one_before_once() {
        let first = with(None, 1, Some(issued(1)));
        check(&first, 1, 1, &[1]);
        let second = renewed(first, 2);
        check(&second, 2, 1, &[2, 1]);
        let same = renewed(second.clone(), 2);
        check(&same, 2, 1, &[2, 1]);
        check(&renewed(second, 3), 3, 2, &[3, 2]);
    }

    #[test]
    fn r_28_only_an_issued_certificate_is_left() {
        let onboarding = with(None, 1, None);
        let first = renewed(onboarding, 2);
        check(&first, 2, 2, &[2]);
        // Without a request, nothing of what was issued stays.
        check(&with(Some(first), 1, None), 1, 1, &[]);
    }
}
