//! The nearest hub, by the latencies that the operator has told (L-05).

use core::net::IpAddr;

use model::{RegionName, RegistrationId};

use super::hashed;
use crate::instance::{Dps, LinkedHub};

/// How near a hub is that was chosen for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearness {
    /// The region that the device is in.
    pub region: RegionName,
    /// From there to the hub.
    pub milliseconds: u32,
}

/// The region of an address: of several that have it the one with the narrowest range, and of
/// equals the first.
pub fn region(dps: &Dps, from: IpAddr) -> Option<&RegionName> {
    let mut found: Option<(u8, &RegionName)> = None;
    for region in &dps.regions {
        for network in region.networks.iter().filter(|network| network.contains(from)) {
            if found.is_none_or(|(bits, _)| network.bits() > bits) {
                found = Some((network.bits(), &region.name));
            }
        }
    }
    found.map(|(_, name)| name)
}

/// Chooses the hub with the least latency from the device's region, of equals by the weighted
/// hash. A hub without a figure is farther than any with one; where none has, the hash decides.
pub fn choose<'h>(
    registration_id: &RegistrationId,
    candidates: &[&'h LinkedHub],
    region: Option<&RegionName>,
) -> Option<(&'h LinkedHub, Option<Nearness>)> {
    let figure = |hub: &LinkedHub| hub.latencies.get(region?).copied();
    let least = candidates.iter().filter_map(|hub| figure(hub)).min();
    let near: Vec<&LinkedHub> =
        candidates.iter().copied().filter(|hub| figure(hub) == least).collect();
    let nearness = region
        .zip(least)
        .map(|(region, milliseconds)| Nearness { region: region.clone(), milliseconds });
    hashed::choose(registration_id, &near).map(|hub| (hub, nearness))
}
