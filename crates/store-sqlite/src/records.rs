//! Registration records as they were written last, for the polls that come next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Revision;
use provisioning::registration::Registration;

use crate::options::RECORD_BYTES_KEPT_MAX;

/// A record that was written, with the revision that it has got by that.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) revision: Revision,
    pub(crate) record: Arc<Registration>,
    /// Bytes of its document, as a measure of its size.
    pub(crate) bytes: usize,
}

/// Records that were written last, by revision.
///
/// A device polls what it has just registered: that need not be read out of its document again.
/// A record is asked for by the revision that a snapshot has, and no two documents ever have the
/// same: what is given is what the snapshot holds.
#[derive(Debug, Default)]
pub(crate) struct LateRecords(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Revisions grow, and the writer keeps records in the order in which it has given them out.
    by_revision: VecDeque<Written>,
    bytes: usize,
}

impl LateRecords {
    /// Keeps what a transaction has written, once it is on the disk: before that its revisions may
    /// be given out again. The oldest go where it is too much.
    pub(crate) fn keep(&self, written: Vec<Written>) {
        let mut kept = self.kept();
        for one in written {
            kept.bytes = kept.bytes.saturating_add(one.bytes);
            kept.by_revision.push_back(one);
        }
        while kept.bytes > RECORD_BYTES_KEPT_MAX
            && let Some(oldest) = kept.by_revision.pop_front()
        {
            kept.bytes = kept.bytes.saturating_sub(oldest.bytes);
        }
    }

    /// The record that was written as this revision, where it is kept.
    pub(crate) fn of(&self, revision: Revision) -> Option<Arc<Registration>> {
        let kept = self.kept();
        let at = kept.by_revision.binary_search_by_key(&revision, |one| one.revision).ok()?;
        kept.by_revision.get(at).map(|one| Arc::clone(&one.record))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use provisioning::enrollment::{EntryId, EntryRef};
    use store::suite::fixtures::{at, refused, rid};

    use super::*;

    fn written(revision: u64, bytes: usize) -> Written {
        let owner = EntryRef { id: EntryId::Individual(rid("owner")), created: at(0) };
        let record = Arc::new(refused(&format!("dev-{revision}"), owner, 1));
        Written { revision: Revision(revision), record, bytes }
    }

    fn found(records: &LateRecords, revision: u64) -> Option<String> {
        records.of(Revision(revision)).map(|record| record.registration_id.to_string())
    }

    #[test]
    fn a_record_is_found_by_its_revision_alone() {
        let records = LateRecords::default();
        records.keep(vec![written(3, 1), written(7, 1)]);
        records.keep(vec![written(8, 1)]);
        assert_eq!(found(&records, 7).as_deref(), Some("dev-7"));
        assert_eq!(found(&records, 8).as_deref(), Some("dev-8"));
        assert_eq!(found(&records, 5), None);
    }

    #[test]
    fn the_oldest_go_where_it_is_too_much() {
        let records = LateRecords::default();
        let half = RECORD_BYTES_KEPT_MAX / 2;
        records.keep(vec![written(1, half), written(2, half)]);
        assert!(found(&records, 1).is_some());
        records.keep(vec![written(3, 1)]);
        assert!(found(&records, 1).is_none() && found(&records, 3).is_some());
        records.keep(vec![written(4, RECORD_BYTES_KEPT_MAX + 1)]);
        assert!([1, 2, 3, 4].into_iter().all(|revision| found(&records, revision).is_none()));
        assert_eq!(records.kept().bytes, 0);
    }
}
