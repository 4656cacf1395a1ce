//! What can happen.

use ::hub::identity::Device;
use ::hub::twin::Twin;
use model::{DeviceId, RegistrationId, ServiceName, SubscriptionName};
use provisioning::enrollment::{Entry, EntryId};
use provisioning::registration::{Registration, RegistrationStatus};
use serde::{Deserialize, Serialize};

/// The kind of an event: the `type` of a CloudEvent.
///
/// Source: `articles/event-grid/event-schema-iot-hub.md` for those of hubs; the others are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventType {
    /// An identity was made.
    #[serde(rename = "Microsoft.Devices.DeviceCreated")]
    DeviceCreated,
    /// An identity was removed.
    #[serde(rename = "Microsoft.Devices.DeviceDeleted")]
    DeviceDeleted,
    /// A device has signed in to a hub.
    #[serde(rename = "Microsoft.Devices.DeviceConnected")]
    DeviceConnected,
    /// A device's last connection to a hub has ended.
    #[serde(rename = "Microsoft.Devices.DeviceDisconnected")]
    DeviceDisconnected,
    /// A registration has sent a device to a hub, or left it there.
    #[serde(rename = "Muster.Provisioning.RegistrationAssigned")]
    RegistrationAssigned,
    /// A registration was refused by a disabled entry, or failed, and its record says so.
    #[serde(rename = "Muster.Provisioning.RegistrationRefused")]
    RegistrationRefused,
    /// An operator has removed a record.
    #[serde(rename = "Muster.Provisioning.RegistrationDeleted")]
    RegistrationDeleted,
    /// An enrollment or a group was made.
    #[serde(rename = "Muster.Provisioning.EnrollmentCreated")]
    EnrollmentCreated,
    /// One was written, and is as much enabled as before.
    #[serde(rename = "Muster.Provisioning.EnrollmentUpdated")]
    EnrollmentUpdated,
    /// One that was disabled is enabled.
    #[serde(rename = "Muster.Provisioning.EnrollmentEnabled")]
    EnrollmentEnabled,
    /// One that was enabled is disabled.
    #[serde(rename = "Muster.Provisioning.EnrollmentDisabled")]
    EnrollmentDisabled,
    /// One was removed.
    #[serde(rename = "Muster.Provisioning.EnrollmentDeleted")]
    EnrollmentDeleted,
    /// An operator tries a subscription.
    #[serde(rename = "Muster.Events.Test")]
    Test,
}

impl EventType {
    /// All that a subscription can choose; a test is sent whatever it chooses.
    pub const ALL: [Self; 12] = [
        Self::DeviceCreated,
        Self::DeviceDeleted,
        Self::DeviceConnected,
        Self::DeviceDisconnected,
        Self::RegistrationAssigned,
        Self::RegistrationRefused,
        Self::RegistrationDeleted,
        Self::EnrollmentCreated,
        Self::EnrollmentUpdated,
        Self::EnrollmentEnabled,
        Self::EnrollmentDisabled,
        Self::EnrollmentDeleted,
    ];

    /// The names of these, in the same order.
    pub const NAMES: [&'static str; 12] = [
        Self::DeviceCreated.name(),
        Self::DeviceDeleted.name(),
        Self::DeviceConnected.name(),
        Self::DeviceDisconnected.name(),
        Self::RegistrationAssigned.name(),
        Self::RegistrationRefused.name(),
        Self::RegistrationDeleted.name(),
        Self::EnrollmentCreated.name(),
        Self::EnrollmentUpdated.name(),
        Self::EnrollmentEnabled.name(),
        Self::EnrollmentDisabled.name(),
        Self::EnrollmentDeleted.name(),
    ];

    /// Its name on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeviceCreated => "Microsoft.Devices.DeviceCreated",
            Self::DeviceDeleted => "Microsoft.Devices.DeviceDeleted",
            Self::DeviceConnected => "Microsoft.Devices.DeviceConnected",
            Self::DeviceDisconnected => "Microsoft.Devices.DeviceDisconnected",
            Self::RegistrationAssigned => "Muster.Provisioning.RegistrationAssigned",
            Self::RegistrationRefused => "Muster.Provisioning.RegistrationRefused",
            Self::RegistrationDeleted => "Muster.Provisioning.RegistrationDeleted",
            Self::EnrollmentCreated => "Muster.Provisioning.EnrollmentCreated",
            Self::EnrollmentUpdated => "Muster.Provisioning.EnrollmentUpdated",
            Self::EnrollmentEnabled => "Muster.Provisioning.EnrollmentEnabled",
            Self::EnrollmentDisabled => "Muster.Provisioning.EnrollmentDisabled",
            Self::EnrollmentDeleted => "Muster.Provisioning.EnrollmentDeleted",
            Self::Test => "Muster.Events.Test",
        }
    }

    /// The kind of this name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

/// Where something happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// At a hub.
    Hub(ServiceName),
    /// At a provisioning service.
    Dps(ServiceName),
    /// At the server itself.
    Server,
}

/// Whether something has come or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existence {
    /// It was not there before.
    Began,
    /// It is not there any more.
    Ended,
}

/// What became of an entry that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryChange {
    /// It is new.
    Created,
    /// It lets in, or refuses, as before.
    Updated,
    /// It lets devices in again.
    Enabled,
    /// It refuses devices from now on.
    Disabled,
}

