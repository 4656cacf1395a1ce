//! All hubs' logs under one directory.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use hub::telemetry::{Event, Position};
use model::{HostName, Timestamp};
use store::telemetry::{TelemetryError, TelemetryLog};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::error::{again, at, refusal};
use crate::files::{Disk, RealDisk, create_directory, writable};
use crate::hub_log::{self, Found, HubLog, closed};
use crate::limits::{
    HUBS_MAX, PARTITIONS, PARTITIONS_MAX, QUEUE_EVENTS_MAX, READS_MAX, SEGMENT_BYTES,
};
use crate::partition::Partition;
use crate::read;
use crate::retention::{self, Dropped, Keep};
use crate::writer::Counters;

/// Held for as long as the log is open. No host name begins with a dot.
const LOCK_FILE: &str = ".lock";

/// How logs are made and written.
#[derive(Clone, Debug)]
pub struct Options {
    /// Partitions of a hub whose log is made from now on, 1..=32; an existing log keeps its own.
    pub partitions: u32,
    /// Bytes at which a segment takes no further record, at least 1.
    pub segment_bytes: u64,
    /// A segment takes no event that came this much later than its first, so that retention by
    /// age also finds whole segments on a quiet hub.
    pub segment_span: Duration,
    /// Events that may wait for one hub's writer, at least 1.
    pub queue_events: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            partitions: PARTITIONS,
            segment_bytes: SEGMENT_BYTES,
            segment_span: Duration::from_hours(24),
            queue_events: QUEUE_EVENTS_MAX,
        }
    }
}

/// Telemetry of all hubs, in files under one directory.
///
/// Its futures need a Tokio runtime. Dropping it waits for what was queued.
pub struct Log {
    inner: Arc<Inner>,
    reads: Arc<Semaphore>,
}

pub(crate) struct Inner {
    root: PathBuf,
    options: Options,
    disk: Arc<dyn Disk>,
    hubs: RwLock<HashMap<HostName, Slot>>,
    /// Held while a hub's log is made, so that it is made once.
    state: Mutex<State>,
    lock: File,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Closed,
}

#[derive(Clone)]
enum Slot {
    Open(Arc<HubLog>),
    /// It is there and can not be used; a restart looks again.
    Failed(Arc<io::Error>),
}

impl Slot {
    fn usable(&self) -> Result<Arc<HubLog>, TelemetryError> {
        match self {
            Self::Open(log) => Ok(Arc::clone(log)),
            Self::Failed(error) => Err(TelemetryError::Unavailable(again(error))),
        }
    }
}

impl Log {
    /// Opens the logs under a directory, which is made if it is not there. Blocks.
    ///
    /// The end of each partition is read and an unfinished write is cut off. A hub whose files are
    /// beyond that is logged and answers `Unavailable`; the others work.
    ///
    /// # Errors
    /// The directory can not be used, another process uses it (`WouldBlock`), or an option is out
    /// of its range (`InvalidInput`).
    pub fn open(root: &Path, options: Options) -> io::Result<Self> {
        Self::open_on(root, options, Arc::new(RealDisk))
    }

    pub(crate) fn open_on(root: &Path, options: Options, disk: Arc<dyn Disk>) -> io::Result<Self> {
        let sane = (1..=PARTITIONS_MAX).contains(&options.partitions)
            && options.segment_bytes > 0
            && options.queue_events > 0;
        if !sane {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an option out of its range"));
        }
        create_directory(root)?;
        let lock = lock(root)?;
        let mut hubs = HashMap::new();
        for entry in fs::read_dir(root).map_err(at(root))? {
            let name = entry.map_err(at(root))?.file_name();
            let hub = name.to_str().and_then(|name| HostName::parse(name).ok());
            // A name that is not in the form we write is not ours.
            let Some(hub) = hub.filter(|hub| name.to_str() == Some(hub.as_str())) else {
                continue;
            };
            let directory = root.join(hub.as_str());
            let opened = hub_log::look(&directory).and_then(|found| match found {
                Found::Nothing => Ok(None),
                Found::Log => HubLog::open(&hub, &directory, &options, &disk).map(Some),
            });
            match opened {
                Ok(None) => {}
                Ok(Some(log)) => {
                    hubs.insert(hub, Slot::Open(Arc::new(log)));
                }
                Err(error) => {
                    tracing::error!(hub.name = %hub, %error, "telemetry of {hub} can not be used");
                    hubs.insert(hub, Slot::Failed(Arc::new(error)));
                }
            }
        }
        let (hubs, state) = (RwLock::new(hubs), Mutex::new(State::Open));
        let root = root.to_owned();
        let inner = Inner { root, options, disk, hubs, state, lock };
        Ok(Self { inner: Arc::new(inner), reads: Arc::new(Semaphore::new(READS_MAX)) })
    }

    #[cfg(test)]
    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The hubs that have a log, in no order.
    pub fn hubs(&self) -> Vec<HostName> {
        let hubs = self.inner.hubs.read().unwrap_or_else(PoisonError::into_inner);
        hubs.keys().cloned().collect()
    }

    /// How many partitions a hub has; before its first event, how many it is going to have.
    ///
    /// # Errors
    /// `Unavailable` when its files can not be used.
    pub fn partitions(&self, hub: &HostName) -> Result<u32, TelemetryError> {
        let count = self.inner.find(hub)?.map(|log| log.count);
        Ok(count.unwrap_or(self.inner.options.partitions))
    }

    /// What a partition keeps: the first sequence, and the one that the next event will have.
    ///
    /// # Errors
    /// `Unavailable` when its files can not be used or it has no such partition.
    pub fn bounds(&self, hub: &HostName, partition: u32) -> Result<Range<u64>, TelemetryError> {
        Ok(self.inner.partition(hub, partition)?.map_or(0..0, |partition| partition.bounds()))
    }

