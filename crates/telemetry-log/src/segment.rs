//! One segment: a file of records without gaps, named for the first.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use model::Timestamp;

use crate::error::{Corrupt, Fault, at};
use crate::files::{Disk, sync_directory, writable};
use crate::limits::{GROUP_BYTES_MAX, MARK_STRIDE_BYTES, PAYLOAD_BYTES_MAX};
use crate::record::{self, HEADER_BYTES, Header};

const SUFFIX: &str = ".log";

/// What the writer and readers share of a segment.
#[derive(Debug)]
pub(crate) struct Segment {
    /// The sequence of the first record.
    pub(crate) first: u64,
    pub(crate) path: PathBuf,
    /// Bytes that are durable; readers look no further.
    durable: AtomicU64,
    /// Where some records lie, in order, so that a read need not begin at the file's start.
    marks: Mutex<Vec<Mark>>,
    started: OnceLock<Timestamp>,
}

/// Where a record lies in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) sequence: u64,
    pub(crate) offset: u64,
}

/// Walking over a file failed.
#[derive(Debug)]
pub(crate) enum WalkError {
    Io(io::Error),
    Bad(Fault),
}

impl From<io::Error> for WalkError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub(crate) fn file_name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The first sequence of a segment with this file name; none for any other file.
pub(crate) fn first_of(name: &str) -> Option<u64> {
    let first = name.strip_suffix(SUFFIX)?.parse().ok()?;
    (file_name(first) == name).then_some(first)
}

impl Segment {
    pub(crate) const fn new(directory_file: PathBuf, first: u64, durable: u64) -> Self {
        Self {
            first,
            path: directory_file,
            durable: AtomicU64::new(durable),
            marks: Mutex::new(Vec::new()),
            started: OnceLock::new(),
        }
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn set_durable(&self, bytes: u64) {
        self.durable.store(bytes, Ordering::Release);
    }

    /// Remembers where a record lies, unless the last mark is near.
    pub(crate) fn note(&self, mark: Mark) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let last = marks.last().map_or(0, |last| last.offset);
        if mark.offset >= last.saturating_add(MARK_STRIDE_BYTES) {
            marks.push(mark);
        }
    }

    /// The last known place at or before a sequence.
    fn mark_before(&self, sequence: u64) -> Mark {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let after = marks.partition_point(|mark| mark.sequence <= sequence);
        let found = after.checked_sub(1).and_then(|at| marks.get(at)).copied();
        found.unwrap_or(Mark { sequence: self.first, offset: 0 })
    }

    /// Opens the file at or before a sequence, to be read up to the durable end.
    pub(crate) fn walk(&self, sequence: u64) -> io::Result<Walk> {
        let end = self.durable();
        let mut file = File::open(&self.path).map_err(at(&self.path))?;
        let mark = self.mark_before(sequence);
        file.seek(SeekFrom::Start(mark.offset)).map_err(at(&self.path))?;
        Ok(Walk::new(file, mark, end))
    }

    /// When the first event was taken; none while there is none, or when it can not be read.
    pub(crate) fn started(&self) -> Option<Timestamp> {
        if let Some(started) = self.started.get() {
            return Some(*started);
        }
        let mut walk = self.walk(self.first).ok()?;
        let header = walk.header().ok()??;
        let payload = walk.payload(header).ok()?;
        let started = record::decode(&payload).ok()?.enqueued;
        Some(*self.started.get_or_init(|| started))
    }

    pub(crate) fn corrupt(&self, mark: Mark, fault: Fault) -> Corrupt {
        let Mark { sequence, offset } = mark;
        Corrupt { segment: self.path.clone(), offset, sequence, fault }
    }
}

/// A file read record by record.
pub(crate) struct Walk {
    file: BufReader<File>,
    next: Mark,
    end: u64,
}

impl Walk {
    fn new(file: File, next: Mark, end: u64) -> Self {
        Self { file: BufReader::with_capacity(64 * 1024, file), next, end }
    }

    /// The record that comes next.
    pub(crate) const fn next(&self) -> Mark {
        self.next
    }

    /// The next record's header, not yet checked but for its length; none at the end.
    pub(crate) fn header(&mut self) -> Result<Option<Header>, WalkError> {
        let left = self.end.saturating_sub(self.next.offset);
        if left == 0 {
            return Ok(None);
        }
        let mut bytes = [0; HEADER_BYTES];
        if left < bytes.len() as u64 {
            return Err(WalkError::Bad(Fault::Cut));
        }
        self.file.read_exact(&mut bytes)?;
        let header = Header::read(&bytes);
        let payload = header.payload_bytes().ok_or(WalkError::Bad(Fault::Length))?;
        if left - (bytes.len() as u64) < payload as u64 {
            return Err(WalkError::Bad(Fault::Cut));
        }
        Ok(Some(header))
    }

