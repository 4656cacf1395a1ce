//! The writer on a disk that waits, fills up and fails when the test says so.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use hub::telemetry::{AuthType, Event, Position};
use model::{DeviceId, HostName, Timestamp};
use store::telemetry::{TelemetryError, TelemetryLog};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::files::Disk;
use crate::hub_log::Waiting;
use crate::limits::{GROUP_EVENTS_MAX, QUEUE_BYTES_MAX};
use crate::{Counters, Log, Options};

/// How the test disk answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Works,
    /// Syncs wait.
    Waits,
    /// Half of what is written fits.
    Full,
    WriteFails,
    SyncFails,
    /// One sync fails, and then all is well.
    SyncFailsOnce,
    /// Says so only when it syncs, as disks with delayed allocation may.
    SyncFull,
}

struct TestDisk {
    mood: Mutex<Mood>,
    changed: Condvar,
    /// Syncs begun.
    syncs: Mutex<u64>,
    began: Condvar,
}

impl TestDisk {
    fn new() -> Arc<Self> {
        let (mood, syncs) = (Mutex::new(Mood::Works), Mutex::new(0));
        Arc::new(Self { mood, changed: Condvar::new(), syncs, began: Condvar::new() })
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
        self.changed.notify_all();
    }

    fn await_sync(&self, count: u64) {
        let begun = self.syncs.lock().unwrap();
        let patience = Duration::from_secs(60);
        let (_begun, out) =
            self.began.wait_timeout_while(begun, patience, |begun| *begun < count).unwrap();
        assert!(!out.timed_out(), "no sync number {count}");
    }
}

impl Disk for TestDisk {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        match *self.mood.lock().unwrap() {
            Mood::Full => {
                file.write_all(&bytes[..bytes.len() / 2])?;
                Err(io::ErrorKind::StorageFull.into())
            }
            Mood::WriteFails => Err(io::Error::other("planted")),
            Mood::Works | Mood::Waits | Mood::SyncFails | Mood::SyncFailsOnce | Mood::SyncFull => {
                file.write_all(bytes)
            }
        }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        *self.syncs.lock().unwrap() += 1;
        self.began.notify_all();
        let mood = self.mood.lock().unwrap();
        let mut mood = self.changed.wait_while(mood, |mood| *mood == Mood::Waits).unwrap();
        match *mood {
            Mood::SyncFails => Err(io::Error::other("planted")),
            Mood::SyncFailsOnce => {
                *mood = Mood::Works;
                Err(io::Error::other("planted"))
            }
            Mood::SyncFull => Err(io::ErrorKind::StorageFull.into()),
            Mood::Works | Mood::Waits | Mood::Full | Mood::WriteFails => file.sync_data(),
        }
    }
}

/// Lets a failed test end: closing the log waits for the disk.
struct Release(Arc<TestDisk>);

impl Drop for Release {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set(Mood::Works);
        }
    }
}

struct World {
    release: Release,
    runtime: Runtime,
    directory: TempDir,
    disk: Arc<TestDisk>,
    log: Log,
}

impl World {
    fn new(options: Options) -> Self {
        let directory = TempDir::new().unwrap();
        let disk = TestDisk::new();
        let log = open(directory.path(), options, &disk);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { release: Release(Arc::clone(&disk)), runtime, directory, disk, log }
    }

    fn append(&self, event: Event) -> Result<Position, TelemetryError> {
        self.runtime.block_on(self.log.append(&hub(), event))
    }

    /// Queues an event; the hub must have its log.
    fn submit(&self, event: &Event) -> Result<Waiting, TelemetryError> {
        self.log.inner().find(&hub())?.unwrap().submit(event)
    }

    fn bodies(&self, partition: u32) -> Vec<Vec<u8>> {
        let events = self.runtime.block_on(self.log.read(&hub(), partition, 0, usize::MAX));
        events.unwrap().into_iter().map(|(_, event)| event.body).collect()
    }

    fn counters(&self) -> Counters {
        self.log.counters(&hub()).unwrap()
    }

    /// Makes the writer wait in its sync with one event, which is then partition 0's second.
    fn hold(&self) -> Waiting {
        self.append(event("d", b"before")).unwrap();
        self.disk.set(Mood::Waits);
        let syncs = *self.disk.syncs.lock().unwrap();
        let held = self.submit(&event("d", b"held")).unwrap();
        self.disk.await_sync(syncs + 1);
        held
    }
}

fn open(root: &Path, options: Options, disk: &Arc<TestDisk>) -> Log {
    let disk: Arc<dyn Disk> = Arc::<TestDisk>::clone(disk);
    Log::open_on(root, options, disk).unwrap()
}

fn hub() -> HostName {
    HostName::parse("hub1.localhost").unwrap()
}

fn event(device: &str, body: &[u8]) -> Event {
    Event {
        device_id: DeviceId::parse(device).unwrap(),
        generation_id: 1,
        auth_type: AuthType::Sas,
        enqueued: Timestamp::from_unix_seconds(1_700_000_000),
        system_properties: Vec::new(),
        properties: Vec::new(),
        body: body.to_vec(),
    }
}

