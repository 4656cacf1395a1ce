//! Explanations of late attempts, recorded or not (settled D-15).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use model::{ServiceName, limits};
use provisioning::explain::Explanation;

/// One attempt and its explanation.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The id in the answer.
    pub tracking_id: String,
    /// The instance that was asked.
    pub dps: ServiceName,
    /// The protocol.
    pub protocol: String,
    /// The story.
    pub explanation: Arc<Explanation>,
}

/// A bounded ring of attempts, newest last; kept in memory only.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<VecDeque<Attempt>>);

impl Attempts {
    fn ring(&self) -> MutexGuard<'_, VecDeque<Attempt>> {
        match self.0.lock() {
            Ok(ring) => ring,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// Keeps an attempt; the oldest goes when there are too many.
    pub fn keep(&self, attempt: Attempt) {
        let mut ring = self.ring();
        if ring.len() >= limits::ATTEMPTS_KEPT_MAX {
            ring.pop_front();
        }
        ring.push_back(attempt);
    }

    /// The attempts of a registration id (case-insensitive) or a tracking id, newest first.
    pub fn of(&self, id: &str) -> Vec<Attempt> {
        let matches = |attempt: &&Attempt| {
            attempt.tracking_id.eq_ignore_ascii_case(id)
                || attempt.explanation.registration_id.as_str().eq_ignore_ascii_case(id)
        };
        self.ring().iter().rev().filter(matches).cloned().collect()
    }
}
