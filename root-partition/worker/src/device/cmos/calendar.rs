//! Seconds since 1601 as a date of the Gregorian calendar, and back.

const DAY: u64 = 86_400;
/// Days in 400, 100, 4 years and one year; 1601 begins a cycle of 400.
const YEARS_400: u64 = 146_097;
const YEARS_100: u64 = 36_524;
const YEARS_4: u64 = 1_461;
const YEAR: u64 = 365;
/// Days of the year before each month, in a year without a leap day.
const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
/// The year that seconds are counted from.
const EPOCH: u16 = 1601;
/// The last year that two BCD digits of a century can show.
const LAST: u64 = 9999 - EPOCH as u64;

/// A date and time, in the ranges that a calendar has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DateTime {
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Days of `year` before `month` (1 to 12).
fn days_before(year: u16, month: u8) -> u64 {
    let days = BEFORE.get(usize::from(month).saturating_sub(1)).copied().unwrap_or(0);
    days + u64::from(month > 2 && is_leap(year))
}

impl DateTime {
    /// The time `seconds` after 1601-01-01 00:00.
    pub fn from_seconds(seconds: u64) -> Self {
        let days = seconds / DAY;
        let (cycle, days) = (days / YEARS_400, days % YEARS_400);
        let century = (days / YEARS_100).min(3);
        let days = days - century * YEARS_100;
        let (four, days) = (days / YEARS_4, days % YEARS_4);
        let one = (days / YEAR).min(3);
        let day_of_year = days - one * YEAR;
        let years = (cycle * 400 + century * 100 + four * 4 + one).min(LAST);
        let year = EPOCH + years as u16;
        let month = (1..=12).rev().find(|&month| days_before(year, month) <= day_of_year).unwrap_or(1);
        let time = seconds % DAY;
        Self {
            year,
            month,
            day: (day_of_year - days_before(year, month) + 1) as u8,
            hour: (time / 3600) as u8,
            minute: (time / 60 % 60) as u8,
            second: (time % 60) as u8,
        }
    }

    fn days(self) -> u64 {
        let years = u64::from(self.year.saturating_sub(EPOCH));
        let leaps = years / 4 - years / 100 + years / 400;
        years * YEAR + leaps + days_before(self.year, self.month) + u64::from(self.day) - 1
    }

    /// Seconds since 1601-01-01 00:00.
    pub fn seconds(self) -> u64 {
        self.days() * DAY + u64::from(self.hour) * 3600 + u64::from(self.minute) * 60 + u64::from(self.second)
    }

    /// Day of the week, 1 for Sunday to 7.
    pub fn weekday(self) -> u8 {
        ((self.days() + 1) % 7) as u8 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY, DateTime};
    use proptest::prelude::*;

    #[test]
    fn known_days() {
        for (seconds, year, month, day, weekday) in [
            (0, 1601, 1, 1, 2),
            (11_644_473_600, 1970, 1, 1, 5),
            (11_644_473_600 + 951_782_400, 2000, 2, 29, 3),
            (11_644_473_600 + 4_107_542_400, 2100, 3, 1, 2),
        ] {
            let time = DateTime::from_seconds(seconds);
            assert_eq!((time.year, time.month, time.day, time.weekday()), (year, month, day, weekday));
        }
    }

    proptest! {
        #[test]
        fn there_and_back(seconds in 0..8398 * 365 * DAY) {
            let time = DateTime::from_seconds(seconds);
            prop_assert!((1..=12).contains(&time.month) && (1..=31).contains(&time.day));
            prop_assert_eq!(time.seconds(), seconds);
        }

        #[test]
        fn the_next_day_follows(day in 0u64..3_000_000) {
            let (a, b) = (DateTime::from_seconds(day * DAY), DateTime::from_seconds((day + 1) * DAY));
            prop_assert!((a.year, a.month, a.day) < (b.year, b.month, b.day));
            prop_assert!(b.day == a.day + 1 || b.day == 1);
        }
    }
}
