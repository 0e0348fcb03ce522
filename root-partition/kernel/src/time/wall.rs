//! Calendar arithmetic for the wall clock.

use super::SECOND;

/// A date and time, UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the parts of a date")]
pub struct DateTime {
    pub year: u64,
    pub month: u64,
    pub day: u64,
    pub hour: u64,
    pub minute: u64,
    pub second: u64,
}

const YEARS_400: u64 = 146_097;

/// Days from 1601-01-01, the first day of a 400-year cycle of the Gregorian calendar. `None` before it, or no date.
fn days(date: DateTime) -> Option<u64> {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let years = date.year.checked_sub(1601)?;
    let leap =
        date.year.is_multiple_of(4) && (!date.year.is_multiple_of(100) || date.year.is_multiple_of(400));
    let in_year = BEFORE.get(usize::try_from(date.month).ok()?.checked_sub(1)?)? + date.day.checked_sub(1)?;
    let leap_day = u64::from(leap && date.month > 2);
    let (cycles, rest) = (years / 400, years % 400);
    Some(cycles * YEARS_400 + rest * 365 + rest / 4 - rest / 100 + in_year + leap_day)
}

/// 100 ns since 1601-01-01.
#[must_use]
pub fn filetime(date: DateTime) -> Option<u64> {
    let seconds = days(date)? * 86_400 + date.hour * 3_600 + date.minute * 60 + date.second;
    seconds.checked_mul(SECOND)
}

#[cfg(not(test))]
mod cmos {
    use super::DateTime;
    use crate::arch::port;

    fn register(index: u8) -> u8 {
        port::write(0x70_u16, index);
        port::read(0x71)
    }

    /// What the CMOS clock says; `None`: it is being updated all the time, so there is none.
    pub(crate) fn read() -> Option<DateTime> {
        const STATUS_A: u8 = 0x0A;
        const UPDATING: u8 = 0x80;
        const STATUS_B: u8 = 0x0B;
        const BINARY: u8 = 4;
        const HOURS_24: u8 = 2;
        let fields = || [0x00, 0x02, 0x04, 0x07, 0x08, 0x09].map(register);
        let mut last = None;
        for _ in 0..100_000 {
            if register(STATUS_A) & UPDATING != 0 {
                continue;
            }
            let now = fields();
            if last.replace(now) == Some(now) {
                break;
            }
        }
        let [second, minute, hour, day, month, year] = last?;
        let format = register(STATUS_B);
        let number = |value: u8| {
            u64::from(if format & BINARY != 0 { value } else { (value >> 4) * 10 + (value & 0xF) })
        };
        let afternoon = format & HOURS_24 == 0 && hour & 0x80 != 0;
        let mut hours = number(hour & 0x7F);
        if format & HOURS_24 == 0 {
            hours = hours % 12 + if afternoon { 12 } else { 0 };
        }
        Some(DateTime {
            year: 2000 + number(year),
            month: number(month),
            day: number(day),
            hour: hours,
            minute: number(minute),
            second: number(second),
        })
    }
}
#[cfg(not(test))]
pub(crate) use cmos::read as read_cmos;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(year: u64, month: u64, day: u64, second: u64) -> Option<u64> {
        filetime(DateTime { year, month, day, hour: 0, minute: 0, second })
    }

    #[test]
    fn known_dates_have_their_known_times() {
        assert_eq!(at(1601, 1, 1, 0), Some(0));
        assert_eq!(at(1970, 1, 1, 0), Some(116_444_736_000_000_000));
        assert_eq!(at(2000, 2, 29, 1).unwrap(), 125_962_560_010_000_000);
        assert_eq!(at(2000, 3, 1, 0).unwrap() - at(2000, 2, 29, 0).unwrap(), 86_400 * SECOND);
        assert_eq!(at(2101, 1, 1, 0).unwrap() - at(2100, 1, 1, 0).unwrap(), 365 * 86_400 * SECOND);
    }

    #[test]
    fn what_is_no_date_is_refused() {
        assert_eq!(at(1600, 1, 1, 0), None);
        assert_eq!(at(2026, 13, 1, 0), None);
        assert_eq!(at(2026, 0, 1, 0), None);
        assert_eq!(at(2026, 1, 0, 0), None);
    }
}
