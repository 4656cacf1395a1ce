//! Dropping what is old, by whole segments.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;

use crate::partition::Partition;
use crate::segment::Segment;

/// How much of a hub's telemetry to keep.
///
/// The segment that is written to always stays, so a little more than this may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// A segment goes when all its events are older; `Duration::MAX` keeps any.
    pub age: Duration,
    /// The oldest segments of the hub go while it has more bytes; `u64::MAX` keeps any.
    pub bytes: u64,
}

/// What was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// How many segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

pub(crate) fn retain(
    partitions: &[Arc<Partition>],
    keep: Keep,
    now: Timestamp,
) -> io::Result<Dropped> {
    let mut dropped = Dropped::default();
    let cutoff = now.minus(keep.age);
    // Not made durable: a name that comes back after a crash is dropped the next time.
    drop_older(partitions, cutoff, &mut dropped)?;
    drop_above(partitions, keep.bytes, &mut dropped)?;
    Ok(dropped)
}

fn drop_older(
    partitions: &[Arc<Partition>],
    cutoff: Timestamp,
    dropped: &mut Dropped,
) -> io::Result<()> {
    for partition in partitions {
        let segments = partition.segments();
        for (at, segment) in segments.iter().enumerate() {
            let later = segments.iter().skip(at + 1);
            // Events come in the order of time, so the next segment's first ends this one. One that
            // can not be read must not keep all before it for ever: then a later one tells.
            let ended = later.clone().find_map(|segment| segment.started());
            if ended.is_none_or(|ended| ended >= cutoff) || !drop_one(partition, segment, dropped)?
            {
                break;
            }
        }
    }
    Ok(())
}

fn drop_above(partitions: &[Arc<Partition>], bytes: u64, dropped: &mut Dropped) -> io::Result<()> {
    loop {
        let all: Vec<_> = partitions.iter().map(|it| (it, it.segments())).collect();
        let total: u64 = all.iter().flat_map(|(_, it)| it).map(|segment| segment.durable()).sum();
        if total <= bytes {
            return Ok(());
        }
        let droppable = all.iter().filter(|(_, segments)| segments.len() > 1);
        let oldest = droppable
            .filter_map(|(partition, segments)| Some((partition, segments.first()?)))
            .min_by_key(|(_, segment)| segment.started());
        let Some((partition, segment)) = oldest else {
            return Ok(());
        };
        if !drop_one(partition, segment, dropped)? {
            return Ok(());
        }
    }
}

fn drop_one(
    partition: &Partition,
    segment: &Arc<Segment>,
    dropped: &mut Dropped,
) -> io::Result<bool> {
    let gone = partition.drop_oldest(segment)?;
    if gone {
        dropped.segments += 1;
        dropped.bytes += segment.durable();
    }
    Ok(gone)
}
