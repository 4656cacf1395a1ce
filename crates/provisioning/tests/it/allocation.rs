//! The nearest hub, hubs that come and go, and where a device would be sent (L-05, L-09, L-10,
//! L-15).

use core::net::IpAddr;

use model::{EnrollmentGroupId, RegionName};
use provisioning::decide::{Conclusion, Decision, Placement, Verdict, decide, foretell};
use provisioning::enrollment::{AllocationPolicy, GroupAttestation};
use provisioning::explain::{Outcome, Step};
use provisioning::instance::{LinkedHub, Region};
use provisioning::registration::FailureKind;
use provisioning::view::{Evidence, RegistrationRequest};

use crate::world::{NOW, World, host, id, key, keys, root, token};

fn region(name: &str) -> RegionName {
    RegionName::parse(name).unwrap()
}

/// North is 10.1.0.0/16 and near hub2, its cellar 10.1.7.0/24 is near hub1; south is far from both.
fn map() -> World {
    let mut world = World::new();
    world.keyed("dev", keys(1));
    world.dps.allocation_policy = AllocationPolicy::GeoLatency;
    let of = |name: &str, networks: &[&str]| Region {
        name: region(name),
        networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
    };
    world.dps.regions = vec![
        of("north", &["10.1.0.0/16", "fd00:1::/32"]),
        of("cellar", &["10.1.7.0/24"]),
        of("south", &["10.2.0.0/16"]),
        of("moon", &["10.3.0.0/16"]),
    ];
    let [hub1, hub2] = world.dps.linked_hubs.as_mut_slice() else { panic!("two hubs") };
    hub1.latencies = [(region("north"), 80), (region("cellar"), 1), (region("south"), 50)].into();
    hub2.latencies = [(region("north"), 20), (region("south"), 50)].into();
    world
}

fn request(from: Option<&str>) -> RegistrationRequest {
    RegistrationRequest {
        registration_id: id("dev"),
        api_version: "2021-06-01".to_owned(),
        payload: None,
        csr: None,
        from: from.map(|text| text.parse::<IpAddr>().unwrap()),
    }
}

fn decision(world: &World, from: Option<&str>) -> Decision {
    let evidence = token("dev", &key(1));
    decide(&request(from), &evidence, &world.view("dev", &evidence), NOW)
}

fn placed(decision: &Decision) -> &Placement {
    match &decision.verdict {
        Verdict::Assign(place) | Verdict::Keep(place) => place,
        other => panic!("not placed: {other:?}"),
    }
}

fn hub_from(world: &World, from: &str) -> String {
    placed(&decision(world, Some(from))).to.hub.to_string()
}

#[test]
fn l_05_the_hub_with_the_least_latency_from_the_devices_region_is_chosen() {
    let world = map();
    assert_eq!(hub_from(&world, "10.1.2.3"), "hub2.localhost");
    assert_eq!(hub_from(&world, "fd00:1::7"), "hub2.localhost");
    assert_eq!(hub_from(&world, "::ffff:10.1.2.3"), "hub2.localhost", "IPv4 in IPv6's clothes");
    assert_eq!(hub_from(&world, "10.1.7.3"), "hub1.localhost", "the narrower range counts");
    let told = decision(&world, Some("10.1.2.3")).explanation.steps;
    assert!(told.contains(&Step::Near { region: region("north"), milliseconds: 20 }), "{told:?}");
    let by = AllocationPolicy::GeoLatency;
    assert!(told.contains(&Step::Allocated { hub: host("hub2.localhost"), by }), "{told:?}");
}

#[test]
fn l_05_what_takes_no_part_or_is_not_the_entrys_is_not_chosen_however_near() {
    let mut world = map();
    world.dps.linked_hubs[1].apply_allocation_policy = false;
    assert_eq!(hub_from(&world, "10.1.2.3"), "hub1.localhost");
    let mut world = map();
    world.settings("dev").iot_hubs = vec![host("hub1.localhost")];
    assert_eq!(hub_from(&world, "10.1.2.3"), "hub1.localhost");
}

