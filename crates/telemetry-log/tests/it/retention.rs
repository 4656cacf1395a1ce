//! What is dropped, and what stays.

use std::sync::Arc;
use std::time::Duration;

use store::telemetry::TelemetryLog;
use telemetry_log::{Dropped, Keep, Log, Options};
use tempfile::TempDir;

use crate::support::{append, at, event, hub, one_partition, open, read_on, segments};

const ALL: Keep = Keep { age: Duration::MAX, bytes: u64::MAX };

/// Ten segments of one partition with three events each; event `n` came at second `10 n`.
async fn thirty_events(root: &std::path::Path) -> Log {
    let log = open(root, Options { segment_bytes: 250, ..one_partition() });
    for number in 0..30_u8 {
        let mut event = event("d", &[number; 20]);
        event.enqueued = at(10 * i64::from(number));
        append(&log, event).await;
    }
    assert_eq!(segments(root, 0).len(), 10);
    log
}

fn reopened(log: Log, root: &std::path::Path) -> Log {
    drop(log);
    open(root, one_partition())
}

#[tokio::test]
async fn segments_go_when_all_their_events_are_too_old() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    let mut log = thirty_events(root).await;
    let keep = Keep { age: Duration::from_secs(100), ..ALL };
    // Event 3 begins the second segment, at 30 s.
    for (now, first) in [(0, 0), (130, 0), (131, 3), (160, 3), (161, 6), (130, 6)] {
        log.retain(&hub(), keep, at(now)).await.unwrap();
        assert_eq!(log.bounds(&hub(), 0).unwrap(), first..30, "at {now}");
        assert_eq!(read_on(&log, 0, 0).await[0].0.sequence, first);
        log = reopened(log, root);
        assert_eq!(log.bounds(&hub(), 0).unwrap(), first..30, "at {now}, reopened");
    }
    let dropped = log.retain(&hub(), keep, at(1_000_000)).await.unwrap();
    assert_eq!(dropped.segments, 7);
    assert_eq!(log.bounds(&hub(), 0).unwrap(), 27..30, "the active segment stays");
    assert_eq!(append(&log, event("d", b"x")).await.sequence, 30);
    assert_eq!(read_on(&log, 0, 0).await.len(), 4);
}

#[tokio::test]
async fn the_oldest_segments_go_while_there_are_too_many_bytes() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    let log = thirty_events(root).await;
    let size = segments(root, 0)[0].metadata().unwrap().len();
    assert_eq!(log.retain(&hub(), ALL, at(0)).await.unwrap(), Dropped::default());
    let exact = Keep { bytes: 10 * size, ..ALL };
    assert_eq!(log.retain(&hub(), exact, at(0)).await.unwrap(), Dropped::default());
    let less = Keep { bytes: 10 * size - 1, ..ALL };
    let one = Dropped { segments: 1, bytes: size };
    assert_eq!(log.retain(&hub(), less, at(0)).await.unwrap(), one);
    assert_eq!(log.bounds(&hub(), 0).unwrap(), 3..30);
    let log = reopened(log, root);
    log.retain(&hub(), Keep { bytes: 0, ..ALL }, at(0)).await.unwrap();
    assert_eq!(log.bounds(&hub(), 0).unwrap(), 27..30, "the active segment stays");
    assert_eq!(segments(root, 0).len(), 1);
}

#[tokio::test]
async fn bytes_are_counted_over_partitions_and_the_oldest_goes_first() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    let options = Options { partitions: 2, segment_bytes: 1, ..Options::default() };
    let log = open(root, options);
    let names: Vec<_> = (0..20).map(|number| format!("d{number}")).collect();
    let of = |partition: u32| {
        let device = |name: &&String| {
            let id = model::DeviceId::parse(name).unwrap();
            hub::telemetry::partition(&id, 2) == partition
        };
        names.iter().find(device).unwrap().as_str()
    };
    for (device, seconds) in [(of(1), 0), (of(0), 10), (of(1), 20), (of(0), 30), (of(1), 40)] {
        let mut event = event(device, b"x");
        event.enqueued = at(seconds);
        append(&log, event).await;
    }
    let mut total: u64 = [0, 1]
        .iter()
        .flat_map(|it| segments(root, *it))
        .map(|it| it.metadata().unwrap().len())
        .sum();
    let mut firsts = Vec::new();
    for _ in 0..4 {
        let dropped = log.retain(&hub(), Keep { bytes: total - 1, ..ALL }, at(0)).await.unwrap();
        total -= dropped.bytes;
        firsts.push([0, 1].map(|it| log.bounds(&hub(), it).unwrap().start));
    }
    assert_eq!(firsts, [[0, 1], [1, 1], [1, 2], [1, 2]]);
}

#[tokio::test]
async fn an_unreadable_segment_does_not_keep_what_is_before_it() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    let log = thirty_events(root).await;
    drop(log);
    std::fs::write(&segments(root, 0)[1], "damaged").unwrap();
    let log = open(root, one_partition());
    let keep = Keep { age: Duration::from_secs(100), ..ALL };
    log.retain(&hub(), keep, at(160)).await.unwrap();
    assert_eq!(log.bounds(&hub(), 0).unwrap(), 0..30);
    log.retain(&hub(), keep, at(161)).await.unwrap();
    assert_eq!(log.bounds(&hub(), 0).unwrap(), 6..30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_go_on_while_segments_are_dropped() {
    let directory = TempDir::new().unwrap();
    let options = Options { segment_bytes: 200, ..one_partition() };
    let log = Arc::new(open(directory.path(), options));
    append(&log, event("d", b"x")).await;
    let dropping = tokio::spawn({
        let log = Arc::clone(&log);
        async move {
            for number in 0..1500 {
                append(&log, event("d", b"x")).await;
                if number % 5 == 0 {
                    log.retain(&hub(), Keep { bytes: 500, ..ALL }, at(0)).await.unwrap();
                }
            }
        }
    });
    let mut lagging = 0;
    while !dropping.is_finished() {
        // Always from the beginning, which is what goes away.
        let events = log.read(&hub(), 0, 0, 10).await.unwrap();
        lagging = events.first().map_or(lagging, |(position, _)| position.sequence);
        for (at, (position, _)) in (lagging..).zip(&events) {
            assert_eq!(position.sequence, at);
        }
    }
    dropping.await.unwrap();
    assert!(lagging > 0);
}
