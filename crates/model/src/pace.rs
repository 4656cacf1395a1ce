//! A rate that is kept.

use std::num::NonZeroU32;
use std::time::Duration;

/// A rate with a bounded lead: the virtual scheduling of the generic cell rate algorithm
/// (ITU-T I.371). A turn comes at most the lead ahead of its time, so that this is both a burst,
/// to whoever takes turns at once, and the longest wait, to whoever waits for them.
///
/// Instants are durations since any moment, the same one for all.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    interval: Duration,
    lead: Duration,
    next: Duration,
}

impl Pace {
    /// So many turns in a second, and how far ahead they may be given away.
    pub fn new(per_second: NonZeroU32, lead: Duration) -> Self {
        Self { interval: Duration::from_secs(1) / per_second.get(), lead, next: Duration::ZERO }
    }

    /// Takes the next turn: how long it is until then. None where all within the lead are taken;
    /// nothing is taken then.
    pub fn turn(&mut self, now: Duration) -> Option<Duration> {
        let wait = self.next.saturating_sub(now);
        if wait > self.lead + self.interval {
            // The clock went back: nothing was ever given away this far ahead.
            self.next = now;
        } else if wait > self.lead {
            return None;
        }
        let at = self.next.max(now);
        self.next = at + self.interval;
        Some(at - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace() -> Pace {
        Pace::new(NonZeroU32::new(10).unwrap(), SECOND)
    }

    #[test]
    fn turns_are_an_interval_apart_and_at_most_the_lead_ahead() {
        let mut pace = pace();
        let now = 100 * SECOND;
        let waits: Vec<_> = (0..12).map(|_| pace.turn(now)).collect();
        let given: Vec<_> = (0..11).map(|turn| Some(turn * SECOND / 10)).collect();
        assert_eq!(waits[..11], given);
        assert_eq!(waits[11], None);
        assert_eq!(pace.turn(now + SECOND / 20), None);
        assert_eq!(pace.turn(now + SECOND / 10), Some(SECOND), "a refusal takes no turn");
    }

    #[test]
    fn whoever_was_idle_has_saved_nothing_but_the_lead() {
        let mut pace = pace();
        assert_eq!(pace.turn(SECOND), Some(Duration::ZERO));
        let later = 1_000 * SECOND;
        assert_eq!((0..100).filter_map(|_| pace.turn(later)).count(), 11);
    }

    #[test]
    fn a_clock_that_goes_back_stops_nobody() {
        let mut pace = pace();
        assert_eq!(pace.turn(1_000_000 * SECOND), Some(Duration::ZERO));
        assert_eq!(pace.turn(5 * SECOND), Some(Duration::ZERO));
        assert_eq!(pace.turn(5 * SECOND), Some(SECOND / 10));
    }
}