#[test]
fn l_05_equals_and_the_unknown_are_left_to_the_hash() {
    let mut hashed = map();
    hashed.dps.allocation_policy = AllocationPolicy::Hashed;
    let by_hash = hub_from(&hashed, "10.1.2.3");
    let world = map();
    for from in ["10.2.0.1", "10.3.0.1", "192.0.2.1"] {
        assert_eq!(hub_from(&world, from), by_hash, "{from}");
    }
    let unknown = decision(&world, None);
    assert_eq!(placed(&unknown).to.hub.to_string(), by_hash);
    let steps = &unknown.explanation.steps;
    assert!(!steps.iter().any(|step| matches!(step, Step::Near { .. })), "{steps:?}");
    let moon = decision(&world, Some("10.3.0.1")).explanation.steps;
    assert!(!moon.iter().any(|step| matches!(step, Step::Near { .. })), "no hub has a figure");
}

#[test]
fn l_05_a_hub_without_a_figure_is_farther_than_any_with_one() {
    let mut world = map();
    world.dps.linked_hubs[0].latencies = [(region("moon"), 60_000)].into();
    assert_eq!(hub_from(&world, "10.3.0.1"), "hub1.localhost");
}

#[test]
fn l_09_an_entrys_hub_that_was_unlinked_is_no_choice() {
    let mut world = map();
    world.settings("dev").iot_hubs = vec![host("hub1.localhost"), host("hub2.localhost")];
    world.dps.linked_hubs.remove(1);
    assert_eq!(hub_from(&world, "10.1.2.3"), "hub1.localhost");
    world.dps.linked_hubs.clear();
    match decision(&world, None).verdict {
        Verdict::Conclude(Conclusion::Failed { failure, .. }) => {
            assert_eq!(failure.kind, FailureKind::NoHub);
        }
        other => panic!("not failed: {other:?}"),
    }
}

#[test]
fn l_10_l_15_a_new_hub_joins_at_once_where_an_entry_names_none() {
    let mut world = map();
    let near = LinkedHub {
        host: host("hub3.localhost"),
        latencies: [(region("north"), 3)].into(),
        ..world.dps.linked_hubs[0].clone()
    };
    world.dps.linked_hubs.push(near);
    assert_eq!(hub_from(&world, "10.1.2.3"), "hub3.localhost");
    world.settings("dev").iot_hubs = vec![host("hub1.localhost"), host("hub2.localhost")];
    assert_eq!(hub_from(&world, "10.1.2.3"), "hub2.localhost", "an explicit list is the list");
}

fn foretold(world: &World, group: Option<&str>, from: Option<&str>) -> Option<Decision> {
    let group = group.map(|name| EnrollmentGroupId::parse(name).unwrap());
    let view = world.view("dev", &Evidence::None);
    foretell(&request(from), group.as_ref(), &view, None, NOW)
}

#[test]
fn what_is_foretold_is_what_comes() {
    let world = map();
    for from in [None, Some("10.1.2.3"), Some("10.1.7.3"), Some("10.2.0.1")] {
        let (said, came) = (foretold(&world, None, from).unwrap(), decision(&world, from));
        assert_eq!(placed(&said).to, placed(&came).to, "{from:?}");
        assert_eq!(said.explanation.outcome, came.explanation.outcome);
    }
}

#[test]
fn an_allocation_is_foretold_by_the_entry_that_would_decide() {
    let mut world = map();
    world.signing("line", &root("ca"));
    world.group("keys", GroupAttestation::SymmetricKey(keys(9)));
    world.settings("keys").iot_hubs = vec![host("hub1.localhost")];
    let decides = |decision: &Decision| match &decision.explanation.steps[0] {
        Step::Decides { entry, rule } => (entry.clone(), rule.clone()),
        other => panic!("{other:?}"),
    };
    let own = foretold(&world, Some("keys"), None).unwrap();
    assert_eq!(decides(&own), (world.reference("dev"), "D-02".to_owned()), "its own goes first");
    world.disable("dev");
    let refused = foretold(&world, Some("keys"), None).unwrap();
    let entry = world.reference("dev");
    assert_eq!(refused.explanation.outcome, Outcome::Disabled { entry });
    world.remove("dev");
    assert!(foretold(&world, None, None).is_none(), "nothing would decide");
    assert!(foretold(&world, Some("nobody"), None).is_none());
    let by_group = foretold(&world, Some("keys"), Some("10.1.2.3")).unwrap();
    assert_eq!(decides(&by_group), (world.reference("keys"), "M-18".to_owned()));
    assert_eq!(placed(&by_group).to.hub, host("hub1.localhost"));
    let by_ca = foretold(&world, Some("line"), Some("10.1.2.3")).unwrap();
    assert_eq!(decides(&by_ca), (world.reference("line"), "D-05".to_owned()));
    assert_eq!(placed(&by_ca).to.hub, host("hub2.localhost"));
}
