//! What follows a try to deliver an event.

use std::time::Duration;

use model::{Timestamp, limits};
use serde::{Deserialize, Serialize};

use crate::{Dead, DeadReason, Delivery, Tried};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
/// The pauses after the first tries, in seconds; the last one for ever.
///
/// Source: `articles/event-grid/delivery-and-retry.md`, "Retry schedule and duration".
const PAUSES: [u64; 7] = [10, 30, MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR];
/// The longest pause that a receiver may ask for.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(HOUR);

/// The longest pause that a delivery is ever given, with what is added by chance.
const PAUSE_MAX: Duration = Duration::from_secs(HOUR + HOUR / 10);

/// How often and how long an event is tried. Source: Event Grid's `retryPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// Tries, 1..=30.
    pub tries_max: u32,
    /// Minutes from the first try, 1..=1440.
    pub life_minutes: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { tries_max: limits::EVENT_TRIES_MAX, life_minutes: limits::EVENT_LIFE_MINUTES_MAX }
    }
}

/// What a receiver made of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has it.
    Taken,
    /// It will never take it; why, for the operator.
    Refused(String),
    /// It may take it later.
    Failed {
        /// Why, for the operator.
        because: String,
        /// How long it wants to be left alone.
        asked_pause: Option<Duration>,
    },
}

/// What becomes of a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// It is done with.
    Delivered,
    /// It is kept: to be tried again, or dead.
    Keep(Box<Delivery>),
}

/// Whether a delivery is to be tried now. One that is due farther away than any pause was given
/// its time by a clock that was ahead, and would wait for nothing.
pub fn is_due(delivery: &Delivery, now: Timestamp) -> bool {
    delivery.due <= now || delivery.due.since(now) > PAUSE_MAX
}

/// What becomes of a delivery after one more try, which ended at `now`.
///
/// `chance` spreads the tries of many: a tenth of the pause at the most is added.
pub fn after(
    delivery: Delivery,
    outcome: Outcome,
    policy: &RetryPolicy,
    now: Timestamp,
    chance: u32,
) -> Next {
    let tries = delivery.tries.saturating_add(1);
    let (outcome, due, reason) = match outcome {
        Outcome::Taken => return Next::Delivered,
        Outcome::Refused(because) => {
            (because, now, Some(DeadReason::UndeliverableDueToClientError))
        }
        Outcome::Failed { because, asked_pause } => {
            let asked = asked_pause.unwrap_or_default().min(ASKED_PAUSE_MAX);
            let due = now.plus(pause(tries, chance).max(asked));
            let life = Duration::from_secs(u64::from(policy.life_minutes).saturating_mul(MINUTE));
            let reason = match (tries >= policy.tries_max, due > delivery.since.plus(life)) {
                (true, _) => Some(DeadReason::MaxDeliveryAttemptsExceeded),
                (false, true) => Some(DeadReason::TimeToLiveExceeded),
                (false, false) => None,
            };
            (because, due, reason)
        }
    };
    Next::Keep(Box::new(Delivery {
        tries,
        due,
        last: Some(Tried { at: now, outcome }),
        dead: reason.map(|reason| Dead { reason, at: now }),
        ..delivery
    }))
}

/// How long to wait after so many tries.
fn pause(tries: u32, chance: u32) -> Duration {
    let at = usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX);
    let seconds = PAUSES.get(at).copied().unwrap_or(HOUR);
    let tenth_ms = seconds.saturating_mul(100);
    Duration::from_secs(seconds) + Duration::from_millis(u64::from(chance) % (tenth_ms + 1))
}

#[cfg(test)]
mod tests {
    use model::SubscriptionName;

