//! One partition: what readers see of it, and what only the writer holds.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hub::telemetry::Position;
use model::{HostName, Timestamp};
use store::telemetry::TelemetryError;
use tokio::sync::oneshot;

use crate::error::{again, at, is_full};
use crate::files::{Disk, create_directory, sync_directory, writable};
use crate::record::Draft;
use crate::segment::{self, Cut, Kept, Mark, Segment, Walk};

/// What the writer tells whoever appended.
pub(crate) type Answer = oneshot::Sender<Result<Position, TelemetryError>>;

/// The half that readers and retention share with the writer.
pub(crate) struct Partition {
    pub(crate) number: u32,
    directory: PathBuf,
    /// Oldest first; the last is the active one.
    segments: RwLock<Vec<Arc<Segment>>>,
    /// The sequence after the last durable event.
    next: AtomicU64,
}

impl Partition {
    /// What is kept: from the first sequence to the one that comes next.
    pub(crate) fn bounds(&self) -> Range<u64> {
        let next = self.next.load(Ordering::Acquire);
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.first().map_or(0, |segment| segment.first)..next
    }

    /// Opens the segment that holds a sequence, or the oldest when it is gone.
    pub(crate) fn reach(&self, sequence: u64) -> io::Result<Option<Reached>> {
        // The file is opened under the lock, so that retention does not take it in between.
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let after = segments.partition_point(|segment| segment.first <= sequence).max(1);
        let Some(segment) = segments.get(after - 1) else {
            return Ok(None);
        };
        let walk = segment.walk(sequence.max(segment.first))?;
        let after = segments.get(after).map(|after| after.first);
        Ok(Some(Reached { segment: Arc::clone(segment), walk, after }))
    }

    /// All segments, oldest first.
    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Deletes a segment if it is the oldest and not the active one; says whether it did.
    pub(crate) fn drop_oldest(&self, segment: &Arc<Segment>) -> io::Result<bool> {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        if segments.len() < 2
            || !segments.first().is_some_and(|oldest| Arc::ptr_eq(oldest, segment))
        {
            return Ok(false);
        }
        // Under the lock: what the list names can be opened.
        match fs::remove_file(&segment.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at(&segment.path)(error));
            }
            Ok(()) | Err(_) => {}
        }
        segments.remove(0);
        Ok(true)
    }

    pub(crate) fn sync_directory(&self) -> io::Result<()> {
        sync_directory(&self.directory)
    }
}

/// A place to read from.
pub(crate) struct Reached {
    pub(crate) segment: Arc<Segment>,
    pub(crate) walk: Walk,
    /// Where the next segment begins; none when this one is the active one.
    pub(crate) after: Option<u64>,
}

/// How an appender rolls its segments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Roll {
    pub(crate) bytes: u64,
    pub(crate) span: Duration,
}

/// An event on its way to a partition.
pub(crate) struct Entry {
    pub(crate) partition: u32,
    pub(crate) enqueued: Timestamp,
    pub(crate) draft: Draft,
    pub(crate) answer: Answer,
}

/// The half that only the writer holds.
pub(crate) struct Appender {
    shared: Arc<Partition>,
    roll: Roll,
    active: Option<Active>,
    /// The sequence after the last durable event.
    next: u64,
    pending: Pending,
}

struct Active {
    segment: Arc<Segment>,
    file: File,
    /// Bytes that are durable.
    bytes: u64,
    /// When the first durable event was taken.
    started: Option<Timestamp>,
}

/// Records of the group under way.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    marks: Vec<Mark>,
    answers: Vec<(Answer, Position)>,
    started: Option<Timestamp>,
}

/// Room that a pending buffer may keep between groups.
const BUFFER_KEPT_BYTES_MAX: usize = 1024 * 1024;

