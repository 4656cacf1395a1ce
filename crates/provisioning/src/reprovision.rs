//! What becomes of a device that registers again: whether it moves, what becomes of its twin, and
//! what its assignment is called.

use crate::decide::TwinPlan;
use crate::enrollment::{ReprovisionPolicy, Settings};
use crate::explain::Outcome;
use crate::registration::{Assigned, Registration, Substatus};

/// The last api-version whose devices are sticky when the entry has no policy.
const STICKY_API_VERSION_LAST: &str = "2018-04-01";

/// The first api-version whose devices are told that their identity was there already.
///
/// Source: Azure/azure-iot-sdk-csharp#2397, Azure/iotedge#3834. The SDKs of Python and Node speak
/// an earlier one, and are told `initialAssignment`.
const RETURN_TOLD_API_VERSION_FIRST: &str = "2019-04-15";

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
    if let Outcome::Assigned { substatus, .. } = &mut record.explanation.outcome {
        *substatus = told(*substatus);
    }
}

/// The date of an api-version, which orders them as a text.
fn date(api_version: &str) -> &str {
    api_version.get(..10).unwrap_or(api_version)
}
