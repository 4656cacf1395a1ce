//! A poll judges again (D-13).

use model::Timestamp;
use provisioning::decide::{PollVerdict, look_up, poll};
use provisioning::view::Evidence;

use crate::world::{NOW, World, chain, id, key, keys, root, self_signed, token, token_until};

fn polled(world: &World, name: &str, evidence: &Evidence, now: Timestamp) -> PollVerdict {
    let record = world.record.clone().unwrap();
    let operation = &record.operation_id;
    poll(&id(name), operation, evidence, &world.view(name, evidence), &record, now)
}

fn looked_up(world: &World, name: &str, evidence: &Evidence, now: Timestamp) -> PollVerdict {
    let record = world.record.clone().unwrap();
    look_up(&id(name), evidence, &world.view(name, evidence), &record, now)
}

fn after_seconds(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(NOW.unix_seconds() + seconds)
}

fn keyed() -> (World, Evidence) {
    let mut world = World::new();
    world.keyed("dev", keys(1));
    let evidence = token("dev", &key(1));
    world.register("dev", &evidence);
    (world, evidence)
}

#[test]
fn d_13_poll_tells_the_record_while_the_entry_stands() {
    let (world, evidence) = keyed();
    assert_eq!(polled(&world, "dev", &evidence, NOW), PollVerdict::Stored);
}

#[test]
fn d_13_poll_after_a_disable_is_disabled() {
    let (mut world, evidence) = keyed();
    world.disable("dev");
    assert_eq!(polled(&world, "dev", &evidence, NOW), PollVerdict::Disabled);
}

#[test]
fn d_13_poll_after_a_delete_is_disabled() {
    let (mut world, evidence) = keyed();
    world.remove("dev");
    assert_eq!(polled(&world, "dev", &evidence, NOW), PollVerdict::Disabled);
    let view = world.view("dev", &evidence);
    let guess = poll(&id("dev"), "5.0.0", &evidence, &view, &world.record.unwrap(), NOW);
    assert_eq!(guess, PollVerdict::Stranger, "who does not know the operation");
}

#[test]
fn d_13_poll_after_delete_and_recreation_is_disabled() {
    let (mut world, evidence) = keyed();
    world.remove("dev");
    world.keyed("dev", keys(1));
    assert_eq!(polled(&world, "dev", &evidence, NOW), PollVerdict::Disabled);
}

#[test]
fn d_13_a_new_disabled_entry_for_the_leaf_stops_the_poll() {
    let r = root("R");
    let leaf = r.leaf("dev");
    let mut world = World::new();
    world.verified(&r);
    world.signing("R", &r);
    let evidence = chain(&[&leaf]);
    world.register("dev", &evidence);
    assert_eq!(polled(&world, "dev", &evidence, NOW), PollVerdict::Stored);
    world.pinned("disallow", &leaf);
    world.disable("disallow");
    assert_eq!(polled(&world, "dev", &evidence, NOW), PollVerdict::Disabled);
}

#[test]
fn a_stranger_is_told_nothing_by_a_poll() {
    let (world, _) = keyed();
    assert_eq!(polled(&world, "dev", &token("dev", &key(9)), NOW), PollVerdict::Stranger);
    assert_eq!(polled(&world, "dev", &Evidence::None, NOW), PollVerdict::Stranger);
    let other = chain(&[&self_signed("dev")]);
    assert_eq!(polled(&world, "dev", &other, NOW), PollVerdict::Stranger);
}

#[test]
fn d_03_a_look_up_tells_strangers_nothing_of_an_orphan() {
    let (mut world, evidence) = keyed();
    assert_eq!(looked_up(&world, "dev", &evidence, NOW), PollVerdict::Stored);
    world.disable("dev");
    assert_eq!(looked_up(&world, "dev", &evidence, NOW), PollVerdict::Disabled);
    world.remove("dev");
    for evidence in [&evidence, &Evidence::None, &chain(&[&self_signed("dev")])] {
        assert_eq!(looked_up(&world, "dev", evidence, NOW), PollVerdict::Stranger);
    }
}

#[test]
fn a_token_that_was_good_at_the_start_is_good_for_polls_a_while() {
    let mut world = World::new();
    world.keyed("dev", keys(1));
    let evidence = token_until("dev", &key(1), after_seconds(30));
    world.register("dev", &evidence);
    let later = after_seconds(599);
    assert_eq!(polled(&world, "dev", &evidence, later), PollVerdict::Stored);
    assert_eq!(looked_up(&world, "dev", &evidence, later), PollVerdict::Stranger);
    assert_eq!(polled(&world, "dev", &evidence, after_seconds(600)), PollVerdict::Stranger);
    let never_good = token_until("dev", &key(1), Timestamp::from_unix_seconds(1));
    assert_eq!(polled(&world, "dev", &never_good, later), PollVerdict::Stranger);
}
