//! How a device that was provisioned becomes an identity on a hub (R-21 to R-30, D-14).

use model::{DeviceId, Timestamp};
use serde_json::{Map, Value};

use crate::identity::{Authentication, Device, DeviceStatus, Origin};
use crate::twin::Twin;

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
    let moved_status = left_behind.map(|old| (old.device.status, old.device.status_reason.clone()));
    let (mut device, old_twin) = match existing {
        Some(Provisioned { mut device, twin }) => {
            device.version += 1;
            device.authentication = wanted.authentication;
            (device, Some(twin))
        }
        None => (Device::new(wanted.device_id, wanted.authentication, now), None),
    };
    device.origin = Some(wanted.origin);
    if let Some(iot_edge) = wanted.iot_edge {
        device.iot_edge = iot_edge;
    }
    if device.iot_edge && device.device_scope.is_none() {
        device.device_scope =
            Some(format!("ms-azure-iot-edge://{}-{}", device.device_id, device.generation_id));
    }
    if let Some((DeviceStatus::Disabled, reason)) = moved_status {
        device.status = DeviceStatus::Disabled;
        device.status_reason = reason;
        device.status_updated = now;
    }
    let twin = match (wanted.twin, old_twin, left_behind) {
        (TwinSource::LeftBehind, _, Some(old)) => old.twin.clone(),
        (TwinSource::Own | TwinSource::LeftBehind, Some(own), _) => own,
        (TwinSource::Initial, Some(own), _) => replaced(own, initial()),
        (TwinSource::Own | TwinSource::LeftBehind | TwinSource::Initial, None, _) => initial(),
    };
    Provisioned { device, twin }
}

/// A reset twin goes on counting, so that no reader takes the new state for an old one.
fn replaced(old: Twin, new: Twin) -> Twin {
    Twin {
        version: old.version + 1,
        etag_counter: old.etag_counter + 1,
        desired: crate::twin::Section { version: old.desired.version + 1, ..new.desired },
        reported: crate::twin::Section { version: old.reported.version + 1, ..new.reported },
        tags: new.tags,
    }
}