/// Opens a partition of a hub; its directory may be missing.
pub(crate) fn open(
    hub: &HostName,
    number: u32,
    directory: PathBuf,
    roll: Roll,
    disk: &dyn Disk,
) -> io::Result<Appender> {
    let mut segments = Vec::new();
    let mut active = None;
    let mut next = 0;
    if directory.try_exists().map_err(at(&directory))? {
        let mut found = segment::list(&directory)?;
        let last = found.pop();
        for (first, path, bytes) in found {
            segments.push(Arc::new(Segment::new(path, first, bytes)));
        }
        if let Some((first, path, _)) = last {
            let recovered = segment::recover(path, first, disk)?;
            let segment = Arc::new(recovered.segment);
            next = recovered.end.sequence;
            if let Some(cut) = recovered.cut {
                log_cut(hub, number, &segment.path, cut, next);
            }
            segments.push(Arc::clone(&segment));
            let (bytes, started) = (recovered.end.offset, segment.started());
            active = Some(Active { segment, file: recovered.file, bytes, started });
        }
        // A process that was killed may have left names that are not durable.
        sync_directory(&directory)?;
    }
    let segments = RwLock::new(segments);
    let shared = Partition { number, directory, segments, next: AtomicU64::new(next) };
    let pending = Pending::default();
    Ok(Appender { shared: Arc::new(shared), roll, active, next, pending })
}

fn log_cut(hub: &HostName, partition: u32, path: &Path, cut: Cut, next: u64) {
    let Cut { bytes, fault, kept } = cut;
    let segment = path.display();
    match kept {
        Kept::Nothing => tracing::warn!(
            hub.name = %hub, partition, %segment, bytes, ?fault, next,
            "cut an unfinished write off the telemetry of {hub}"
        ),
        Kept::Aside => tracing::error!(
            hub.name = %hub, partition, %segment, bytes, ?fault, next,
            "telemetry of {hub} is damaged; what follows the damage was set aside"
        ),
    }
}

impl Appender {
    pub(crate) fn shared(&self) -> Arc<Partition> {
        Arc::clone(&self.shared)
    }

    /// Takes an event into the group; on a roll, what came before it is made durable at once.
    ///
    /// # Errors
    /// A failure after which nothing more may be written. A full disk is none.
    pub(crate) fn push(&mut self, entry: Entry, work: &mut Work<'_>) -> io::Result<()> {
        if self.must_roll(&entry) {
            match self.roll(work) {
                Ok(Room::Found) => {}
                Ok(Room::Full) => {
                    work.tally.full += 1;
                    let _ = entry.answer.send(Err(TelemetryError::Full));
                    return Ok(());
                }
                Err(error) => {
                    let _ = entry.answer.send(Err(unavailable(&error)));
                    return Err(error);
                }
            }
        }
        let written = self.active.as_ref().map_or(0, |active| active.bytes);
        let sequence = self.next + self.pending.answers.len() as u64;
        let offset = written + self.pending.bytes.len() as u64;
        entry.draft.write(sequence, &mut self.pending.bytes);
        self.pending.marks.push(Mark { sequence, offset });
        self.pending.started.get_or_insert(entry.enqueued);
        let position = Position { partition: self.shared.number, sequence };
        self.pending.answers.push((entry.answer, position));
        Ok(())
    }

    fn must_roll(&self, entry: &Entry) -> bool {
        let Some(active) = &self.active else {
            return true;
        };
        let bytes = active.bytes + self.pending.bytes.len() as u64;
        let started = active.started.or(self.pending.started);
        let old = started.is_some_and(|at| entry.enqueued.since(at) >= self.roll.span);
        bytes > 0 && (old || bytes + entry.draft.record_bytes() as u64 > self.roll.bytes)
    }

    /// Completes the active segment and begins the next.
    fn roll(&mut self, work: &mut Work<'_>) -> io::Result<Room> {
        if self.write(work)? == Room::Full {
            return Ok(Room::Full);
        }
        self.sync(work)?;
        self.settle(work);
        if self.active.as_ref().is_some_and(|active| active.bytes == 0) {
            return Ok(Room::Found);
        }
        match self.start_segment() {
            Ok(()) => Ok(Room::Found),
            Err(error) if is_full(&error) => Ok(Room::Full),
            Err(error) => Err(error),
        }
    }

