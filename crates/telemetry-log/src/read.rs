//! Reading a partition, beside the writer and without waiting for it.

use std::io;

use hub::telemetry::{Event, Position};

use crate::error::{Fault, at};
use crate::limits::READ_BYTES_MAX;
use crate::partition::{Partition, Reached};
use crate::record;
use crate::segment::{Mark, Segment, Walk, WalkError};

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
    while batch.has_room() {
        let reached = match partition.reach(next) {
            Ok(Some(reached)) => reached,
            Ok(None) => break,
            Err(_) if !batch.events.is_empty() => break,
            Err(error) => return Err(error),
        };
        let Reached { segment, walk, after } = reached;
        if segment.first > next && !batch.events.is_empty() {
            // Retention is faster than this read: the gap is left for the next one to see.
            break;
        }
        next = next.max(segment.first);
        match batch.read_segment(&segment, walk, &mut next) {
            Ok(()) => {}
            Err(_) if !batch.events.is_empty() => break,
            Err(error) => return Err(error),
        }
        // A segment that has one after it was complete before its end was looked up.
        let Some(after) = after.filter(|_| batch.has_room()) else {
            break;
        };
        if after != next {
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
    fn read_segment(
        &mut self,
        segment: &Segment,
        mut walk: Walk,
        next: &mut u64,
    ) -> io::Result<()> {
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
