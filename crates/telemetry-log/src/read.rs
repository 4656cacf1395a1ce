//! Reading a partition, beside the writer and without waiting for it.

use std::io;

use hub::telemetry::{Event, Position};

use crate::error::{Fault, at};
use crate::limits::{READ_BYTES_MAX, READ_RETRIES_MAX};
use crate::partition::Partition;
use crate::record;
use crate::segment::{Mark, Segment, WalkError};

/// Events from a sequence on, at most `limit` and about [`READ_BYTES_MAX`].
///
/// What lies before damage is answered; the read that begins at the damage fails.
pub(crate) fn read(
    partition: &Partition,
    from: u64,
    limit: usize,
) -> io::Result<Vec<(Position, Event)>> {
    if from >= partition.bounds().end {
        return Ok(Vec::new());
    }
    let mut batch = Batch { partition: partition.number, limit, bytes: 0, events: Vec::new() };
    let mut next = from;
    let mut retries = 0;
    while batch.has_room()
        && let Some((segment, after)) = partition.segment_of(next)
    {
        if segment.first > next && !batch.events.is_empty() {
            // Retention is faster than this read: the gap is left for the next one to see.
            break;
        }
        next = next.max(segment.first);
        let read = batch.read_segment(&segment, &mut next);
        match read {
            Ok(()) => {}
            Err(error) if batch.events.is_empty() => {
                // Retention may have taken the file since the list was read.
                let gone = error.kind() == io::ErrorKind::NotFound;
                if gone && retries < READ_RETRIES_MAX {
                    retries += 1;
                    continue;
                }
                return Err(error);
            }
            Err(_) => break,
        }
        // The list was read before the segment's end, so a segment that has one after is complete.
        let Some(after) = after.filter(|_| batch.has_room()) else {
            break;
        };
        if after.first != next {
            if batch.events.is_empty() {
                let mark = Mark { sequence: next, offset: segment.durable() };
                return Err(segment.corrupt(mark, Fault::Missing).into());
            }
            break;
        }
    }
    Ok(batch.events)
}

struct Batch {
    partition: u32,
    limit: usize,
    bytes: usize,
    events: Vec<(Position, Event)>,
}

impl Batch {
    fn has_room(&self) -> bool {
        self.events.len() < self.limit && self.bytes < READ_BYTES_MAX
    }

    /// Reads on until the segment's durable end or until the batch is full.
    fn read_segment(&mut self, segment: &Segment, next: &mut u64) -> io::Result<()> {
        let mut walk = segment.walk(*next).map_err(at(&segment.path))?;
        while self.has_room() {
            let mark = walk.next();
            let event = walk.header().and_then(|header| match header {
                None => Ok(None),
                Some(header) if mark.sequence < *next => walk.skip(header).map(|()| Some(None)),
                Some(header) => walk.payload(header).map(|payload| Some(Some(payload))),
            });
            let payload = match event {
                Ok(None) => break,
                Ok(Some(None)) => {
                    segment.note(mark);
                    continue;
                }
                Ok(Some(Some(payload))) => payload,
                Err(WalkError::Io(error)) => return Err(at(&segment.path)(error)),
                Err(WalkError::Bad(fault)) => return Err(segment.corrupt(mark, fault).into()),
            };
            segment.note(mark);
            let event = record::decode(&payload)
                .map_err(|error| segment.corrupt(mark, Fault::Payload(error)))?;
            let position = Position { partition: self.partition, sequence: mark.sequence };
            self.bytes += payload.len();
            self.events.push((position, event));
            *next = mark.sequence + 1;
        }
        Ok(())
    }
}