    fn start_segment(&mut self) -> io::Result<()> {
        let directory = self.shared.directory.as_path();
        if self.active.is_none() {
            create_directory(directory)?;
            directory.parent().map_or(Ok(()), sync_directory)?;
        }
        let path = directory.join(segment::file_name(self.next));
        // An attempt that found the disk full may have left it, empty.
        let file = writable().create(true).truncate(true).open(&path).map_err(at(&path))?;
        self.shared.sync_directory()?;
        let segment = Arc::new(Segment::new(path, self.next, 0));
        let mut list = self.shared.segments.write().unwrap_or_else(PoisonError::into_inner);
        list.push(Arc::clone(&segment));
        self.active = Some(Active { segment, file, bytes: 0, started: None });
        Ok(())
    }

    /// Writes the group's records. When there is no room for them all, none stays.
    pub(crate) fn write(&mut self, work: &mut Work<'_>) -> io::Result<Room> {
        let (Some(active), false) = (&mut self.active, self.pending.bytes.is_empty()) else {
            return Ok(Room::Found);
        };
        let written = active
            .file
            .seek(SeekFrom::Start(active.bytes))
            .and_then(|_| work.disk.write(&mut active.file, &self.pending.bytes));
        match written {
            Ok(()) => Ok(Room::Found),
            Err(error) if is_full(&error) => {
                active.file.set_len(active.bytes).map_err(at(&active.segment.path))?;
                for (answer, _) in self.pending.take().answers {
                    work.tally.full += 1;
                    let _ = answer.send(Err(TelemetryError::Full));
                }
                Ok(Room::Full)
            }
            Err(error) => Err(at(&active.segment.path)(error)),
        }
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&mut self, work: &mut Work<'_>) -> io::Result<()> {
        if let (Some(active), false) = (&self.active, self.pending.bytes.is_empty()) {
            work.disk.sync(&active.file).map_err(at(&active.segment.path))?;
            work.tally.syncs += 1;
        }
        Ok(())
    }

    /// Shows readers what is durable, then answers.
    pub(crate) fn settle(&mut self, work: &mut Work<'_>) {
        let (Some(active), false) = (&mut self.active, self.pending.bytes.is_empty()) else {
            return;
        };
        let Pending { bytes, marks, answers, started } = self.pending.take();
        let (added, events) = (bytes.len() as u64, answers.len() as u64);
        active.bytes += added;
        active.started = active.started.or(started);
        self.next += events;
        self.pending.keep_buffer(bytes);
        for mark in marks {
            active.segment.note(mark);
        }
        active.segment.set_durable(active.bytes);
        self.shared.next.store(self.next, Ordering::Release);
        work.tally.events += events;
        work.tally.bytes += added;
        for (answer, position) in answers {
            // Whoever asked may have gone; the event stays.
            let _ = answer.send(Ok(position));
        }
    }

    /// Tells all of the group that the log is broken.
    pub(crate) fn abandon(&mut self, error: &io::Error) {
        for (answer, _) in self.pending.take().answers {
            let _ = answer.send(Err(unavailable(error)));
        }
    }
}

/// Whether the disk took what was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Found,
    Full,
}

/// What a group is done with, and what came of it.
pub(crate) struct Work<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) tally: Tally,
}

/// What came of a group.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Events made durable.
    pub(crate) events: u64,
    /// Bytes that their records take.
    pub(crate) bytes: u64,
    /// Files made durable.
    pub(crate) syncs: u64,
    /// Events refused because the disk is full.
    pub(crate) full: u64,
}

pub(crate) fn unavailable(error: &io::Error) -> TelemetryError {
    TelemetryError::Unavailable(again(error))
}

impl Pending {
    fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    fn keep_buffer(&mut self, mut bytes: Vec<u8>) {
        if bytes.capacity() <= BUFFER_KEPT_BYTES_MAX {
            bytes.clear();
            self.bytes = bytes;
        }
    }
}
