//! What becomes of a device that registers again: whether it moves, what becomes of its twin, and
//! what its assignment is called.

use std::sync::Arc;

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decide::TwinPlan;
use crate::enrollment::{Entry, ReprovisionPolicy, Settings};
use crate::explain::Outcome;
use crate::registration::{Assigned, Registration, Substatus};

/// The last api-version whose devices are sticky when the entry has no policy.
const STICKY_API_VERSION_LAST: &str = "2018-04-01";

/// The first api-version whose devices are told that their identity was there already.
///
/// Source: Azure/azure-iot-sdk-csharp#2397, Azure/iotedge#3834. The SDKs of Python and Node speak
/// an earlier one, and are told `initialAssignment`.
const RETURN_TOLD_API_VERSION_FIRST: &str = "2019-04-15";

/// What becomes of a device's data when an operator has it provisioned anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeviceData {
    /// They are taken along.
    Migrate,
    /// The entry's initial twin replaces them.
    Reset,
}

/// An operator's order: at its next registration the device is allocated anew, once, whatever the
/// reprovision policy of its entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// What becomes of its data.
    pub device_data: DeviceData,
    /// When the operator said so.
    pub ordered: Timestamp,
}

impl Order {
    /// The policy that the device is provisioned by.
    pub const fn policy(self) -> ReprovisionPolicy {
        ReprovisionPolicy {
            update_hub_assignment: true,
            migrate_device_data: matches!(self.device_data, DeviceData::Migrate),
        }
    }
}

/// The order that a device has yet to follow: its own or that of the group that owns its record,
/// the later one; none for a device that was never assigned, which is allocated anyway.
///
/// An order to a group is followed by the devices that it had by then. It has no end: whoever was
/// assigned since has followed it.
pub fn standing(record: &Registration, entry: Option<Entry<'_>>) -> Option<Order> {
    record.assignment.as_ref()?;
    let of_group = match entry {
        Some(Entry::Group(group)) => group.reprovision.filter(|order| {
            record.owner == Entry::Group(group).reference()
                && record.assigned_at.is_none_or(|assigned| assigned < order.ordered)
        }),
        Some(Entry::Individual(_)) | None => None,
    };
    record.reprovision.into_iter().chain(of_group).max_by_key(|order| order.ordered)
}

/// When a device counts as assigned that an entry assigns at `now`: never before the entry's order,
/// so that a clock that was set back does not have it follow twice.
pub fn assigned_at(entry: Option<Entry<'_>>, now: Timestamp) -> Timestamp {
    match entry {
        Some(Entry::Group(group)) => group.reprovision.map_or(now, |order| order.ordered.max(now)),
        Some(Entry::Individual(_)) | None => now,
    }
}

/// Whether an identity was on its hub before a registration wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// It was made.
    Made,
    /// It was there.
    Found,
}

/// The entry's policy; without one, old devices are sticky and others migrate.
pub(crate) fn policy(settings: &Settings, api_version: &str) -> ReprovisionPolicy {
    settings.reprovision_policy.unwrap_or_else(|| match date(api_version) {
        date if date <= STICKY_API_VERSION_LAST => {
            ReprovisionPolicy { update_hub_assignment: false, migrate_device_data: false }
        }
        _ => ReprovisionPolicy::DEFAULT,
    })
}

/// what a further registration is called, and what becomes of the twin.
pub(crate) fn outcome(
    current: Option<&Assigned>,
    to: &Assigned,
    policy: ReprovisionPolicy,
    api_version: &str,
) -> (Substatus, TwinPlan) {
    match current {
        None => (Substatus::InitialAssignment, TwinPlan::KeepOrInitial),
        Some(_) if !policy.migrate_device_data => (Substatus::DeviceDataReset, TwinPlan::Reset),
        Some(current) if current == to => (unmoved(api_version), TwinPlan::KeepOrInitial),
        Some(_) => (Substatus::DeviceDataMigrated, TwinPlan::Migrate),
    }
}

/// what an assignment is called that leaves the device's data where it is.
pub(crate) fn unmoved(api_version: &str) -> Substatus {
    match date(api_version) < RETURN_TOLD_API_VERSION_FIRST {
        true => Substatus::InitialAssignment,
        false => Substatus::ReprovisionedToInitialAssignment,
    }
}

/// Corrects what a record says of its assignment, once it is known whether the identity was there:
/// a decision goes by the record, and a hub's operator may have removed the identity, or made one
/// (R-24, S-08).
pub fn identity_was(identity: Identity, record: &mut Registration, api_version: &str) {
    let told = |substatus: Substatus| match (substatus, identity) {
        (
            Substatus::InitialAssignment | Substatus::ReprovisionedToInitialAssignment,
            Identity::Found,
        ) => unmoved(api_version),
        (
            Substatus::InitialAssignment | Substatus::ReprovisionedToInitialAssignment,
            Identity::Made,
        ) => Substatus::InitialAssignment,
        (Substatus::DeviceDataMigrated | Substatus::DeviceDataReset, _) => substatus,
    };
    record.substatus = record.substatus.map(told);
    if let Outcome::Assigned { substatus, .. } = &mut Arc::make_mut(&mut record.explanation).outcome
    {
        *substatus = told(*substatus);
    }
}

/// The date of an api-version, which orders them as a text.
fn date(api_version: &str) -> &str {
    api_version.get(..10).unwrap_or(api_version)
}