impl EntryChange {
    /// What a write does to an entry that was (`Some`) or was not there, and let devices in or not.
    pub const fn of(was_enabled: Option<bool>, is_enabled: bool) -> Self {
        match (was_enabled, is_enabled) {
            (None, _) => Self::Created,
            (Some(false), true) => Self::Enabled,
            (Some(true), false) => Self::Disabled,
            (Some(true), true) | (Some(false), false) => Self::Updated,
        }
    }
}

/// Something that has happened, with all that an event may tell of it.
#[derive(Clone, Copy, Debug)]
pub enum Happened<'a> {
    /// An identity has come or gone.
    Device {
        /// Which.
        existence: Existence,
        /// The hub.
        hub: &'a ServiceName,
        /// As it is, or was.
        device: &'a Device,
        /// As it is, or was.
        twin: &'a Twin,
    },
    /// A device's connection has come or gone.
    Connection {
        /// Which.
        existence: Existence,
        /// The hub.
        hub: &'a ServiceName,
        /// The device.
        device_id: &'a DeviceId,
        /// Grows with each of this server, over restarts as well.
        sequence: u64,
    },
    /// A registration has come to an end, good or bad.
    Registered {
        /// The instance.
        dps: &'a ServiceName,
        /// The record, which says what came of it.
        record: &'a Registration,
    },
    /// An operator has removed a record.
    RegistrationDeleted {
        /// The instance.
        dps: &'a ServiceName,
        /// The record's.
        id: &'a RegistrationId,
    },
    /// An entry was written.
    Entry {
        /// The instance.
        dps: &'a ServiceName,
        /// What the write did.
        change: EntryChange,
        /// As it is.
        entry: Entry<'a>,
    },
    /// An entry was removed.
    EntryDeleted {
        /// The instance.
        dps: &'a ServiceName,
        /// Which.
        id: &'a EntryId,
    },
    /// An operator tries a subscription.
    Test {
        /// Which.
        subscription: &'a SubscriptionName,
    },
}

impl Happened<'_> {
    /// The kind of event that tells of it.
    pub fn event_type(&self) -> EventType {
        match self {
            Self::Device { existence: Existence::Began, .. } => EventType::DeviceCreated,
            Self::Device { existence: Existence::Ended, .. } => EventType::DeviceDeleted,
            Self::Connection { existence: Existence::Began, .. } => EventType::DeviceConnected,
            Self::Connection { existence: Existence::Ended, .. } => EventType::DeviceDisconnected,
            Self::Registered { record, .. } => match record.status {
                RegistrationStatus::Failed | RegistrationStatus::Disabled => {
                    EventType::RegistrationRefused
                }
                RegistrationStatus::Unassigned
                | RegistrationStatus::Assigning
                | RegistrationStatus::Assigned => EventType::RegistrationAssigned,
            },
            Self::RegistrationDeleted { .. } => EventType::RegistrationDeleted,
            Self::Entry { change: EntryChange::Created, .. } => EventType::EnrollmentCreated,
            Self::Entry { change: EntryChange::Updated, .. } => EventType::EnrollmentUpdated,
            Self::Entry { change: EntryChange::Enabled, .. } => EventType::EnrollmentEnabled,
            Self::Entry { change: EntryChange::Disabled, .. } => EventType::EnrollmentDisabled,
            Self::EntryDeleted { .. } => EventType::EnrollmentDeleted,
            Self::Test { .. } => EventType::Test,
        }
    }

    /// Where it happened.
    pub fn source(&self) -> Source {
        match self {
            Self::Device { hub, .. } | Self::Connection { hub, .. } => Source::Hub((*hub).clone()),
            Self::Registered { dps, .. }
            | Self::RegistrationDeleted { dps, .. }
            | Self::Entry { dps, .. }
            | Self::EntryDeleted { dps, .. } => Source::Dps((*dps).clone()),
            Self::Test { .. } => Source::Server,
        }
    }

    /// What it is about: `devices/{id}` as on the real hub, and alike for the rest.
    pub fn subject(&self) -> String {
        let of_entry = |id: &EntryId| match id {
            EntryId::Individual(id) => format!("enrollments/{id}"),
            EntryId::Group(id) => format!("enrollmentGroups/{id}"),
        };
        match self {
            Self::Device { device, .. } => format!("devices/{}", device.device_id),
            Self::Connection { device_id, .. } => format!("devices/{device_id}"),
            Self::Registered { record, .. } => format!("registrations/{}", record.registration_id),
            Self::RegistrationDeleted { id, .. } => format!("registrations/{id}"),
            Self::Entry { entry, .. } => of_entry(&entry.reference().id),
            Self::EntryDeleted { id, .. } => of_entry(id),
            Self::Test { subscription } => format!("eventSubscriptions/{subscription}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_one_name_on_the_wire_and_in_the_store() {
        for kind in EventType::ALL.into_iter().chain([EventType::Test]) {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        for (kind, name) in EventType::ALL.into_iter().zip(EventType::NAMES) {
            assert_eq!(kind.name(), name);
            assert_eq!(EventType::parse(&kind.name().to_ascii_uppercase()), Some(kind));
        }
        assert_eq!(EventType::parse("Muster.Events.Test"), None);
    }

    #[test]
    fn s_37_a_write_that_disables_is_told_from_one_that_does_not() {
        for (was, is, expected) in [
            (None, true, EntryChange::Created),
            (None, false, EntryChange::Created),
            (Some(true), true, EntryChange::Updated),
            (Some(false), false, EntryChange::Updated),
            (Some(true), false, EntryChange::Disabled),
            (Some(false), true, EntryChange::Enabled),
        ] {
            assert_eq!(EntryChange::of(was, is), expected, "{was:?} {is}");
        }
    }
}
