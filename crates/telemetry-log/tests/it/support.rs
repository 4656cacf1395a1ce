//! What the tests share.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;

use hub::telemetry::{AuthType, Event, Position};
use model::{DeviceId, HostName, Timestamp};
use store::telemetry::{TelemetryError, TelemetryLog};
use telemetry_log::{Corrupt, Log, Options};

pub(crate) fn hub() -> HostName {
    HostName::parse("hub1.example.org").unwrap()
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_700_000_000 + seconds)
}

pub(crate) fn event(device: &str, body: &[u8]) -> Event {
    Event {
        device_id: DeviceId::parse(device).unwrap(),
        generation_id: 1,
        auth_type: AuthType::Sas,
        enqueued: at(0),
        system_properties: Vec::new(),
        properties: Vec::new(),
        body: body.to_vec(),
    }
}

/// One partition, so that a test knows where its events are.
pub(crate) fn one_partition() -> Options {
    Options { partitions: 1, ..Options::default() }
}

pub(crate) fn open(root: &Path, options: Options) -> Log {
    someone_listens();
    Log::open(root, options).unwrap()
}

/// tracing switches a line off for good when a thread without a subscriber is the first to reach
/// it, at the wrong moment also for a thread that has one: so there is one from the beginning.
fn someone_listens() {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_writer(io::sink).finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

pub(crate) async fn append(log: &Log, event: Event) -> Position {
    log.append(&hub(), event).await.unwrap()
}

/// Reads a partition from a sequence to its end, whatever a single read answers with.
pub(crate) async fn read_on(log: &Log, partition: u32, from: u64) -> Vec<(Position, Event)> {
    let mut all: Vec<(Position, Event)> = Vec::new();
    loop {
        let next = all.last().map_or(from, |(position, _)| position.sequence + 1);
        let events = log.read(&hub(), partition, next, 1000).await.unwrap();
        if events.is_empty() {
            return all;
        }
        all.extend(events);
    }
}

pub(crate) async fn bodies(log: &Log, partition: u32) -> Vec<Vec<u8>> {
    read_on(log, partition, 0).await.into_iter().map(|(_, event)| event.body).collect()
}

/// The segments of a partition, oldest first.
pub(crate) fn segments(root: &Path, partition: u32) -> Vec<PathBuf> {
    let directory = root.join(hub().as_str()).join(format!("{partition:03}"));
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = names.filter(|path| path.extension().unwrap() == "log").collect();
    found.sort();
    found
}

/// The source of an `Unavailable`.
pub(crate) fn fault<T: std::fmt::Debug>(result: Result<T, TelemetryError>) -> io::Error {
    match result {
        Err(TelemetryError::Unavailable(error)) => error,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn corrupt(error: &io::Error) -> &Corrupt {
    error.get_ref().and_then(|inner| inner.downcast_ref()).unwrap_or_else(|| panic!("{error:?}"))
}