    /// The payload of the header just read, checked; then the next record's turn comes.
    pub(crate) fn payload(&mut self, header: Header) -> Result<Vec<u8>, WalkError> {
        let length = header.payload_bytes().ok_or(WalkError::Bad(Fault::Length))?;
        let mut payload = vec![0; length];
        self.file.read_exact(&mut payload)?;
        if !header.seals(&payload) {
            return Err(WalkError::Bad(Fault::Checksum));
        }
        self.step(header, length)?;
        Ok(payload)
    }

    /// Passes over the payload of the header just read; only its place in the order is checked.
    pub(crate) fn skip(&mut self, header: Header) -> Result<(), WalkError> {
        let length = header.payload_bytes().ok_or(WalkError::Bad(Fault::Length))?;
        let forward = i64::try_from(length).map_err(|_| WalkError::Bad(Fault::Length))?;
        self.step(header, length)?;
        Ok(self.file.seek_relative(forward)?)
    }

    fn step(&mut self, header: Header, length: usize) -> Result<(), WalkError> {
        if header.sequence != self.next.sequence {
            return Err(WalkError::Bad(Fault::Sequence(header.sequence)));
        }
        self.next.sequence += 1;
        self.next.offset += (HEADER_BYTES + length) as u64;
        Ok(())
    }
}

/// The last segment of a partition, as found and made good.
pub(crate) struct Recovered {
    pub(crate) segment: Segment,
    pub(crate) file: File,
    /// The end: the sequence and the offset of the next record.
    pub(crate) end: Mark,
    /// What was cut away, if anything.
    pub(crate) cut: Option<Cut>,
}

/// A tail that was not whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) bytes: u64,
    pub(crate) fault: Fault,
    pub(crate) kept: Kept,
}

/// What became of the bytes that were cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// They were one group's at most, never acknowledged.
    Nothing,
    /// Too many for that: something else damaged the file, so they lie beside it.
    Aside,
}

/// Reads a partition's last segment to its end and cuts what is not whole.
///
/// A record whose checksum holds is never cut, even if it does not belong where it lies.
pub(crate) fn recover(path: PathBuf, first: u64, disk: &dyn Disk) -> io::Result<Recovered> {
    let file = writable().open(&path).map_err(at(&path))?;
    let length = file.metadata().map_err(at(&path))?.len();
    let segment = Segment::new(path, first, 0);
    let path = segment.path.as_path();
    let mut walk = Walk::new(File::open(path)?, Mark { sequence: first, offset: 0 }, length);
    let fault = loop {
        let mark = walk.next();
        let read = match walk.header() {
            Ok(None) => break None,
            Ok(Some(header)) => walk.payload(header).map(|_| ()),
            Err(error) => Err(error),
        };
        match read {
            Ok(()) => segment.note(mark),
            Err(WalkError::Io(error)) => return Err(at(path)(error)),
            Err(WalkError::Bad(fault @ Fault::Sequence(_))) => {
                return Err(segment.corrupt(mark, fault).into());
            }
            Err(WalkError::Bad(fault)) => break Some(fault),
        }
    };
    let end = walk.next();
    let mut cut = None;
    if let Some(fault) = fault {
        let bytes = length - end.offset;
        let group = GROUP_BYTES_MAX + HEADER_BYTES + PAYLOAD_BYTES_MAX;
        let kept = if bytes > group as u64 { Kept::Aside } else { Kept::Nothing };
        if kept == Kept::Aside {
            set_aside(path, end.offset)?;
        }
        file.set_len(end.offset).map_err(at(path))?;
        cut = Some(Cut { bytes, fault, kept });
    }
    // What a killed process wrote may lie in memory only, and is about to be shown to readers.
    disk.sync(&file).map_err(at(path))?;
    segment.set_durable(end.offset);
    Ok(Recovered { segment, file, end, cut })
}

/// Copies the file from an offset on to one beside it.
fn set_aside(path: &Path, offset: u64) -> io::Result<()> {
    let mut from = File::open(path)?;
    from.seek(SeekFrom::Start(offset))?;
    let aside = path.with_extension(format!("{offset}.cut"));
    let mut to = writable().create(true).truncate(true).open(&aside).map_err(at(&aside))?;
    io::copy(&mut from, &mut to).and_then(|_| to.sync_all()).map_err(at(&aside))?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// The segments in a directory, oldest first: first sequence, path and bytes.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<(u64, PathBuf, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(at(directory))? {
        let entry = entry.map_err(at(directory))?;
        if let Some(first) = entry.file_name().to_str().and_then(first_of) {
            found.push((first, entry.path(), entry.metadata().map_err(at(directory))?.len()));
        }
    }
    found.sort();
    Ok(found)
}