fn one_partition() -> Options {
    Options { partitions: 1, ..Options::default() }
}

fn broken(result: &Result<Position, TelemetryError>) -> bool {
    matches!(result, Err(TelemetryError::Unavailable(_)))
}

#[test]
fn events_that_wait_together_share_one_sync_a_partition() {
    let world = World::new(Options::default());
    let held = world.hold();
    let before = world.counters();
    let events = 2 * GROUP_EVENTS_MAX + 1;
    let waiting: Vec<_> = (0..events)
        .map(|at| world.submit(&event(&format!("device-{at}"), b"x")).unwrap())
        .collect();
    world.disk.set(Mood::Works);
    held.blocking_recv().unwrap().unwrap();
    for answer in waiting {
        answer.blocking_recv().unwrap().unwrap();
    }
    // Answers precede the count by a little: closing waits for it.
    let log = world.log.inner().find(&hub()).unwrap().unwrap();
    drop(world.log);
    let after = log.counters();
    assert_eq!(after.events - before.events, events as u64 + 1);
    // The held one, two full groups over four partitions, and one of a single event.
    assert_eq!(after.groups - before.groups, 1 + 2 + 1);
    assert_eq!(after.syncs - before.syncs, 1 + 2 * 4 + 1);
}

#[test]
fn a_group_ends_at_its_bytes() {
    let world = World::new(one_partition());
    let held = world.hold();
    let body = vec![0; 1_000_000];
    let waiting: Vec<_> = (0..10).map(|_| world.submit(&event("d", &body)).unwrap()).collect();
    world.disk.set(Mood::Works);
    held.blocking_recv().unwrap().unwrap();
    for answer in waiting {
        answer.blocking_recv().unwrap().unwrap();
    }
    let log = world.log.inner().find(&hub()).unwrap().unwrap();
    drop(world.log);
    // The first, the held one, then five and five.
    assert_eq!(log.counters().groups, 2 + 2);
}

#[test]
fn a_full_queue_is_busy_and_loses_nothing() {
    let world = World::new(Options { queue_events: 3, ..one_partition() });
    let held = world.hold();
    let queued: Vec<_> = (0..3_u8).map(|at| world.submit(&event("d", &[at])).unwrap()).collect();
    let refused = world.submit(&event("d", b"too many"));
    assert!(matches!(refused, Err(TelemetryError::Busy)), "{refused:?}");
    world.disk.set(Mood::Works);
    assert_eq!(held.blocking_recv().unwrap().unwrap().sequence, 1);
    for (at, answer) in (2_u64..).zip(queued) {
        assert_eq!(answer.blocking_recv().unwrap().unwrap().sequence, at);
    }
    assert_eq!(world.append(event("d", b"after")).unwrap().sequence, 5);
    let bodies = world.bodies(0);
    assert_eq!(bodies, [&b"before"[..], b"held", &[0], &[1], &[2], b"after"]);
}

#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let world = World::new(one_partition());
    let held = world.hold();
    let large = event("d", &vec![0; 1_000_000]);
    let mut queued = Vec::new();
    let refused = loop {
        match world.submit(&large) {
            Ok(answer) => queued.push(answer),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, TelemetryError::Busy), "{refused:?}");
    assert_eq!(queued.len(), QUEUE_BYTES_MAX / 1_000_100);
    assert!(world.submit(&event("d", b"small")).is_ok(), "a refused event still counts");
    world.disk.set(Mood::Works);
    held.blocking_recv().unwrap().unwrap();
    for answer in queued {
        answer.blocking_recv().unwrap().unwrap();
    }
    world.append(large).unwrap();
}

#[test]
fn events_are_not_seen_before_they_are_durable() {
    let world = World::new(one_partition());
    let held = world.hold();
    assert_eq!(world.bodies(0), [b"before"]);
    assert_eq!(world.log.bounds(&hub(), 0).unwrap(), 0..1);
    world.disk.set(Mood::Works);
    held.blocking_recv().unwrap().unwrap();
    assert_eq!(world.bodies(0).len(), 2);
}

#[test]
fn closing_waits_for_what_is_queued() {
    let world = World::new(one_partition());
    let held = world.hold();
    let queued: Vec<_> = (0..100).map(|_| world.submit(&event("d", b"x")).unwrap()).collect();
    let World { release: _release, runtime: _runtime, directory, disk, log } = world;
    let closing = std::thread::spawn(move || drop(log));
    disk.set(Mood::Works);
    closing.join().unwrap();
    for mut answer in std::iter::once(held).chain(queued) {
        answer.try_recv().expect("answered before the log was gone").unwrap();
    }
    let log = open(directory.path(), one_partition(), &disk);
    assert_eq!(log.bounds(&hub(), 0).unwrap(), 0..102);
}

