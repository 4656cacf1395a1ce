//! The nearest hub, where a device would go, and twins that no hub takes (L-05, T-02).

use model::{RegionName, limits};
use provisioning::enrollment::AllocationPolicy;
use provisioning::explain::{Outcome, Step};
use provisioning::instance::Region;
use provisioning::registration::FailureKind;
use provisioning::view::RegistrationRequest;
use serde_json::json;
use service::{ApiError, DpsRequest, Foretelling, LinkRequest};

use crate::world::{World, call, device_id, group_id, host, id, key, keyed};

fn north() -> RegionName {
    RegionName::parse("north").unwrap()
}

/// A device in 10.1.0.0/16 is near hub2.
async fn map() -> World {
    let world = World::new().await;
    let regions = vec![Region { name: north(), networks: vec!["10.1.0.0/16".parse().unwrap()] }];
    let request = DpsRequest {
        allocation_policy: Some(AllocationPolicy::GeoLatency),
        regions: Some(regions),
        ..DpsRequest::default()
    };
    world.service.put_dps(&call(), &world.dps, request).await.unwrap();
    for (hub, milliseconds) in [("hub1.localhost", 90), ("hub2.localhost", 4)] {
        let latencies = Some([(north(), milliseconds)].into());
        let request = LinkRequest { latencies, ..LinkRequest::default() };
        world.service.put_link(&call(), &world.dps, &host(hub), &request).await.unwrap();
    }
    world
}

fn asked(name: &str, from: &str) -> Foretelling {
    Foretelling {
        request: RegistrationRequest {
            registration_id: id(name),
            api_version: "2021-06-01".to_owned(),
            payload: None,
            csr: None,
            from: Some(from.parse().unwrap()),
        },
        group: None,
        ask_webhook: false,
    }
}

#[tokio::test]
async fn l_05_the_nearest_hub_is_foretold_and_nothing_is_written() {
    let world = map().await;
    world.put("dev", &keyed(1)).await;
    let told = world.service.foretell(&world.dps, &asked("dev", "10.1.2.3")).await.unwrap();
    let Outcome::Assigned { hub, .. } = &told.outcome else { panic!("{told:?}") };
    assert_eq!(hub.as_str(), "hub2.localhost");
    assert!(told.steps.contains(&Step::Near { region: north(), milliseconds: 4 }), "{told:?}");
    assert!(world.record("dev").await.is_none());
    let mut view = world.store.device(&host("hub2.localhost"), &device_id("dev")).await;
    assert!(view.as_mut().unwrap().is_none());
    let strange = world.service.foretell(&world.dps, &asked("nobody", "10.1.2.3")).await;
    assert!(matches!(strange, Err(ApiError::NotFound)), "{strange:?}");
}

#[tokio::test]
async fn relinking_keeps_what_is_not_said() {
    let world = map().await;
    let hub = host("hub1.localhost");
    let link = async |request: LinkRequest| {
        let dps = world.service.put_link(&call(), &world.dps, &hub, &request).await.unwrap();
        let link = dps.linked_hubs.iter().find(|link| link.host == hub).unwrap();
        (link.allocation_weight, link.apply_allocation_policy, link.latencies.clone())
    };
    let said = LinkRequest {
        allocation_weight: Some(7),
        apply_allocation_policy: Some(false),
        ..LinkRequest::default()
    };
    assert_eq!(link(said).await, (7, false, [(north(), 90)].into()));
    assert_eq!(link(LinkRequest::default()).await, (7, false, [(north(), 90)].into()));
    let none = LinkRequest { latencies: Some([].into()), ..LinkRequest::default() };
    assert_eq!(link(none).await, (7, false, [].into()));
}

#[tokio::test]
async fn regions_and_latencies_out_of_bounds_are_refused() {
    let world = map().await;
    let with =
        |regions: Vec<Region>| DpsRequest { regions: Some(regions), ..DpsRequest::default() };
    let region = |name: &str, networks: usize| Region {
        name: RegionName::parse(name).unwrap(),
        networks: vec!["10.1.0.0/16".parse().unwrap(); networks],
    };
    let many = |count: usize| (0..count).map(|n| region(&format!("r{n}"), 1)).collect::<Vec<_>>();
    for (regions, because) in [
        (vec![region("a", 1), region("a", 1)], "a is there twice"),
        (vec![region("a", limits::REGION_NETWORKS_MAX + 1)], "more than"),
        (many(limits::REGIONS_MAX + 1), "more than"),
    ] {
        let refused = world.service.put_dps(&call(), &world.dps, with(regions)).await;
        assert!(
            matches!(&refused, Err(ApiError::Invalid(text)) if text.contains(because)),
            "{because}: {refused:?}"
        );
    }
    world.service.put_dps(&call(), &world.dps, with(many(limits::REGIONS_MAX))).await.unwrap();
    let latencies = Some([(north(), limits::LATENCY_MILLISECONDS_MAX + 1)].into());
    let request = LinkRequest { latencies, ..LinkRequest::default() };
    let hub = host("hub1.localhost");
    let refused = world.service.put_link(&call(), &world.dps, &hub, &request).await;
    assert!(matches!(refused, Err(ApiError::Invalid(_))), "{refused:?}");
}

#[tokio::test]
async fn t_02_a_first_twin_that_no_hub_takes_fails_and_can_be_mended() {
    let world = World::new().await;
    let large = "x".repeat(4_000);
    let with = |twin: serde_json::Value| {
        let mut entry = keyed(1);
        entry["initialTwin"] = twin;
        entry
    };
    let token = world.token("dev", &key(1));
    for (number, twin) in [
        json!({"tags": {"a": large, "b": large, "c": large}}),
        json!({"properties": {"desired": {"dotted.key": 1}}}),
    ]
    .into_iter()
    .enumerate()
    {
        match number {
            0 => world.put("dev", &with(twin)).await,
            _ => world.replace("dev", &with(twin)).await,
        }
        assert_eq!(world.outcome("dev", &token).await, "failed");
        let record = world.record("dev").await.unwrap();
        assert_eq!(record.failure.as_ref().unwrap().kind, FailureKind::HubRefused);
        let steps = &record.explanation.steps;
        let told = |step: &Step| matches!(step, Step::Provisioned { result, .. } if result.contains("initial twin"));
        assert!(steps.iter().any(told), "{steps:?}");
        assert!(world.device("dev").await.is_none());
        let said = world.service.foretell(&world.dps, &asked("dev", "10.1.2.3")).await.unwrap();
        assert_eq!(said.outcome, record.explanation.outcome, "and it is foretold");
    }
    world.replace("dev", &with(json!({"tags": {"a": large}}))).await;
    assert_eq!(world.outcome("dev", &token).await, "assigned");
    // A device that is on its hub has its twin there: the entry's is nothing to it.
    world.replace("dev", &with(json!({"tags": {"a.b": 1}}))).await;
    assert_eq!(world.outcome("dev", &token).await, "assigned");
}

#[tokio::test]
async fn a_group_that_is_named_is_foretold_for() {
    let world = map().await;
    world.put_group("line", &keyed(2)).await;
    let mut asked = asked("new", "10.1.2.3");
    assert!(world.service.foretell(&world.dps, &asked).await.is_err());
    asked.group = Some(group_id("line"));
    let told = world.service.foretell(&world.dps, &asked).await.unwrap();
    assert!(matches!(told.outcome, Outcome::Assigned { .. }), "{told:?}");
}
