//! Event subscriptions and what is on its way to them.

use events::{Dead, DeadReason, Delivery, Queued, Source};

use super::fixtures::{at, delivery, dps, service, subscription, subscription_name};
use super::{conflict, write};
use crate::{Commit, Condition, Deliveries, DeliveryCount, Store, Write};

async fn queued(store: &dyn Store, name: &str, which: Deliveries) -> Vec<Queued> {
    store.deliveries(&subscription_name(name), which, 0, 100).await.unwrap()
}

async fn ids(store: &dyn Store, name: &str, which: Deliveries) -> Vec<String> {
    queued(store, name, which).await.into_iter().map(|row| row.delivery.event.id).collect()
}

fn queue(name: &str, number: i64) -> Write {
    Write::Delivery(Box::new(delivery(name, number)))
}

fn subscribe(name: &str) -> Write {
    Write::Subscription(Box::new(subscription(name, 1)))
}

/// As they were written, in the order of their names.
pub async fn subscriptions_come_back_by_name(store: &dyn Store) {
    assert!(store.subscriptions().await.unwrap().is_empty());
    write(store, vec![subscribe("sub-b"), subscribe("sub-a")]).await;
    let found = store.subscriptions().await.unwrap();
    let values: Vec<_> = found.iter().map(|row| row.value.clone()).collect();
    assert_eq!(values, [subscription("sub-a", 1), subscription("sub-b", 1)]);
    write(store, vec![Write::DeleteSubscription(subscription_name("sub-a"))]).await;
    assert_eq!(store.subscriptions().await.unwrap().len(), 1);
}

/// Each has a number that is never another's, and is found by what became of it.
pub async fn deliveries_come_in_the_order_of_commits_by_what_became_of_them(store: &dyn Store) {
    write(store, vec![subscribe("sub-a"), subscribe("sub-b"), queue("sub-a", 2)]).await;
    write(store, vec![queue("sub-a", 1), queue("sub-b", 3), queue("sub-a", 4)]).await;
    let all = queued(store, "sub-a", Deliveries::Waiting).await;
    assert_eq!(all[0].delivery, delivery("sub-a", 2));
    assert_eq!(ids(store, "sub-a", Deliveries::Waiting).await, ["event-2", "event-1", "event-4"]);
    assert!(all.is_sorted_by_key(|row| row.number));
    let behind = store
        .deliveries(&subscription_name("sub-a"), Deliveries::Waiting, all[0].number, 1)
        .await
        .unwrap();
    assert_eq!(behind, all[1..2]);
    let mut dead = all[1].delivery.clone();
    dead.dead = Some(Dead { reason: DeadReason::TimeToLiveExceeded, at: at(9) });
    let changed = vec![
        Write::Redelivery(all[1].number, Box::new(dead.clone())),
        Write::DeleteDelivery(all[0].number),
        Write::DeleteDelivery(u64::MAX / 2),
        Write::Redelivery(all[0].number, Box::new(dead.clone())),
    ];
    write(store, changed).await;
    assert_eq!(ids(store, "sub-a", Deliveries::Waiting).await, ["event-4"]);
    let buried = queued(store, "sub-a", Deliveries::Dead).await;
    assert_eq!(buried, [Queued { number: all[1].number, delivery: dead.clone() }]);
    let count = store.delivery_count(&subscription_name("sub-a")).await.unwrap();
    assert_eq!(count, DeliveryCount { waiting: 1, dead: 1 });
    write(store, vec![Write::Redelivery(all[1].number, Box::new(dead.again(at(9))))]).await;
    assert_eq!(ids(store, "sub-a", Deliveries::Waiting).await, ["event-1", "event-4"]);
    assert_eq!(ids(store, "sub-b", Deliveries::Waiting).await, ["event-3"]);
}

/// A delivery to `sub-a` about a device.
fn about(device: &str, number: i64) -> Delivery {
    let mut delivery = delivery("sub-a", number);
    delivery.event.subject = format!("devices/{device}");
    delivery
}

