//! When to say that a certificate ends.

use model::Timestamp;

const DAY_SECONDS: i64 = 86_400;
/// Days before the end at which it is said, each once. Source: ours; Let's Encrypt mails at 20
/// days, and a renewal is due at 30.
const DAYS: [i64; 4] = [1, 7, 14, 30];

/// How near a certificate's end is; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// More than 30 days are left.
    Far,
    /// At most so many days are left: minus 30, 14, 7 or 1, so that fewer are greater.
    Within(i64),
    /// It has ended.
    Over,
}

impl Stage {
    /// The stage at an instant.
    pub(crate) fn of(ends: Timestamp, now: Timestamp) -> Self {
        let left = ends.unix_seconds() - now.unix_seconds();
        if left < 0 {
            return Self::Over;
        }
        let within = DAYS.into_iter().find(|days| left <= days * DAY_SECONDS);
        within.map_or(Self::Far, |days| Self::Within(-days))
    }
}

/// What is to be said, if something is, to somebody who was told `told`.
pub(crate) fn due(ends: Timestamp, now: Timestamp, told: Stage) -> Option<Stage> {
    Some(Stage::of(ends, now)).filter(|stage| *stage > told)
}

/// Whole days that are left, rounded down; negative once it has ended.
pub(crate) fn days_left(ends: Timestamp, now: Timestamp) -> i64 {
    (ends.unix_seconds() - now.unix_seconds()).div_euclid(DAY_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: Timestamp = Timestamp::from_unix_seconds(100 * DAY_SECONDS);

    #[test]
    fn the_end_is_announced_at_30_14_7_and_1_days_and_when_it_has_come() {
        let mut told = Stage::Far;
        let mut said = Vec::new();
        // Hour by hour, as a server that runs all the time.
        for hour in 0..(102 * 24) {
            let now = Timestamp::from_unix_seconds(hour * 3600);
            if let Some(stage) = due(ENDS, now, told) {
                said.push((days_left(ENDS, now), stage));
                told = stage;
            }
        }
        let expected = [
            (30, Stage::Within(-30)),
            (14, Stage::Within(-14)),
            (7, Stage::Within(-7)),
            (1, Stage::Within(-1)),
            (-1, Stage::Over),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn whoever_comes_late_is_told_the_nearest_alone() {
        let late = Timestamp::from_unix_seconds(95 * DAY_SECONDS);
        assert_eq!(due(ENDS, late, Stage::Far), Some(Stage::Within(-7)));
        assert_eq!(due(ENDS, late, Stage::Within(-7)), None);
    }

    #[test]
    fn the_last_second_is_still_valid() {
        let after = Timestamp::from_unix_seconds(ENDS.unix_seconds() + 1);
        assert_eq!(Stage::of(ENDS, ENDS), Stage::Within(-1));
        assert_eq!(Stage::of(ENDS, after), Stage::Over);
    }
}
