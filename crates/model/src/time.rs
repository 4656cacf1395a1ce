//! Instants in UTC, with the wire's resolution of 100 nanoseconds.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// Ticks of 100 nanoseconds in one second.
pub const TICKS_PER_SECOND: i64 = 10_000_000;

/// .NET ticks (from year 1) at the Unix epoch.
const DOTNET_TICKS_AT_EPOCH: i64 = 621_355_968_000_000_000;

/// The last instant that has a four-digit year, in seconds since the Unix epoch.
const SECONDS_MAX: i64 = 253_402_300_799;
/// The first instant of year 1, in seconds since the Unix epoch.
const SECONDS_MIN: i64 = -62_135_596_800;

/// An instant in UTC: ticks of 100 ns since the Unix epoch, years 1 to 9999.
///
/// Its text is `2022-07-05T21:27:16.8123235Z`: seven fractional digits, always `Z`.
/// Source: `dps-service-api` §1.8.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is not an instant in the form that Muster writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampError;

impl fmt::Display for TimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not a UTC instant such as 2022-07-05T21:27:16.8123235Z")
    }
}
impl std::error::Error for TimestampError {}

impl Timestamp {
    /// The zero instant of IoT Hub, `0001-01-01T00:00:00Z`.
    pub const ZERO: Self = Self(SECONDS_MIN * TICKS_PER_SECOND);

    /// The instant so many whole seconds after the Unix epoch, clamped to years 1 to 9999.
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        let seconds = if seconds > SECONDS_MAX {
            SECONDS_MAX
        } else if seconds < SECONDS_MIN {
            SECONDS_MIN
        } else {
            seconds
        };
        Self(seconds * TICKS_PER_SECOND)
    }

    /// The instant so many ticks of 100 ns after the Unix epoch, clamped to years 1 to 9999.
    pub fn from_unix_ticks(ticks: i64) -> Self {
        let last = SECONDS_MAX * TICKS_PER_SECOND + (TICKS_PER_SECOND - 1);
        Self(ticks.clamp(SECONDS_MIN * TICKS_PER_SECOND, last))
    }

    /// Ticks of 100 ns since the Unix epoch.
    pub const fn unix_ticks(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(TICKS_PER_SECOND)
    }

    /// Ticks of 100 ns since year 1, the form of a hub's `generationId`.
    pub const fn dotnet_ticks(self) -> i64 {
        self.0 + DOTNET_TICKS_AT_EPOCH
    }

    /// The instant `span` later, clamped to year 9999.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let ticks = i64::try_from(span.as_nanos() / 100).unwrap_or(i64::MAX);
        Self::from_unix_ticks(self.0.saturating_add(ticks))
    }

    /// The instant `span` earlier, clamped to year 1.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        let ticks = i64::try_from(span.as_nanos() / 100).unwrap_or(i64::MAX);
        Self::from_unix_ticks(self.0.saturating_sub(ticks))
    }

    /// How long after `earlier` this instant is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        let ticks = u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0);
        Duration::from_nanos(ticks.saturating_mul(100))
    }

    /// Reads `YYYY-MM-DDThh:mm:ss[.fraction]Z`; digits of the fraction past seven are dropped.
    ///
    /// # Errors
    /// [`TimestampError`] for any other form or an impossible date.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let text = text.strip_suffix('Z').ok_or(TimestampError)?;
        let (date, clock) = text.split_once('T').ok_or(TimestampError)?;
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
        let possible = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !possible || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return Err(TimestampError);
        }
        let mut ticks = 0_i64;
        let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(7);
        for digit in digits {
            ticks = ticks * 10 + i64::from(digit - b'0');
        }
        let seconds =
            days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        Ok(Self(seconds * TICKS_PER_SECOND + ticks))
    }
}

fn numbers(text: &str, mark: char, widths: [usize; 3]) -> Result<[i64; 3], TimestampError> {
    let mut parts = text.split(mark);
    let mut read = |width: usize| {
        let part = parts.next().ok_or(TimestampError)?;
        if part.len() != width || !part.bytes().all(|b| b.is_ascii_digit()) {
            return Err(TimestampError);
        }
        part.parse::<i64>().map_err(|_| TimestampError)
    };
    let [first, second, third] = widths;
    let found = [read(first)?, read(second)?, read(third)?];
    if parts.next().is_some() {
        return Err(TimestampError);
    }
    Ok(found)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the Unix epoch of a proleptic Gregorian date.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let shifted = (month + 9) % 12;
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The date of a day counted from the Unix epoch: year, month, day.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days - era * 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

impl Timestamp {
    /// Gives the text to `work`. A record holds a dozen: formatted part by part each took as long
    /// as all else of its document.
    fn with_text<T>(self, work: impl FnOnce(&str) -> T) -> Option<T> {
        let seconds = self.unix_seconds();
        let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
        let clock = seconds.rem_euclid(86_400);
        let mut text = *b"YYYY-MM-DDThh:mm:ss.fffffffZ";
        let parts = [
            (0..4, year),
            (5..7, month),
            (8..10, day),
            (11..13, clock / 3600),
            (14..16, clock / 60 % 60),
            (17..19, clock % 60),
            (20..27, self.0.rem_euclid(TICKS_PER_SECOND)),
        ];
        for (at, mut number) in parts {
            for digit in text.get_mut(at)?.iter_mut().rev() {
                *digit = b'0' + u8::try_from(number % 10).ok()?;
                number /= 10;
            }
        }
        std::str::from_utf8(&text).ok().map(work)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text)).unwrap_or(Err(fmt::Error))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
            .unwrap_or_else(|| Err(ser::Error::custom(TimestampError)))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants_have_their_texts() {
        let cases = [
            (0, "1970-01-01T00:00:00.0000000Z"),
            (1_893_456_000, "2030-01-01T00:00:00.0000000Z"),
            (951_782_400, "2000-02-29T00:00:00.0000000Z"),
            (SECONDS_MAX, "9999-12-31T23:59:59.0000000Z"),
            (SECONDS_MIN, "0001-01-01T00:00:00.0000000Z"),
        ];
        for (seconds, text) in cases {
            assert_eq!(Timestamp::from_unix_seconds(seconds).to_string(), text);
            assert_eq!(Timestamp::parse(text), Ok(Timestamp::from_unix_seconds(seconds)));
        }
    }

    #[test]
    fn fractions_are_ticks() {
        let at = Timestamp::parse("2022-07-05T21:27:16.8123235Z").unwrap();
        assert_eq!(at.to_string(), "2022-07-05T21:27:16.8123235Z");
        assert_eq!(Timestamp::parse("1970-01-01T00:00:00.5Z").unwrap().unix_ticks(), 5_000_000);
    }

    #[test]
    fn every_day_of_four_centuries_round_trips() {
        for day in -146_097..146_097 {
            let (year, month, date) = civil_from_days(day);
            assert_eq!(days_from_civil(year, month, date), day);
        }
    }

    #[test]
    fn impossible_texts_are_refused() {
        for bad in [
            "",
            "2022-02-30T00:00:00Z",
            "2022-01-01",
            "2022-01-01T24:00:00Z",
            "22-01-01T00:00:00Z",
            "2022-01-01T00:00:00",
            "2022-01-01T00:00:00.x1Z",
            "0000-01-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(bad), Err(TimestampError), "{bad}");
        }
    }

    #[test]
    fn generation_ids_are_dotnet_ticks() {
        let created = Timestamp::parse("2021-07-07T20:45:24.0648717Z").unwrap();
        assert_eq!(created.dotnet_ticks(), 637_612_875_240_648_717);
    }
}
