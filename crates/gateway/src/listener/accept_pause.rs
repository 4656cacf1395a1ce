//! How long to wait after a failed accept.

use std::time::Duration;

/// The first pause of a burst of failures.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause. A process out of file descriptors gets some back within about that time.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Doubles the pause from failure to failure; one success ends the burst.
///
/// The usual failure is EMFILE, which lasts and which `accept` reports at once each time: without
/// a pause the loop would spin.
#[derive(Debug, Default)]
pub(super) struct AcceptPause {
    last: Option<Duration>,
}

impl AcceptPause {
    /// Whether the failure at hand follows a success, and so is worth a log line.
    pub(super) fn is_first_of_burst(&self) -> bool {
        self.last.is_none()
    }

    /// Notes a failure, and says how long to wait.
    pub(super) fn failed(&mut self) -> Duration {
        let next = match self.last {
            None => PAUSE_MIN,
            Some(last) => last.saturating_mul(2).min(PAUSE_MAX),
        };
        self.last = Some(next);
        next
    }

    /// Notes a success.
    pub(super) fn succeeded(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_doubles_up_to_a_second_and_a_success_ends_the_burst() {
        let mut pause = AcceptPause::default();
        assert!(pause.is_first_of_burst());
        let waits: Vec<u128> = (0..9).map(|_| pause.failed().as_millis()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert!(!pause.is_first_of_burst());
        pause.succeeded();
        assert!(pause.is_first_of_burst());
        assert_eq!(pause.failed(), PAUSE_MIN);
    }
}
