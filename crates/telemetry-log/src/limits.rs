//! The bounds of this crate.

/// Bytes of one record's payload: the largest message and generous room for its properties.
/// Source: ours, four times `model::limits::TELEMETRY_MESSAGE_BYTES_MAX`.
pub const PAYLOAD_BYTES_MAX: usize = 4 * model::limits::TELEMETRY_MESSAGE_BYTES_MAX;
/// Events that wait for one hub's writer, by default; the next is refused. Source: ours.
pub const QUEUE_EVENTS_MAX: usize = 8192;
/// Bytes that wait for one hub's writer; the next event is refused. Source: ours, sixteen groups.
pub const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Events in one group, made durable together. Source: ours, by measuring.
pub const GROUP_EVENTS_MAX: usize = 512;
/// Bytes at which a group takes no further event. Source: ours.
pub const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes at which a segment takes no further record, by default. Source: ours.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Partitions of a hub, by default. Source: IoT Hub creates four.
pub const PARTITIONS: u32 = 4;
/// Partitions of a hub at the most. Source: `Microsoft.Devices/IotHubs`, `partitionCount`.
pub const PARTITIONS_MAX: u32 = 32;
/// Hubs of one log. Source: ours; each holds a thread and a file for each partition.
pub const HUBS_MAX: usize = 512;
/// Bytes of records that one read answers with, though at least one event. Source: ours.
pub const READ_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Reads under way at once; each holds one open file. Source: ours.
pub const READS_MAX: usize = 32;
/// Bytes between two marks in a segment's index, at the least. Source: ours.
pub(crate) const MARK_STRIDE_BYTES: u64 = 64 * 1024;
/// Bytes of a manifest. Source: ours; two short lines.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 1024;
/// Groups that must all find room before a full disk counts as over, in the log. Source: ours.
pub(crate) const FULL_OVER_GROUPS: u32 = 100;
/// Bytes of the disk that telemetry leaves free, or an eighth of a small one. Source: ours; many
/// times what SQLite's log and its checkpoint take.
pub(crate) const FREE_BYTES_MIN: u64 = 64 * 1024 * 1024;
