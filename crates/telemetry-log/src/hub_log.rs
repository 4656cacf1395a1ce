//! One hub's directory: its manifest, its partitions, its writer.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use hub::telemetry::{Event, Position};
use model::HostName;
use store::telemetry::TelemetryError;
use tokio::sync::oneshot;

use crate::error::at;
use crate::files::{Disk, create_directory, sync_directory, write_whole};
use crate::limits::{MANIFEST_BYTES_MAX, PARTITIONS_MAX, QUEUE_BYTES_MAX};
use crate::log::Options;
use crate::partition::{self, Entry, Partition, Roll};
use crate::record::Draft;
use crate::writer::{Counters, Shared, Writer};

const MANIFEST: &str = "manifest";
const MANIFEST_FORM: &str = "muster telemetry 1";

pub(crate) struct HubLog {
    pub(crate) partitions: Vec<Arc<Partition>>,
    pub(crate) count: u32,
    shared: Arc<Shared>,
    /// None after the log was closed.
    queue: Mutex<Option<SyncSender<Entry>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// The answer that is to come for an event.
pub(crate) type Waiting = oneshot::Receiver<Result<Position, TelemetryError>>;

/// Whether a hub's directory holds anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, or what remains of an attempt to make it.
    Nothing,
    /// A log.
    Log,
}

/// Looks whether a directory holds a hub's log.
///
/// # Errors
/// One with files but without a manifest is refused: its partition count would be a guess.
pub(crate) fn look(directory: &Path) -> io::Result<Found> {
    if !directory.try_exists().map_err(at(directory))? {
        return Ok(Found::Nothing);
    }
    if directory.join(MANIFEST).try_exists().map_err(at(directory))? {
        return Ok(Found::Log);
    }
    for entry in fs::read_dir(directory).map_err(at(directory))? {
        let entry = entry.map_err(at(directory))?;
        if entry.file_type().map_err(at(directory))?.is_dir() {
            let message = format!("{} has partitions but no manifest", directory.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
    }
    Ok(Found::Nothing)
}

/// Makes a hub's directory and the manifest in it, durably.
pub(crate) fn create(directory: &Path, partitions: u32) -> io::Result<()> {
    create_directory(directory)?;
    directory.parent().map_or(Ok(()), sync_directory)?;
    write_whole(directory, MANIFEST, &format!("{MANIFEST_FORM}\npartitions {partitions}\n"))
}

fn read_manifest(directory: &Path) -> io::Result<u32> {
    let path = directory.join(MANIFEST);
    let file = File::open(&path).map_err(at(&path))?;
    let mut text = String::new();
    file.take(MANIFEST_BYTES_MAX).read_to_string(&mut text).map_err(at(&path))?;
    let mut lines = text.lines();
    let form = lines.next();
    let partitions = lines.next().and_then(|line| line.strip_prefix("partitions "));
    let partitions = partitions.and_then(|count| count.parse().ok());
    match (form, partitions, lines.next()) {
        (Some(MANIFEST_FORM), Some(count @ 1..=PARTITIONS_MAX), None) => Ok(count),
        _ => {
            let message = format!("{} is no manifest of telemetry", path.display());
            Err(io::Error::new(io::ErrorKind::InvalidData, message))
        }
    }
}

impl HubLog {
    /// Opens a hub's log, makes its tails good and starts its writer.
    pub(crate) fn open(
        hub: &HostName,
        directory: &Path,
        options: &Options,
        disk: &Arc<dyn Disk>,
    ) -> io::Result<Self> {
        let count = read_manifest(directory)?;
        let roll = Roll { bytes: options.segment_bytes, span: options.segment_span };
        let mut appenders = Vec::new();
        for number in 0..count {
            let path = directory.join(format!("{number:03}"));
            appenders.push(partition::open(hub, number, path, roll, disk.as_ref())?);
        }
        directory.parent().map_or(Ok(()), sync_directory)?;
        sync_directory(directory)?;
        let partitions = appenders.iter().map(partition::Appender::shared).collect();
        let shared = Arc::new(Shared::default());
        let (queue, entries) = sync_channel(options.queue_events);
        let writer = Writer {
            hub: hub.clone(),
            queue: entries,
            partitions: appenders,
            shared: Arc::clone(&shared),
            disk: Arc::clone(disk),
        };
        let thread = Builder::new().name("telemetry".to_owned()).spawn(|| writer.run())?;
        let (queue, writer) = (Mutex::new(Some(queue)), Mutex::new(Some(thread)));
        Ok(Self { partitions, count, shared, queue, writer })
    }

    /// Puts an event in the writer's queue.
    pub(crate) fn submit(&self, event: &Event) -> Result<Waiting, TelemetryError> {
        let draft = Draft::new(event).map_err(|error| {
            TelemetryError::Unavailable(io::Error::new(io::ErrorKind::InvalidInput, error))
        })?;
        let partition = hub::telemetry::partition(&event.device_id, self.count);
        let bytes = draft.record_bytes();
        let (answer, waiting) = oneshot::channel();
        let entry = Entry { partition, enqueued: event.enqueued, draft, answer };
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().ok_or_else(closed)?;
        let queued = &self.shared.queued_bytes;
        if queued.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_BYTES_MAX {
            queued.fetch_sub(bytes, Ordering::Relaxed);
            return Err(TelemetryError::Busy);
        }
        queue.try_send(entry).map_err(|error| {
            queued.fetch_sub(bytes, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => TelemetryError::Busy,
                TrySendError::Disconnected(_) => closed(),
            }
        })?;
        Ok(waiting)
    }

    pub(crate) fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// Lets no further event in, and waits for those that wait.
    pub(crate) fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("a telemetry writer ended by a panic");
        }
    }
}

pub(crate) fn closed() -> TelemetryError {
    let kind = io::ErrorKind::BrokenPipe;
    TelemetryError::Unavailable(io::Error::new(kind, "the telemetry log is closed"))
}
