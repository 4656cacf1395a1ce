//! How many refusals of devices are written down (S-35).
//!
//! A refused device that comes again and again changes nothing that anybody has to know, and its
//! commits would stand before those of others. Beyond a rate the refusal is told and not written:
//! each attempt is judged by what is there, so that nothing of this outlives an enable (M-27).

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::{Pace, ServiceName, Timestamp, limits};

use crate::Service;
use crate::observe::Observed;

/// The pace of each instance; bounded by their number.
#[derive(Debug)]
pub(crate) struct Refusals {
    per_second: Option<NonZeroU32>,
    paces: Mutex<HashMap<ServiceName, Pace>>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self::new(NonZeroU32::new(limits::REFUSED_RECORDS_PER_SECOND))
    }
}

impl Refusals {
    pub(crate) fn new(per_second: Option<NonZeroU32>) -> Self {
        Self { per_second, paces: Mutex::default() }
    }

    /// Whether one more is written now; it counts if it is.
    fn takes(&self, dps: &ServiceName, now: Timestamp) -> bool {
        let Some(per_second) = self.per_second else { return true };
        let now = u64::try_from(now.unix_seconds()).map_or(Duration::ZERO, Duration::from_secs);
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pace) = paces.get_mut(dps) {
            return pace.turn(now).is_some();
        }
        let mut pace = Pace::new(per_second, limits::REFUSED_RECORDS_LEAD);
        let first = pace.turn(now).is_some();
        paces.insert(dps.clone(), pace);
        first
    }
}

impl Service {
    /// Whether one more refusal is recorded now.
    pub(crate) fn records_refusal(&self, dps: &ServiceName) -> bool {
        let takes = self.refusals.takes(dps, self.now());
        if !takes {
            self.observer.observe(&Observed::RefusalUnrecorded { dps });
        }
        takes
    }
}
