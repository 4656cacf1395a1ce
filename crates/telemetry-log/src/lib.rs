//! Telemetry in segment files: one writer a hub, durable before it is acknowledged.
//!
//! What it is: [`Log`], the port [`store::telemetry::TelemetryLog`] on files. Each hub has a
//! directory `<root>/<host name>/` with a `manifest`, which fixes its number of partitions, and for
//! each partition a directory of segments: `002/00000000000000001234.log` begins with event 1234 of
//! partition 2. A segment is a row of records ([`record`]) and nothing else.
//!
//! What it is not: a queue with consumers. Readers keep their own position and ask for what comes
//! after it.
//!
//! Invariants:
//!
//! - An answered event is durable. A group of events costs one `fdatasync` for each file touched.
//! - Sequences of a partition begin at 0 and have no gap; readers see durable events only.
//! - Opening cuts at most what was never acknowledged: the last segment of a partition is cut at
//!   its first bad record, and if more follows than one group can write, it is set aside instead.
//!   Damage elsewhere is an error ([`Corrupt`]) for whoever reads there, never a silent gap.
//! - A full disk refuses events and leaves nothing half-written. A disk that fails to write or to
//!   sync stops its hub for good: after a failed sync nobody knows what is on the disk.
//! - Memory, threads and open files are bounded ([`limits`]); one process uses a directory.
//! - No clock: events bring their time, retention is told the present.

mod crc32c;
mod error;
mod files;
mod hub_log;
pub mod limits;
mod log;
mod partition;
mod read;
pub mod record;
mod retention;
mod segment;
mod writer;

pub use error::{Corrupt, Fault};
pub use log::{Log, Options};
pub use retention::{Dropped, Keep};
pub use writer::Counters;

#[cfg(test)]
mod tests;
