//! Appending and reading.

use std::collections::HashMap;
use std::sync::Arc;

use hub::telemetry::{AuthType, Position};
use model::{HostName, Timestamp};
use store::telemetry::TelemetryLog;
use telemetry_log::{Counters, Log, Options};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::{
    append, at, bodies, event, fault, hub, one_partition, open, read_on, segments,
};

#[tokio::test]
async fn every_field_comes_back_also_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let mut full = event("Dev:1-$%'", "жук 🐞".as_bytes());
    full.generation_id = i64::MIN;
    full.auth_type = AuthType::X509;
    full.enqueued = Timestamp::from_unix_ticks(-1);
    full.system_properties = vec![("$.mid".into(), "ä".into()), ("$.mid".into(), String::new())];
    full.properties = vec![
        ("key".into(), Some("wert=&?".into())),
        ("no value".into(), None),
        ("empty".into(), Some(String::new())),
        (String::new(), Some("日本".into())),
    ];
    let empty = event("d", b"");
    let large = event("d", &vec![0xa5; 256 * 1024]);
    let zeros = event("d", &[0; 100]);
    let events = [full, empty, large, zeros];

    let log = open(directory.path(), one_partition());
    for (sequence, event) in (0..).zip(&events) {
        let position = append(&log, event.clone()).await;
        assert_eq!(position, Position { partition: 0, sequence });
    }
    let expected: Vec<_> =
        (0..).map(|sequence| Position { partition: 0, sequence }).zip(events).collect();
    assert_eq!(read_on(&log, 0, 0).await, expected);
    drop(log);
    let log = open(directory.path(), one_partition());
    assert_eq!(read_on(&log, 0, 0).await, expected);
    assert_eq!(append(&log, event("d", b"next")).await.sequence, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_device_keeps_its_order_in_one_partition_without_gaps() {
    let directory = TempDir::new().unwrap();
    let log = Arc::new(open(directory.path(), Options::default()));
    let mut devices = JoinSet::new();
    for device in 0..40 {
        let log = Arc::clone(&log);
        devices.spawn(async move {
            for number in 0..50_u8 {
                append(&log, event(&format!("device-{device}"), &[number])).await;
            }
        });
    }
    devices.join_all().await;
    let Counters { events, syncs, .. } = log.counters(&hub()).unwrap();
    println!("{events} events of 40 devices took {syncs} syncs");
    let mut seen: HashMap<String, (u32, Vec<u8>)> = HashMap::new();
    for partition in 0..4 {
        let events = read_on(&log, partition, 0).await;
        for (sequence, (position, event)) in (0..).zip(events) {
            assert_eq!(position, Position { partition, sequence });
            assert_eq!(hub::telemetry::partition(&event.device_id, 4), partition);
            let device = event.device_id.to_string();
            let (_, numbers) = seen.entry(device).or_insert((partition, Vec::new()));
            numbers.extend(event.body);
        }
    }
    assert_eq!(seen.len(), 40);
    for (device, (_, numbers)) in seen {
        assert_eq!(numbers, (0..50).collect::<Vec<u8>>(), "{device}");
    }
}

#[tokio::test]
async fn reads_begin_anywhere_and_cross_segments() {
    let directory = TempDir::new().unwrap();
    let options = Options { segment_bytes: 1000, ..one_partition() };
    let log = open(directory.path(), options.clone());
    for number in 0..100_u8 {
        append(&log, event("d", &[number; 150])).await;
    }
    assert!(segments(directory.path(), 0).len() > 15);
    let check = async |log: &Log| {
        for from in 0..=101_u64 {
            for limit in [0, 1, 7, 1000] {
                let events = log.read(&hub(), 0, from, limit).await.unwrap();
                let sequences: Vec<_> = events.iter().map(|(at, _)| at.sequence).collect();
                let expected: Vec<_> = (from..100).take(limit).collect();
                assert_eq!(sequences, expected, "from {from}, limit {limit}");
                assert!(events.iter().all(|(at, it)| u64::from(it.body[0]) == at.sequence));
            }
        }
    };
    check(&log).await;
    drop(log);
    check(&open(directory.path(), options)).await;
}

#[tokio::test]
async fn a_long_segment_is_read_from_any_place() {
    let directory = TempDir::new().unwrap();
    let log = open(directory.path(), one_partition());
    for number in 0..120_u8 {
        append(&log, event("d", &vec![number; 10_000])).await;
    }
    let check = async |log: Log| {
        for from in (0..120).rev() {
            let events = log.read(&hub(), 0, from, 1).await.unwrap();
            assert_eq!(events[0].0.sequence, from);
            assert_eq!(u64::from(events[0].1.body[0]), from);
        }
    };
    check(log).await;
    check(open(directory.path(), one_partition())).await;
    // As an older segment, which nobody has read yet.
    let next = Options { segment_bytes: 1, ..one_partition() };
    append(&open(directory.path(), next), event("d", b"x")).await;
    assert_eq!(segments(directory.path(), 0).len(), 2);
    check(open(directory.path(), one_partition())).await;
}

#[tokio::test]
async fn one_read_is_bounded_in_bytes() {
    let directory = TempDir::new().unwrap();
    let log = open(directory.path(), one_partition());
    for _ in 0..8 {
        append(&log, event("d", &vec![1; 1_000_000])).await;
    }
    assert_eq!(log.read(&hub(), 0, 0, 100).await.unwrap().len(), 5);
    assert_eq!(log.read(&hub(), 0, 5, 100).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_beside_the_writer_sees_each_event_once() {
    let directory = TempDir::new().unwrap();
    let options = Options { segment_bytes: 5000, ..one_partition() };
    let log = Arc::new(open(directory.path(), options));
    append(&log, event("d", &0_u64.to_be_bytes())).await;
    let writer = tokio::spawn({
        let log = Arc::clone(&log);
        async move {
            for number in 1..3000_u64 {
                append(&log, event("d", &number.to_be_bytes())).await;
            }
        }
    });
    let mut next = 0;
    while next < 3000 {
        for (position, event) in log.read(&hub(), 0, next, 100).await.unwrap() {
            assert_eq!(position.sequence, next);
            assert_eq!(event.body, next.to_be_bytes());
            next += 1;
        }
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn nothing_is_made_before_the_first_event() {
    let directory = TempDir::new().unwrap();
    let log = open(directory.path(), Options::default());
    assert!(log.read(&hub(), 0, 0, 10).await.unwrap().is_empty());
    assert_eq!(log.bounds(&hub(), 0).unwrap(), 0..0);
    assert_eq!(log.partitions(&hub()).unwrap(), 4);
    assert!(log.hubs().is_empty());
    assert!(!directory.path().join(hub().as_str()).exists());
    append(&log, event("d", b"x")).await;
    assert_eq!(log.hubs(), [hub()]);
    let filled = std::fs::read_dir(directory.path().join(hub().as_str())).unwrap().count();
    assert_eq!(filled, 2, "a manifest, and the one partition that has an event");
}

#[tokio::test]
async fn an_existing_log_keeps_its_number_of_partitions() {
    let directory = TempDir::new().unwrap();
    let two = Options { partitions: 2, ..Options::default() };
    append(&open(directory.path(), two), event("d", b"x")).await;
    let log = open(directory.path(), Options { partitions: 8, ..Options::default() });
    assert_eq!(log.partitions(&hub()).unwrap(), 2);
    let error = fault(log.read(&hub(), 2, 0, 1).await);
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn hubs_are_kept_apart_under_their_names() {
    let directory = TempDir::new().unwrap();
    let names = ["hub1", "hub1.localhost", "a_b-c.d", "lock", "manifest", "000", "xn--nxasmq6b"];
    let long = [&"a".repeat(63); 3].map(String::as_str).join(".");
    let hubs: Vec<_> =
        names.into_iter().chain([long.as_str()]).map(|it| HostName::parse(it).unwrap()).collect();
    for unsafe_name in ["..", ".", ".lock", "a/b", "../x", "a\\b", "a\0", ""] {
        assert!(HostName::parse(unsafe_name).is_err(), "{unsafe_name:?}");
    }
    let log = open(directory.path(), one_partition());
    for hub in &hubs {
        log.append(hub, event("d", hub.as_str().as_bytes())).await.unwrap();
    }
    drop(log);
    let log = open(directory.path(), one_partition());
    assert_eq!(log.hubs().len(), hubs.len());
    for hub in &hubs {
        let events = log.read(hub, 0, 0, 10).await.unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].1.body, hub.as_str().as_bytes());
        assert!(directory.path().join(hub.as_str()).join("manifest").is_file());
    }
}

#[tokio::test]
async fn an_event_too_large_for_a_record_is_refused_as_such() {
    let directory = TempDir::new().unwrap();
    let log = open(directory.path(), one_partition());
    let refused = log.append(&hub(), event("d", &vec![0; 2_000_000])).await;
    assert_eq!(fault(refused).kind(), std::io::ErrorKind::InvalidInput);
    append(&log, event("d", b"fits")).await;
    assert_eq!(bodies(&log, 0).await, [b"fits"]);
}

#[tokio::test]
async fn a_segment_takes_nothing_much_later_than_its_first() {
    let options = Options { segment_span: std::time::Duration::from_secs(60), ..one_partition() };
    for restart_each_time in [false, true] {
        let directory = TempDir::new().unwrap();
        let mut log = open(directory.path(), options.clone());
        for (seconds, files) in [(0, 1), (59, 1), (60, 2), (90, 2), (10, 2), (120, 3)] {
            let mut event = event("d", b"x");
            event.enqueued = at(seconds);
            append(&log, event).await;
            assert_eq!(segments(directory.path(), 0).len(), files, "after {seconds} s");
            if restart_each_time {
                drop(log);
                log = open(directory.path(), options.clone());
            }
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let parent = TempDir::new().unwrap();
    let root = parent.path().join("telemetry");
    append(&open(&root, one_partition()), event("d", b"x")).await;
    let hub = root.join(hub().as_str());
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    for path in [&root, &hub, &hub.join("000")] {
        assert_eq!(mode(path), 0o700, "{}", path.display());
    }
    for path in [root.join(".lock"), hub.join("manifest"), segments(&root, 0)[0].clone()] {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_directory_has_one_user_at_a_time() {
    let directory = TempDir::new().unwrap();
    let log = open(directory.path(), one_partition());
    let second = Log::open(directory.path(), one_partition()).err().unwrap();
    assert_eq!(second.kind(), std::io::ErrorKind::WouldBlock);
    drop(log);
    open(directory.path(), one_partition());
}

#[test]
fn options_out_of_range_are_refused() {
    let directory = TempDir::new().unwrap();
    for options in [
        Options { partitions: 0, ..Options::default() },
        Options { partitions: 33, ..Options::default() },
        Options { segment_bytes: 0, ..Options::default() },
        Options { queue_events: 0, ..Options::default() },
    ] {
        let error = Log::open(directory.path(), options).err().unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}
