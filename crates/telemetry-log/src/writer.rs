//! The one thread that appends to a hub's files.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;

use model::HostName;

use crate::files::Disk;
use crate::limits::{FULL_OVER_GROUPS, GROUP_BYTES_MAX, GROUP_EVENTS_MAX};
use crate::partition::{Appender, Entry, Tally, Work, unavailable};

/// What has come of a hub's events since the log was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events made durable.
    pub events: u64,
    /// Bytes that their records take.
    pub bytes: u64,
    /// Groups in which they were written.
    pub groups: u64,
    /// Times that a file was made durable.
    pub syncs: u64,
    /// Events refused because the disk was full.
    pub full: u64,
}

/// What the writer shares with those who append.
#[derive(Default)]
pub(crate) struct Shared {
    /// Bytes that wait in the queue.
    pub(crate) queued_bytes: AtomicUsize,
    events: AtomicU64,
    bytes: AtomicU64,
    groups: AtomicU64,
    syncs: AtomicU64,
    full: AtomicU64,
}

impl Shared {
    pub(crate) fn counters(&self) -> Counters {
        Counters {
            events: self.events.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            groups: self.groups.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
            full: self.full.load(Ordering::Relaxed),
        }
    }

    fn count(&self, tally: Tally) {
        let Tally { events, bytes, syncs, full } = tally;
        self.events.fetch_add(events, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.syncs.fetch_add(syncs, Ordering::Relaxed);
        self.full.fetch_add(full, Ordering::Relaxed);
    }
}

pub(crate) struct Writer {
    pub(crate) hub: HostName,
    pub(crate) queue: Receiver<Entry>,
    pub(crate) partitions: Vec<Appender>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) disk: Arc<dyn Disk>,
}

impl Writer {
    /// Works until nobody can send any more and the queue is empty.
    pub(crate) fn run(mut self) {
        // Groups since the disk was last full; none while it never was, or that is long ago.
        let mut since_full = None;
        // Why nothing is accepted any more.
        let mut broken = None;
        while let Some(group) = self.take_group() {
            if let Some(error) = &broken {
                for entry in group {
                    let _ = entry.answer.send(Err(unavailable(error)));
                }
                continue;
            }
            let mut work = Work { disk: self.disk.as_ref(), tally: Tally::default() };
            let kept = keep(&mut self.partitions, group, &mut work);
            // A group that broke is counted too, so far as it got.
            self.shared.count(work.tally);
            since_full = self.log_room(since_full, work.tally.full > 0);
            if let Err(error) = kept {
                self.break_down(&error);
                broken = Some(error);
            }
        }
    }

    /// Waits for one event, then takes what is there.
    fn take_group(&self) -> Option<Vec<Entry>> {
        let first = self.queue.recv().ok()?;
        let mut bytes = first.draft.record_bytes();
        let mut group = vec![first];
        while group.len() < GROUP_EVENTS_MAX && bytes < GROUP_BYTES_MAX {
            let Ok(entry) = self.queue.try_recv() else {
                break;
            };
            bytes += entry.draft.record_bytes();
            group.push(entry);
        }
        self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some(group)
    }

    fn break_down(&mut self, error: &io::Error) {
        let hub = &self.hub;
        tracing::error!(
            hub.name = %hub, error = %error,
            "the disk failed: telemetry of {hub} is refused until a restart"
        );
        for appender in &mut self.partitions {
            appender.abandon(error);
        }
    }

    /// Logs that the disk is full, and that it has not been for a while: on a disk with room for
    /// small events only, each group would be news otherwise.
    fn log_room(&self, since_full: Option<u32>, is_full: bool) -> Option<u32> {
        let hub = &self.hub;
        match (since_full, is_full) {
            (None, false) => None,
            (None, true) => {
                tracing::error!(hub.name = %hub, "the disk is full: telemetry of {hub} is refused");
                Some(0)
            }
            (Some(_), true) => Some(0),
            (Some(FULL_OVER_GROUPS), false) => {
                tracing::info!(hub.name = %hub, "telemetry of {hub} finds room again");
                None
            }
            (Some(groups), false) => Some(groups + 1),
        }
    }
}

/// Writes a group, makes it durable, and answers; each file is synced once.
fn keep(appenders: &mut [Appender], group: Vec<Entry>, work: &mut Work<'_>) -> io::Result<()> {
    let mut group = group.into_iter();
    while let Some(entry) = group.next() {
        let at = usize::try_from(entry.partition).ok();
        let pushed = match at.and_then(|at| appenders.get_mut(at)) {
            Some(appender) => appender.push(entry, work),
            None => Err(io::Error::other("an event for a partition that does not exist")),
        };
        if let Err(error) = pushed {
            for entry in group {
                let _ = entry.answer.send(Err(unavailable(&error)));
            }
            return Err(error);
        }
    }
    for appender in &mut *appenders {
        appender.write(work)?;
    }
    for appender in &mut *appenders {
        appender.sync(work)?;
    }
    for appender in appenders {
        appender.settle(work);
    }
    Ok(())
}
