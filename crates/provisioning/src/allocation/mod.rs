//! Which hub a device goes to.

pub mod custom;
pub mod hashed;
pub mod nearest;

use core::net::IpAddr;

use model::{HostName, RegistrationId};

use crate::enrollment::{AllocationPolicy, Settings};
use crate::instance::{Dps, LinkedHub};
use crate::registration::{Failure, FailureKind};
use nearest::Nearness;

/// The hub that was chosen, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// The hub's host name.
    pub hub: HostName,
    /// How it was chosen.
    pub by: AllocationPolicy,
    /// How near it is, where that is known and decided.
    pub nearness: Option<Nearness>,
}

/// Chooses a hub for a registration id (L-01 to L-12), by any policy but a custom one.
///
/// # Errors
/// A [`Failure`] where no hub can be chosen: none linked, none wanted, or the wanted one not
/// linked.
pub fn allocate(
    settings: &Settings,
    dps: &Dps,
    registration_id: &RegistrationId,
    from: Option<IpAddr>,
) -> Result<Allocated, Failure> {
    let by = policy(settings, dps);
    let none = || no_hub("no linked hub takes part in the allocation");
    let (hub, nearness) = match by {
        AllocationPolicy::Static => (static_hub(settings, dps)?, None),
        AllocationPolicy::Hashed => {
            let hub = hashed::choose(registration_id, &candidates(settings, dps));
            (hub.ok_or_else(none)?.host.clone(), None)
        }
        AllocationPolicy::GeoLatency => {
            let region = from.and_then(|from| nearest::region(dps, from));
            let (hub, nearness) =
                nearest::choose(registration_id, &candidates(settings, dps), region)
                    .ok_or_else(none)?;
            (hub.host.clone(), nearness)
        }
        AllocationPolicy::Custom => {
            return Err(Failure {
                kind: FailureKind::CustomAllocation,
                message: "Custom allocation is a webhook's to decide".to_owned(),
            });
        }
    };
    Ok(Allocated { hub, by, nearness })
}

/// The entry's policy, else the instance's; a legacy single hub is static (L-12).
pub(crate) fn policy(settings: &Settings, dps: &Dps) -> AllocationPolicy {
    match (settings.allocation_policy, &settings.iot_hub_host_name) {
        (Some(policy), _) => policy,
        (None, Some(_)) => AllocationPolicy::Static,
        (None, None) => dps.allocation_policy,
    }
}

/// The entry's hubs, else all; only linked ones that take part (L-02).
pub(crate) fn candidates<'d>(settings: &Settings, dps: &'d Dps) -> Vec<&'d LinkedHub> {
    dps.linked_hubs
        .iter()
        .filter(|hub| hub.apply_allocation_policy)
        .filter(|hub| settings.iot_hubs.is_empty() || settings.iot_hubs.contains(&hub.host))
        .collect()
}

fn static_hub(settings: &Settings, dps: &Dps) -> Result<HostName, Failure> {
    let wanted = match (settings.iot_hubs.as_slice(), &settings.iot_hub_host_name) {
        ([only], _) => only,
        ([], Some(legacy)) => legacy,
        ([], None) => return Err(no_hub("the enrollment is static and names no hub")),
        (_, _) => return Err(no_hub("the enrollment is static and names several hubs")),
    };
    if dps.linked_hubs.iter().any(|linked| linked.host == *wanted) {
        Ok(wanted.clone())
    } else {
        Err(no_hub(&format!("the hub {wanted} is not linked")))
    }
}

/// The failure of L-06 and L-08.
pub(crate) fn no_hub(because: &str) -> Failure {
    Failure { kind: FailureKind::NoHub, message: format!("No hub can be assigned: {because}") }
}
