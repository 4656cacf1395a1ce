//! Reprovisioning, allocation, device ids, quota (R-20 to R-30, L-01 to L-12, D-16, T-03, T-04).

use model::DeviceId;
use provisioning::decide::{Conclusion, HubCredential, Placement, TwinPlan, Verdict};
use provisioning::enrollment::{AllocationPolicy, GroupAttestation, ReprovisionPolicy};
use provisioning::registration::{FailureKind, Substatus};
use serde_json::json;

use crate::world::{World, chain, host, key, keys, self_signed, token};

const NEVER: ReprovisionPolicy =
    ReprovisionPolicy { update_hub_assignment: false, migrate_device_data: false };
const RESET: ReprovisionPolicy =
    ReprovisionPolicy { update_hub_assignment: true, migrate_device_data: false };

fn placed(verdict: &Verdict) -> &Placement {
    match verdict {
        Verdict::Assign(place) | Verdict::Keep(place) => place,
        Verdict::Consult(_) | Verdict::Conclude(_) | Verdict::Challenge(_) | Verdict::Reject(_) => {
            panic!("not placed: {verdict:?}")
        }
    }
}

fn failure(verdict: &Verdict) -> FailureKind {
    match verdict {
        Verdict::Conclude(Conclusion::Failed { failure, .. }) => failure.kind,
        _ => panic!("not failed: {verdict:?}"),
    }
}

/// A keyed device whose entry is static on hub1.
fn on_hub1() -> World {
    let mut world = World::new();
    world.keyed("dev", keys(1));
    go_to(&mut world, "hub1.localhost");
    world
}

fn go_to(world: &mut World, hub: &str) {
    let settings = world.settings("dev");
    settings.allocation_policy = Some(AllocationPolicy::Static);
    settings.iot_hubs = vec![host(hub)];
}

fn register(world: &mut World) -> Verdict {
    world.register("dev", &token("dev", &key(1)))
}

#[test]
fn first_registration_is_the_initial_assignment() {
    let verdict = register(&mut on_hub1());
    let place = placed(&verdict);
    assert_eq!(place.substatus, Substatus::InitialAssignment);
    assert_eq!(place.twin, TwinPlan::KeepOrInitial);
    assert!(place.from.is_none());
}

#[test]
fn r_21_moving_migrates_by_default() {
    let mut world = on_hub1();
    register(&mut world);
    go_to(&mut world, "hub2.localhost");
    let verdict = register(&mut world);
    let place = placed(&verdict);
    assert_eq!(place.substatus, Substatus::DeviceDataMigrated);
    assert_eq!(place.twin, TwinPlan::Migrate);
    assert_eq!(place.from.as_ref().unwrap().hub, host("hub1.localhost"));
}

#[test]
fn r_22_reset_takes_the_initial_twin_also_on_the_same_hub() {
    let mut world = on_hub1();
    world.settings("dev").reprovision_policy = Some(RESET);
    register(&mut world);
    let same = register(&mut world);
    assert_eq!(placed(&same).substatus, Substatus::DeviceDataReset);
    assert_eq!(placed(&same).twin, TwinPlan::Reset);
    assert!(placed(&same).from.is_none());
    go_to(&mut world, "hub2.localhost");
    let moved = register(&mut world);
    assert_eq!(placed(&moved).twin, TwinPlan::Reset);
    assert!(placed(&moved).from.is_some());
}

#[test]
fn r_23_never_stays_on_its_hub() {
    let mut world = on_hub1();
    world.settings("dev").reprovision_policy = Some(NEVER);
    register(&mut world);
    go_to(&mut world, "hub2.localhost");
    let verdict = register(&mut world);
    assert!(matches!(verdict, Verdict::Keep(_)));
    assert_eq!(placed(&verdict).to.hub, host("hub1.localhost"));
}

#[test]
fn r_20_old_devices_are_sticky_without_a_policy() {
    let mut world = on_hub1();
    register(&mut world);
    go_to(&mut world, "hub2.localhost");
    let evidence = token("dev", &key(1));
    let of = |world: &World, version: &str| world.decision_of("dev", version, &evidence).verdict;
    for old in ["2017-08-31-preview", "2017-11-15", "2018-04-01"] {
        assert_eq!(placed(&of(&world, old)).to.hub, host("hub1.localhost"), "{old}");
    }
    for new in ["2018-09-01-preview", "2019-03-31", "2021-06-01"] {
        assert_eq!(placed(&of(&world, new)).to.hub, host("hub2.localhost"), "{new}");
    }
    world.settings("dev").reprovision_policy = Some(ReprovisionPolicy::DEFAULT);
    assert_eq!(placed(&of(&world, "2018-04-01")).to.hub, host("hub2.localhost"));
}

#[test]
fn s_106_a_changed_twin_is_used_by_later_initial_assignments() {
    let mut world = on_hub1();
    let twin = json!({"tags": {"site": "b"}, "properties": {"desired": {"rate": 2}}});
    world.settings("dev").initial_twin = twin.as_object().cloned();
    let verdict = register(&mut world);
    assert_eq!(placed(&verdict).initial_tags["site"], "b");
    assert_eq!(placed(&verdict).initial_desired["rate"], 2);
}

