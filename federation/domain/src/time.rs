//! Record time: what the leader stamped on an entry, never a local clock.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

/// One minute in milliseconds.
pub const MINUTE_MS: i64 = 60_000;
/// One hour in milliseconds.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// One day in milliseconds.
pub const DAY_MS: i64 = 24 * HOUR_MS;
/// China Standard Time is eight hours ahead of UTC, without daylight saving since 1991.
const SHANGHAI_OFFSET_MS: i64 = 8 * HOUR_MS;

impl Timestamp {
    /// The beginning of time.
    pub const ZERO: Self = Self(0);
    /// Later than everything: "never".
    pub const NEVER: Self = Self(i64::MAX);

    /// This much later, in milliseconds.
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The calendar date (year, month, day) in Asia/Shanghai. Working numbers and expiries count by it.
    pub fn shanghai_date(self) -> Date {
        Date::from_days((self.0.saturating_add(SHANGHAI_OFFSET_MS)).div_euclid(DAY_MS))
    }
}

impl fmt::Display for Timestamp {
    /// ISO 8601 in Asia/Shanghai, to the second: `2026-03-01T23:40:00+08:00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            return f.write_str("never");
        }
        let local = self.0.saturating_add(SHANGHAI_OFFSET_MS);
        let second = local.rem_euclid(DAY_MS) / 1000;
        write!(f, "{}T{:02}:{:02}:{:02}+08:00", self.shanghai_date(), second / 3600, second / 60 % 60, second % 60)
    }
}

/// A calendar date in the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Date {
    /// Year, e.g. 2026.
    pub year: i32,
    /// Month, 1..=12.
    pub month: u8,
    /// Day, 1..=31.
    pub day: u8,
}

impl Date {
    /// A date, if that day exists.
    pub fn new(year: i32, month: u8, day: u8) -> Option<Self> {
        let date = Self { year, month, day };
        ((1900..=9999).contains(&year) && Self::from_days(date.to_days()) == date).then_some(date)
    }

    /// The last millisecond of this day in Asia/Shanghai: what expires "on" a day is good until then.
    pub fn end(self) -> Timestamp {
        Timestamp((self.to_days() + 1) * DAY_MS - SHANGHAI_OFFSET_MS - 1)
    }

    /// Days since 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms", days_from_civil).
    fn to_days(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }

    /// The inverse of [`Date::to_days`] (ibid., civil_from_days).
    fn from_days(days: i64) -> Self {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        // Always in range: the year of any millisecond count in 64 bits, a month 1..=12, a day 1..=31.
        let small = |n: i64| u8::try_from(n).unwrap_or(u8::MAX);
        Self { year: i32::try_from(year).unwrap_or(i32::MAX), month: small(month), day: small(day) }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_shanghai() {
        for (ms, text) in [
            (0, "1970-01-01T08:00:00+08:00"),
            (1_709_164_799_000, "2024-02-29T07:59:59+08:00"),
            (1_767_196_800_000, "2026-01-01T00:00:00+08:00"),
            (1_767_196_799_999, "2025-12-31T23:59:59+08:00"),
        ] {
            assert_eq!(Timestamp(ms).to_string(), text);
        }
    }

    #[test]
    fn only_days_that_exist() {
        assert!(Date::new(2024, 2, 29).is_some());
        assert!(Date::new(2023, 2, 29).is_none());
        assert!(Date::new(2026, 13, 1).is_none());
        assert!(Date::new(2026, 0, 1).is_none());
        let end = Date::new(2026, 1, 1).unwrap().end();
        assert_eq!(end.shanghai_date().to_string(), "2026-01-01");
        assert_eq!(end.plus_ms(1).shanghai_date().to_string(), "2026-01-02");
    }
}