    use super::*;
    use crate::{Event, EventType, Source};

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_900_000_000).plus(Duration::from_secs(seconds))
    }

    fn delivery() -> Delivery {
        let event = Event {
            id: "e".to_owned(),
            event_type: EventType::DeviceCreated,
            source: Source::Server,
            subject: "s".to_owned(),
            time: at(0),
            data: serde_json::Value::Null,
        };
        Delivery::new(SubscriptionName::parse("ops").unwrap(), event, at(0))
    }

    fn failed() -> Outcome {
        Outcome::Failed { because: "it answered with status 503".to_owned(), asked_pause: None }
    }

    fn kept(next: Next) -> Delivery {
        match next {
            Next::Keep(kept) => *kept,
            Next::Delivered => panic!("it is delivered"),
        }
    }

    #[test]
    fn an_event_from_a_clock_that_was_ahead_is_sent() {
        let due = |seconds| Delivery { due: at(seconds), ..delivery() };
        assert!(is_due(&due(0), at(0)) && !is_due(&due(1), at(0)));
        // The longest pause, and the most that chance adds to it.
        let longest = HOUR + HOUR / 10;
        assert!(!is_due(&due(longest), at(0)) && is_due(&due(longest + 1), at(0)));
        assert!(is_due(&due(365 * 24 * HOUR), at(0)));
        let mut kept_last = delivery();
        for _ in 0..20 {
            let policy = RetryPolicy::default();
            kept_last = kept(after(kept_last, failed(), &policy, at(0), u32::MAX));
            assert!(!is_due(&kept_last, at(0)), "{kept_last:?}");
        }
    }

    /// Tries until it is dead; gives the tries and how many seconds they took.
    fn until_dead(policy: &RetryPolicy, chance: u32) -> (Delivery, u64) {
        let (mut delivery, mut now) = (delivery(), at(0));
        loop {
            delivery = kept(after(delivery, failed(), policy, now, chance));
            if delivery.dead.is_some() {
                return (delivery, now.since(at(0)).as_secs());
            }
            now = delivery.due;
        }
    }

    #[test]
    fn an_event_that_is_taken_is_done_with() {
        let next = after(delivery(), Outcome::Taken, &RetryPolicy::default(), at(1), 0);
        assert_eq!(next, Next::Delivered);
    }

    #[test]
    fn pauses_are_those_of_event_grid_and_spread_by_a_tenth() {
        let (mut delivery, policy) = (delivery(), RetryPolicy::default());
        for expected in [10, 30, 60, 300, 600, 1800, 3600, 3600] {
            let early = kept(after(delivery.clone(), failed(), &policy, at(0), 0));
            assert_eq!(early.due, at(expected));
            let latest = u32::try_from(expected * 100).unwrap();
            let late = kept(after(delivery, failed(), &policy, at(0), latest));
            assert_eq!(late.due.since(at(0)), Duration::from_millis(expected * 1100));
            delivery = early;
        }
        assert_eq!(delivery.last.unwrap().outcome, "it answered with status 503");
    }

    #[test]
    fn an_event_is_given_up_after_its_tries_or_its_life() {
        let (dead, seconds) = until_dead(&RetryPolicy::default(), 0);
        assert_eq!(dead.dead.unwrap().reason, DeadReason::MaxDeliveryAttemptsExceeded);
        assert_eq!(dead.tries, 30);
        assert!((23 * HOUR..=24 * HOUR).contains(&seconds), "{seconds}");
        let policy = RetryPolicy { tries_max: 3, life_minutes: 1440 };
        let (dead, seconds) = until_dead(&policy, 0);
        assert_eq!(dead.dead.unwrap().reason, DeadReason::MaxDeliveryAttemptsExceeded);
        assert_eq!((dead.tries, seconds), (3, 40));
        let policy = RetryPolicy { tries_max: 30, life_minutes: 1 };
        let (dead, _) = until_dead(&policy, 0);
        assert_eq!(dead.dead.unwrap().reason, DeadReason::TimeToLiveExceeded);
        assert_eq!(dead.tries, 3);
    }

    #[test]
    fn one_that_is_refused_for_good_is_given_up_at_once() {
        let outcome = Outcome::Refused("it answered with status 400".to_owned());
        let dead = kept(after(delivery(), outcome, &RetryPolicy::default(), at(2), 0));
        let expected = Dead { reason: DeadReason::UndeliverableDueToClientError, at: at(2) };
        assert_eq!((dead.tries, dead.dead), (1, Some(expected)));
        let again = dead.again(at(9));
        assert_eq!((again.tries, again.since, again.due), (0, at(9), at(9)));
        assert!(again.dead.is_none() && again.last.is_some());
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_pause_but_not_for_a_shorter_one() {
        let asked = |seconds| Outcome::Failed {
            because: String::new(),
            asked_pause: Some(Duration::from_secs(seconds)),
        };
        for (given, expected) in [(1, 10), (120, 120), (u64::MAX / 2, HOUR)] {
            let next = after(delivery(), asked(given), &RetryPolicy::default(), at(0), 0);
            assert_eq!(kept(next).due, at(expected));
        }
    }
}