/// One subject's queue is no other's, in whatever order its events go, die and come back.
pub async fn first_of_each_subject_is_found_whatever_becomes_of_the_one_before(store: &dyn Store) {
    let firsts = async |limit| {
        let found = store.first_deliveries(&subscription_name("sub-a"), limit).await.unwrap();
        found.into_iter().map(|row| row.delivery.event.id).collect::<Vec<_>>()
    };
    let queue = |device, number| Write::Delivery(Box::new(about(device, number)));
    write(store, vec![subscribe("sub-a"), subscribe("sub-b")]).await;
    write(store, vec![queue("x", 5), queue("x", 2), queue("x", 3), queue("y", 4)]).await;
    let mut other = about("x", 1);
    other.event.source = Source::Hub(service("hub-b"));
    let elsewhere = Write::Delivery(Box::new(delivery("sub-b", 9)));
    write(store, vec![Write::Delivery(Box::new(other)), elsewhere]).await;
    // By when they are due.
    assert_eq!(firsts(100).await, ["event-1", "event-4", "event-5"]);
    assert_eq!(firsts(2).await, ["event-1", "event-4"]);
    let rows = queued(store, "sub-a", Deliveries::Waiting).await;
    let (first, second, third) = (&rows[0], &rows[1], &rows[2]);
    let buried = |row: &Queued| {
        let dead = Some(Dead { reason: DeadReason::TimeToLiveExceeded, at: at(9) });
        Write::Redelivery(row.number, Box::new(Delivery { dead, ..row.delivery.clone() }))
    };
    write(store, vec![buried(first)]).await;
    assert_eq!(firsts(100).await, ["event-1", "event-2", "event-4"]);
    // One that is not the first goes, and then the first.
    write(store, vec![buried(third), Write::DeleteDelivery(second.number)]).await;
    assert_eq!(firsts(100).await, ["event-1", "event-4"]);
    let again =
        |row: &Queued| Write::Redelivery(row.number, Box::new(row.delivery.clone().again(at(8))));
    write(store, vec![again(third)]).await;
    assert_eq!(firsts(100).await, ["event-1", "event-4", "event-3"]);
    write(store, vec![again(first)]).await;
    assert_eq!(firsts(100).await, ["event-1", "event-4", "event-5"]);
    // A try that came to nothing leaves it the first.
    let later = Delivery { due: at(9), ..first.delivery.clone() };
    write(store, vec![Write::Redelivery(first.number, Box::new(later))]).await;
    assert_eq!(firsts(100).await, ["event-1", "event-4", "event-5"]);
    write(store, vec![Write::DeleteDelivery(first.number)]).await;
    assert_eq!(firsts(100).await, ["event-1", "event-4", "event-3"]);
    write(store, vec![Write::DeleteSubscription(subscription_name("sub-a"))]).await;
    assert!(firsts(100).await.is_empty());
}

/// What is on its way to a subscription is gone with it, and not with a write to it.
pub async fn delivery_goes_with_its_subscription(store: &dyn Store) {
    write(store, vec![subscribe("sub-a"), queue("sub-a", 1)]).await;
    write(store, vec![subscribe("sub-a")]).await;
    assert_eq!(ids(store, "sub-a", Deliveries::Waiting).await, ["event-1"]);
    write(store, vec![Write::DeleteSubscription(subscription_name("sub-a"))]).await;
    write(store, vec![subscribe("sub-a")]).await;
    assert!(queued(store, "sub-a", Deliveries::Waiting).await.is_empty());
}

/// A subscription may go while a commit tells it something: the commit is applied all the same.
pub async fn delivery_to_nobody_is_none(store: &dyn Store) {
    write(store, vec![queue("sub-a", 1), Write::Dps(Box::new(dps("dps-a")))]).await;
    assert!(store.instance(&service("dps-a")).await.unwrap().is_some());
    write(store, vec![subscribe("sub-a")]).await;
    assert!(queued(store, "sub-a", Deliveries::Waiting).await.is_empty());
}

/// Nothing is told of what did not happen.
pub async fn refused_commit_queues_nothing(store: &dyn Store) {
    write(store, vec![subscribe("sub-a"), Write::Dps(Box::new(dps("dps-a")))]).await;
    let stale = Condition::Instance { dps: service("dps-a"), generation: None };
    conflict(store, vec![stale], vec![queue("sub-a", 1)]).await;
    assert!(queued(store, "sub-a", Deliveries::Waiting).await.is_empty());
    store.commit(Commit { writes: vec![queue("sub-a", 2)], ..Commit::default() }).await.unwrap();
    assert_eq!(ids(store, "sub-a", Deliveries::Waiting).await, ["event-2"]);
}
