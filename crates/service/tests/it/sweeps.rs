//! Jobs on hubs elsewhere that nobody waits for: which of them are taken up.

use std::sync::Arc;

use provisioning::remote::Miss;
use serde_json::json;

use crate::far::{Far, Line, link};
use crate::world::{Outside, World, key, keyed};

const FAR: &str = "far.example.com";
const FARTHER: &str = "farther.example.com";

/// Registers a device, which goes to this hub.
async fn sent_to(world: &World, device: &str, hub: &str) {
    let mut entry = keyed(1);
    entry["allocationPolicy"] = "static".into();
    entry["iotHubs"] = json!([hub]);
    match world.record(device).await {
        Some(_) => world.replace(device, &entry).await,
        None => world.put(device, &entry).await,
    }
    let evidence = world.token(device, &key(1));
    world.register(device, &evidence).await.unwrap();
    let is_there = || async {
        let assigned = world.record(device).await.unwrap().assignment;
        assigned.is_some_and(|assigned| assigned.hub.as_str() == hub)
    };
    while !is_there().await {
        tokio::task::yield_now().await;
    }
}

async fn world(line: &Arc<Line>) -> World {
    let world = World::calling(line.clone()).await;
    link(&world, FAR, 9).await;
    link(&world, FARTHER, 9).await;
    world
}

/// The devices that have a job.
async fn waiting(world: &World) -> Vec<String> {
    let jobs = world.service.jobs(&world.dps).await.unwrap();
    jobs.into_iter().map(|view| view.job.request.registration_id.to_string()).collect()
}

/// Another server over the same store, with connections of its own.
async fn restarted(world: World, far: &Arc<Far>) -> (World, Arc<Line>) {
    let line = Line::new(far);
    let outside = Outside { webhooks: None, registries: Some(line.clone()) };
    (world.anew(outside).await, line)
}

fn remove(hub: &str) -> String {
    format!("remove {hub}")
}

#[tokio::test]
async fn a_job_that_one_hub_refuses_holds_up_nobody_on_another() {
    for miss in [Miss::Unauthorized("401".to_owned()), Miss::Unreachable("silent".to_owned())] {
        let far: Arc<Far> = Arc::default();
        let line = Line::new(&far);
        let world = world(&line).await;
        for (device, from, to) in [("dev", FAR, FARTHER), ("other", FARTHER, FAR)] {
            sent_to(&world, device, from).await;
            line.refuse(&remove(from), miss.clone());
            sent_to(&world, device, to).await;
        }
        let (world, line) = restarted(world, &far).await;
        line.refuse(&remove(FAR), miss.clone());
        assert_eq!(waiting(&world).await, ["dev", "other"]);
        world.service.sweep().await.unwrap();
        assert_eq!(waiting(&world).await, ["dev"], "{miss:?}");
        assert!(far.found(FARTHER, "other").is_none() && far.found(FAR, "dev").is_some());
    }
}

#[tokio::test]
async fn a_sweep_begins_with_what_the_last_one_left_out() {
    let far: Arc<Far> = Arc::default();
    let line = Line::new(&far);
    let world = world(&line).await;
    let devices = ["a", "b", "c"];
    for device in devices {
        sent_to(&world, device, FAR).await;
    }
    line.refuse(&remove(FAR), Miss::Busy("503".to_owned()));
    for device in devices {
        sent_to(&world, device, FARTHER).await;
    }
    let (world, line) = restarted(world, &far).await;
    line.refuse(&remove(FAR), Miss::Busy("503".to_owned()));
    let mut asked = Vec::new();
    for _ in devices {
        line.asked.lock().unwrap().clear();
        world.service.sweep().await.unwrap();
        asked.extend(line.asked.lock().unwrap().first().cloned());
    }
    assert_eq!(asked, devices);
}