#[test]
fn s_100_individual_device_id_is_given_exactly() {
    let mut world = on_hub1();
    world.individuals[0].device_id =
        Some(DeviceId::parse("Pump #7").unwrap_or_else(|_| DeviceId::parse("Pump#7").unwrap()));
    let verdict = register(&mut world);
    assert_eq!(placed(&verdict).to.device_id.as_str(), "Pump#7");
}

#[test]
fn r_29_a_changed_device_id_does_not_rename() {
    let mut world = on_hub1();
    register(&mut world);
    world.individuals[0].device_id = Some(DeviceId::parse("other").unwrap());
    assert_eq!(placed(&register(&mut world)).to.device_id.as_str(), "dev");
    world.record = None;
    assert_eq!(placed(&register(&mut world)).to.device_id.as_str(), "other");
}

#[test]
fn s_52_t_04_group_device_id_is_the_registration_id() {
    let mut world = World::new();
    world.group("g", GroupAttestation::SymmetricKey(keys(2)));
    let evidence = token("Dev-7", &key(2).derive("Dev-7"));
    let verdict = world.register("Dev-7", &evidence);
    assert_eq!(placed(&verdict).to.device_id.as_str(), "Dev-7");
}

#[test]
fn t_03_edge_flag_reaches_the_identity() {
    let mut world = on_hub1();
    world.settings("dev").iot_edge = Some(true);
    assert_eq!(placed(&register(&mut world)).iot_edge, Some(true));
}

#[test]
fn r_30_credential_at_the_hub_is_what_was_shown_here() {
    let leaf = self_signed("x");
    let mut world = World::new();
    world.pinned("x", &leaf);
    let verdict = world.register("x", &chain(&[&leaf]));
    match &placed(&verdict).credential {
        HubCredential::SelfSigned { thumbprint } => assert_eq!(*thumbprint, leaf.thumbprint()),
        HubCredential::Sas { .. } | HubCredential::Wrapped | HubCredential::Issued(_) => {
            panic!("a certificate was shown")
        }
    }
    let mut world = World::new();
    world.group("g", GroupAttestation::SymmetricKey(keys(2)));
    let verdict = world.register("d", &token("d", &key(2).derive("d")));
    match &placed(&verdict).credential {
        HubCredential::Sas { primary, secondary } => {
            assert!(primary.same_as(&key(2).derive("d")));
            assert!(secondary.same_as(&keys(2).secondary.derive("d")));
        }
        HubCredential::SelfSigned { .. } | HubCredential::Wrapped | HubCredential::Issued(_) => {
            panic!("a token was shown")
        }
    }
}

#[test]
fn l_06_static_without_a_hub_fails() {
    let mut world = on_hub1();
    world.settings("dev").iot_hubs.clear();
    assert_eq!(failure(&register(&mut world)), FailureKind::NoHub);
}

#[test]
fn l_08_s_108_unlinked_hub_fails() {
    let mut world = on_hub1();
    go_to(&mut world, "elsewhere.localhost");
    assert_eq!(failure(&register(&mut world)), FailureKind::NoHub);
    let mut world = World::new();
    world.keyed("dev", keys(1));
    world.dps.linked_hubs.clear();
    assert_eq!(failure(&register(&mut world)), FailureKind::NoHub);
}

#[test]
fn l_02_hubs_that_take_no_part_are_never_chosen() {
    let mut world = World::new();
    world.keyed("dev", keys(1));
    world.dps.linked_hubs[0].apply_allocation_policy = false;
    assert_eq!(placed(&register(&mut world)).to.hub, host("hub2.localhost"));
    world.dps.linked_hubs[1].apply_allocation_policy = false;
    assert_eq!(failure(&register(&mut world)), FailureKind::NoHub);
}

#[test]
fn s_73_l_01_without_a_policy_the_instance_decides_over_all_hubs() {
    let mut world = World::new();
    world.group("g", GroupAttestation::SymmetricKey(keys(2)));
    let mut hubs = std::collections::BTreeSet::new();
    for number in 0..40 {
        let name = format!("d{number}");
        let verdict = world.decision(&name, &token(&name, &key(2).derive(&name))).verdict;
        hubs.insert(placed(&verdict).to.hub.clone());
    }
    assert_eq!(hubs.len(), 2);
}

#[test]
fn l_12_legacy_single_hub_is_static() {
    let mut world = World::new();
    world.keyed("dev", keys(1));
    for hub in ["hub1.localhost", "hub2.localhost"] {
        world.settings("dev").iot_hub_host_name = Some(host(hub));
        assert_eq!(placed(&register(&mut world)).to.hub, host(hub));
    }
}

#[test]
fn d_16_r_15_over_the_quota_new_ones_are_refused_and_renewals_are_not() {
    let mut world = on_hub1();
    world.dps.quota.registrations = 3;
    world.counted = 3;
    assert_eq!(world.verdict("dev", &token("dev", &key(1))), "403");
    world.counted = 2;
    register(&mut world);
    world.counted = 3;
    assert_eq!(world.verdict("dev", &token("dev", &key(1))), "assigned by dev");
    let record = world.record.as_mut().unwrap();
    record.assignment = None;
    assert_eq!(
        failure(&world.decision("dev", &token("dev", &key(1))).verdict),
        FailureKind::QuotaReached
    );
}

#[test]
fn d_16_a_stranger_is_refused_as_such_even_over_the_quota() {
    let mut world = on_hub1();
    world.dps.quota.registrations = 0;
    assert_eq!(world.verdict("dev", &token("dev", &key(9))), "401");
}