#[test]
fn a_full_disk_leaves_nothing_half_written_and_passes() {
    let world = World::new(one_partition());
    world.append(event("d", b"first")).unwrap();
    let path = world.directory.path().join("hub1.localhost/000/00000000000000000000.log");
    let length = path.metadata().unwrap().len();
    for _ in 0..3 {
        world.disk.set(Mood::Full);
        let refused = world.append(event("d", &[7; 300]));
        assert!(matches!(refused, Err(TelemetryError::Full)), "{refused:?}");
        assert_eq!(path.metadata().unwrap().len(), length);
    }
    world.disk.set(Mood::Works);
    assert_eq!(world.append(event("d", b"second")).unwrap().sequence, 1);
    assert_eq!(world.bodies(0), [&b"first"[..], b"second"]);
    assert_eq!(world.counters().full, 3);
}

#[test]
fn a_disk_full_at_a_new_segment_passes_too() {
    let world = World::new(Options { segment_bytes: 1, ..one_partition() });
    world.append(event("d", b"first")).unwrap();
    world.disk.set(Mood::Full);
    for _ in 0..3 {
        let refused = world.append(event("d", b"refused"));
        assert!(matches!(refused, Err(TelemetryError::Full)), "{refused:?}");
    }
    world.disk.set(Mood::Works);
    world.append(event("d", b"second")).unwrap();
    assert_eq!(world.bodies(0), [&b"first"[..], b"second"]);
}

fn stops_for_good(mood: Mood) {
    let world = World::new(one_partition());
    world.append(event("d", b"kept")).unwrap();
    world.disk.set(mood);
    let first = world.append(event("d", b"lost"));
    assert!(broken(&first), "{first:?}");
    world.disk.set(Mood::Works);
    let later = world.append(event("d", b"refused"));
    assert!(broken(&later), "{later:?}");
    assert_eq!(world.bodies(0), [b"kept"]);
    let World { release, runtime, directory, disk, log } = world;
    drop(log);
    let log = open(directory.path(), one_partition(), &disk);
    // What was written but not answered may be there or not; what was answered is.
    let world = World { release, runtime, directory, disk, log };
    assert_eq!(world.bodies(0).first().map(Vec::as_slice), Some(&b"kept"[..]));
    world.append(event("d", b"again")).unwrap();
}

#[test]
fn a_failed_sync_stops_the_hub_for_good() {
    stops_for_good(Mood::SyncFails);
}

#[test]
fn a_failed_sync_for_want_of_room_stops_the_hub_for_good() {
    stops_for_good(Mood::SyncFull);
}

#[test]
fn a_failed_write_stops_the_hub_for_good() {
    stops_for_good(Mood::WriteFails);
}

#[test]
fn a_failed_sync_tells_the_whole_queue() {
    let world = World::new(one_partition());
    let held = world.hold();
    let queued: Vec<_> = (0..5).map(|_| world.submit(&event("d", b"x")).unwrap()).collect();
    world.disk.set(Mood::SyncFailsOnce);
    for answer in std::iter::once(held).chain(queued) {
        let told = answer.blocking_recv().unwrap();
        assert!(broken(&told), "{told:?}");
    }
    let elsewhere = HostName::parse("hub2.localhost").unwrap();
    let other = world.runtime.block_on(world.log.append(&elsewhere, event("d", b"x")));
    assert!(other.is_ok(), "another hub goes on: {other:?}");
}

#[test]
fn the_active_segment_can_not_be_dropped() {
    let world = World::new(Options { segment_bytes: 1, ..one_partition() });
    world.append(event("d", b"old")).unwrap();
    world.append(event("d", b"active")).unwrap();
    let log = world.log.inner().find(&hub()).unwrap().unwrap();
    let partition = &log.partitions[0];
    let segments = partition.segments();
    assert!(!partition.drop_oldest(&segments[1]).unwrap(), "not the oldest");
    assert!(partition.drop_oldest(&segments[0]).unwrap());
    assert!(!partition.drop_oldest(&segments[1]).unwrap(), "the only one");
    assert_eq!(world.bodies(0), [b"active"]);
}

#[test]
fn closing_gives_up_the_lock_although_a_forked_process_still_holds_the_file() {
    let directory = TempDir::new().unwrap();
    let disk = TestDisk::new();
    let log = open(directory.path(), one_partition(), &disk);
    let forked = log.inner().lock_file().try_clone().unwrap();
    drop(log);
    drop(open(directory.path(), one_partition(), &disk));
    drop(forked);
}

/// A killed process may have written what only the system's memory holds.
#[test]
fn what_recovery_finds_is_made_durable_before_it_is_shown() {
    let directory = TempDir::new().unwrap();
    let disk = TestDisk::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let log = open(directory.path(), one_partition(), &disk);
    runtime.block_on(log.append(&hub(), event("d", b"x"))).unwrap();
    drop(log);
    let before = *disk.syncs.lock().unwrap();
    drop(open(directory.path(), one_partition(), &disk));
    assert_eq!(*disk.syncs.lock().unwrap(), before + 1);
    disk.set(Mood::SyncFails);
    let log = open(directory.path(), one_partition(), &disk);
    assert!(runtime.block_on(log.read(&hub(), 0, 0, 1)).is_err());
}