    /// What has come of a hub's events; zeros before its first.
    ///
    /// # Errors
    /// `Unavailable` when its files can not be used.
    pub fn counters(&self, hub: &HostName) -> Result<Counters, TelemetryError> {
        Ok(self.inner.find(hub)?.map_or_else(Counters::default, |log| log.counters()))
    }

    /// Drops a hub's old segments; the one that is written to stays.
    ///
    /// # Errors
    /// `Unavailable` when a file can not be deleted.
    pub async fn retain(
        &self,
        hub: &HostName,
        keep: Keep,
        now: Timestamp,
    ) -> Result<Dropped, TelemetryError> {
        let Some(log) = self.inner.find(hub)? else {
            return Ok(Dropped::default());
        };
        let partitions = log.partitions.clone();
        let retained = spawn_blocking(move || retention::retain(&partitions, keep, now)).await;
        retained.map_err(io::Error::from).flatten().map_err(TelemetryError::Unavailable)
    }
}

#[async_trait]
impl TelemetryLog for Log {
    /// As the port says. An event that is too large for a record is `Unavailable` with a source of
    /// kind `InvalidInput`. When the caller goes away meanwhile, the event may or may not be kept.
    async fn append(&self, hub: &HostName, event: Event) -> Result<Position, TelemetryError> {
        let log = match self.inner.find(hub)? {
            Some(log) => log,
            None => {
                let (inner, hub) = (Arc::clone(&self.inner), hub.clone());
                let created = spawn_blocking(move || inner.create(&hub)).await;
                created.map_err(|error| TelemetryError::Unavailable(error.into())).flatten()?
            }
        };
        let waiting = log.submit(&event)?;
        drop((log, event));
        waiting.await.unwrap_or_else(|_| Err(closed()))
    }

    /// As the port says. Fewer than `limit` may come although more are there: an empty answer is
    /// the end. A sequence that retention has dropped stands for the oldest that is kept.
    /// Damage is `Unavailable` with a source that is [`crate::Corrupt`].
    async fn read(
        &self,
        hub: &HostName,
        partition: u32,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(Position, Event)>, TelemetryError> {
        let Some(partition) = self.inner.partition(hub, partition)? else {
            return Ok(Vec::new());
        };
        let permit = Arc::clone(&self.reads).acquire_owned().await.map_err(|_| closed())?;
        let events = spawn_blocking(move || {
            let events = read::read(&partition, from, limit);
            // Here, so that a caller who goes away does not make room for one file too many.
            drop(permit);
            events
        });
        let events = events.await;
        events.map_err(io::Error::from).flatten().map_err(TelemetryError::Unavailable)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        *self.inner.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Closed;
        let mut hubs = self.inner.hubs.write().unwrap_or_else(PoisonError::into_inner);
        for slot in std::mem::take(&mut *hubs).into_values() {
            if let Slot::Open(log) = slot {
                log.close();
            }
        }
        // Closing the file would leave the lock to a process that was forked a moment ago and has
        // not yet begun its program.
        if let Err(error) = self.inner.lock.unlock() {
            tracing::warn!(%error, "a telemetry log stays locked until the process ends");
        }
    }
}

impl Inner {
    #[cfg(test)]
    pub(crate) const fn lock_file(&self) -> &File {
        &self.lock
    }

    pub(crate) fn find(&self, hub: &HostName) -> Result<Option<Arc<HubLog>>, TelemetryError> {
        let hubs = self.hubs.read().unwrap_or_else(PoisonError::into_inner);
        hubs.get(hub).map(Slot::usable).transpose()
    }

    fn partition(
        &self,
        hub: &HostName,
        number: u32,
    ) -> Result<Option<Arc<Partition>>, TelemetryError> {
        let Some(log) = self.find(hub)? else {
            return Ok(None);
        };
        let at = usize::try_from(number).ok();
        let found = at.and_then(|at| log.partitions.get(at)).map(Arc::clone);
        found.map(Some).ok_or_else(|| {
            let message = format!("{hub} has no partition {number}");
            TelemetryError::Unavailable(io::Error::new(io::ErrorKind::InvalidInput, message))
        })
    }

    /// Makes a hub's log, unless somebody else just did.
    fn create(&self, hub: &HostName) -> Result<Arc<HubLog>, TelemetryError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Open => {}
            State::Closed => return Err(closed()),
        }
        if let Some(log) = self.find(hub)? {
            return Ok(log);
        }
        if self.hubs.read().unwrap_or_else(PoisonError::into_inner).len() >= HUBS_MAX {
            let error = io::Error::other("too many hubs in one telemetry log");
            return Err(TelemetryError::Unavailable(error));
        }
        let directory = self.root.join(hub.as_str());
        let opened = hub_log::look(&directory).and_then(|found| {
            match found {
                Found::Nothing => hub_log::create(&directory, self.options.partitions)?,
                Found::Log => {}
            }
            HubLog::open(hub, &directory, &self.options, &self.disk)
        });
        let log = Arc::new(opened.map_err(refusal)?);
        let mut hubs = self.hubs.write().unwrap_or_else(PoisonError::into_inner);
        hubs.insert(hub.clone(), Slot::Open(Arc::clone(&log)));
        Ok(log)
    }
}

/// Takes the directory for this process.
fn lock(root: &Path) -> io::Result<File> {
    let path = root.join(LOCK_FILE);
    let file = writable().create(true).truncate(false).open(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let message = format!("{}: another process uses this telemetry log", root.display());
            Err(io::Error::new(io::ErrorKind::WouldBlock, message))
        }
        Err(TryLockError::Error(error)) => Err(at(&path)(error)),
    }
}
