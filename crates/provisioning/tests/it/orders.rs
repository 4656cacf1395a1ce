//! Orders to provision a device anew: once, whatever its reprovision policy says.

use model::Timestamp;
use provisioning::decide::{TwinPlan, Verdict};
use provisioning::enrollment::{AllocationPolicy, GroupAttestation, ReprovisionPolicy};
use provisioning::explain::Step;
use provisioning::registration::Substatus;
use provisioning::reprovision::{DeviceData, Order, standing};
use provisioning::view::Evidence;

use crate::world::{NOW, World, host, key, keys, token};

const NEVER: ReprovisionPolicy =
    ReprovisionPolicy { update_hub_assignment: false, migrate_device_data: false };

fn order(device_data: DeviceData, seconds_after_now: i64) -> Order {
    let ordered = Timestamp::from_unix_seconds(NOW.unix_seconds() + seconds_after_now);
    Order { device_data, ordered }
}

/// A member of a group that never moves its devices, assigned to hub1; the entry says hub2 by now.
fn member() -> (World, Evidence) {
    let mut world = World::new();
    world.group("g", GroupAttestation::SymmetricKey(keys(2)));
    let evidence = token("dev", &key(2).derive("dev"));
    let settings = world.settings("g");
    settings.reprovision_policy = Some(NEVER);
    settings.allocation_policy = Some(AllocationPolicy::Static);
    settings.iot_hubs = vec![host("hub1.localhost")];
    assert!(matches!(world.register("dev", &evidence), Verdict::Assign(_)));
    world.settings("g").iot_hubs = vec![host("hub2.localhost")];
    (world, evidence)
}

fn hub_and_twin(world: &mut World, evidence: &Evidence) -> (String, Substatus, TwinPlan) {
    match world.register("dev", evidence) {
        Verdict::Assign(place) | Verdict::Keep(place) => {
            (place.to.hub.to_string(), place.substatus, place.twin)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_order_to_a_device_is_followed_once_and_explained() {
    for (data, substatus, twin) in [
        (DeviceData::Migrate, Substatus::DeviceDataMigrated, TwinPlan::Migrate),
        (DeviceData::Reset, Substatus::DeviceDataReset, TwinPlan::Reset),
    ] {
        let (mut world, evidence) = member();
        let stays = Substatus::ReprovisionedToInitialAssignment;
        let here = ("hub1.localhost".to_owned(), stays, TwinPlan::KeepOrInitial);
        assert_eq!(hub_and_twin(&mut world, &evidence), here);
        let order = order(data, 1);
        world.record.as_mut().unwrap().reprovision = Some(order);
        let moved = ("hub2.localhost".to_owned(), substatus, twin);
        assert_eq!(hub_and_twin(&mut world, &evidence), moved);
        let told = &world.record.as_ref().unwrap().explanation.steps;
        assert!(told.contains(&Step::Ordered { order }), "{told:?}");
        world.settings("g").iot_hubs = vec![host("hub1.localhost")];
        let there = ("hub2.localhost".to_owned(), stays, TwinPlan::KeepOrInitial);
        assert_eq!(hub_and_twin(&mut world, &evidence), there);
    }
}

#[test]
fn an_order_to_a_group_is_followed_once_by_the_devices_that_it_had() {
    let (mut world, evidence) = member();
    // Given by a clock that was ahead: it is followed all the same, and not twice.
    world.groups[0].reprovision = Some(order(DeviceData::Reset, 5));
    assert_eq!(hub_and_twin(&mut world, &evidence).1, Substatus::DeviceDataReset);
    assert_eq!(hub_and_twin(&mut world, &evidence).1, Substatus::ReprovisionedToInitialAssignment);
    // One that came after the order has nothing to follow.
    let (mut world, evidence) = member();
    world.groups[0].reprovision = Some(order(DeviceData::Reset, -5));
    assert_eq!(hub_and_twin(&mut world, &evidence).0, "hub1.localhost");
    // Nor has one that another entry let in, or another group of the same id.
    let (mut world, _) = member();
    world.groups[0].reprovision = Some(order(DeviceData::Reset, 5));
    world.record.as_mut().unwrap().owner.created = Timestamp::ZERO;
    let group = provisioning::enrollment::Entry::Group(&world.groups[0]);
    assert_eq!(standing(world.record.as_ref().unwrap(), Some(group)), None);
}

#[test]
fn the_later_order_goes_before_the_earlier() {
    for (of_device, of_group, followed) in [
        (order(DeviceData::Migrate, 1), order(DeviceData::Reset, 2), DeviceData::Reset),
        (order(DeviceData::Migrate, 2), order(DeviceData::Reset, 1), DeviceData::Migrate),
    ] {
        let (mut world, _) = member();
        let record = world.record.as_mut().unwrap();
        record.reprovision = Some(of_device);
        world.groups[0].reprovision = Some(of_group);
        let group = provisioning::enrollment::Entry::Group(&world.groups[0]);
        let standing = standing(world.record.as_ref().unwrap(), Some(group)).unwrap();
        assert_eq!(standing.device_data, followed);
    }
}

#[test]
fn records_of_before_orders_were_known_follow_an_order_to_their_group() {
    let (mut world, evidence) = member();
    world.record.as_mut().unwrap().assigned_at = None;
    world.groups[0].reprovision = Some(order(DeviceData::Migrate, -60));
    assert_eq!(hub_and_twin(&mut world, &evidence).0, "hub2.localhost");
}

/// L-14 is for devices that stay; one that is ordered to move has the choice of all hubs.
#[test]
fn l_14_a_webhook_is_given_every_hub_for_a_device_that_is_ordered_to_move() {
    let (mut world, evidence) = member();
    let settings = world.settings("g");
    settings.allocation_policy = Some(AllocationPolicy::Custom);
    settings.iot_hubs.clear();
    settings.custom_allocation = Some(provisioning::enrollment::CustomAllocation {
        webhook_url: "https://w.localhost/".to_owned(),
        api_version: "2021-10-01".to_owned(),
    });
    let hubs = |world: &World| match world.decision("dev", &evidence).verdict {
        Verdict::Consult(question) => question.linked_hubs.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(hubs(&world), 1);
    world.record.as_mut().unwrap().reprovision = Some(order(DeviceData::Migrate, 1));
    assert_eq!(hubs(&world), 2);
}
