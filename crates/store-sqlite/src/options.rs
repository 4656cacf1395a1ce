//! What may be set about a store, and the bounds that may not.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// Commits that wait for the writer before the next is told to come later.
pub(crate) const QUEUE_COMMITS_MAX: usize = 8_192;
/// Commits of one transaction, which share its fsync. Source: measured, no gain beyond.
pub(crate) const GROUP_COMMITS_MAX: usize = 512;
/// How often the writer lets others run, and commit, before it takes those that did.
pub(crate) const GATHER_ROUNDS_MAX: usize = 4;
/// How long a connection waits for a lock that another one holds.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long after a commit its pages are carried from the log to the database.
///
/// Source: measured; a checkpoint inside the commit costs tens of milliseconds at the 99th
/// percentile.
pub(crate) const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(50);
/// How long the writer waits for readers when it empties the log; a backup may read for minutes.
pub(crate) const LOG_WAIT: Duration = Duration::from_millis(250);
/// How long the writer must be without work before it starts the log afresh.
pub(crate) const IDLE_AFTER: Duration = Duration::from_millis(250);
/// Bytes of a database page.
pub(crate) const PAGE_BYTES: u32 = 4_096;
/// Kibibytes of page cache of the writer.
pub(crate) const WRITER_CACHE_KIB: i64 = 64 * 1024;
/// Kibibytes of page cache of each reader; most of what it reads is mapped.
pub(crate) const READER_CACHE_KIB: i64 = 16 * 1024;
/// Bytes of the database that are mapped into memory.
pub(crate) const MMAP_BYTES: i64 = 2 * 1024 * 1024 * 1024;
/// Bytes of documents of the registration records that are kept as they were written last: those
/// of the few seconds in which a device polls what it has registered.
pub(crate) const RECORD_BYTES_KEPT_MAX: usize = 8 * 1024 * 1024;
/// Prepared statements kept by each connection; more than there are texts.
pub(crate) const STATEMENTS_CACHED_MAX: usize = 128;

/// What may be set about a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections that read at the same time.
    pub readers: NonZeroUsize,
    /// Bytes of log past which the writer stops to empty it.
    ///
    /// A writer that is never idle keeps the log from wrapping by itself: 1.1 GB after ten
    /// seconds of saturation, without this bound. While another process reads at length, such as
    /// a backup, the log grows past it all the same.
    pub log_bytes_max: u64,
    /// Pages of 4,096 bytes that the database may have; as many as the disk takes where there is
    /// none. Past it commits answer `Full`.
    pub pages_max: Option<NonZeroU32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            readers: NonZeroUsize::MIN.saturating_add(3),
            log_bytes_max: 256 * 1024 * 1024,
            pages_max: None,
        }
    }
}
