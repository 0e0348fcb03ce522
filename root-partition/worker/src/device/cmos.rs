//! The CMOS clock (MC146818) and its memory, at ports 0x70 and 0x71.
//!
//! 1. It shows UTC from the host's clock plus what the guest has set it apart by; there is no tick to miss.
//! 2. Registers A and B say: no update in progress, ever; 24 hours; BCD unless the guest chooses binary.
//! 3. It never interrupts: the alarm registers only keep what is written.

mod calendar;

use calendar::DateTime;

/// Index of each register.
const SECONDS: u8 = 0x00;
const MINUTES: u8 = 0x02;
const HOURS: u8 = 0x04;
const WEEKDAY: u8 = 0x06;
const DAY: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const STATUS_A: u8 = 0x0A;
const STATUS_B: u8 = 0x0B;
const STATUS_C: u8 = 0x0C;
const STATUS_D: u8 = 0x0D;
/// Where the FADT says that the century is.
pub const CENTURY: u8 = 0x32;

/// Status A: 32,768 Hz base, 1,024 Hz rate; bit 7 (update in progress) clear.
const A_RATES: u8 = 0x26;
/// Status B: the clock stands still while the guest sets it.
const B_SET: u8 = 1 << 7;
/// Status B: binary instead of BCD.
const B_BINARY: u8 = 1 << 2;
/// Status B: 24 hours instead of 12.
const B_24_HOURS: u8 = 1 << 1;
/// Status D: the battery is good.
const D_VALID: u8 = 1 << 7;
/// Hour register in 12-hour form: afternoon.
const PM: u8 = 1 << 7;
/// 100 ns units in a second.
const SECOND: u64 = 10_000_000;

/// The device.
#[derive(Debug)]
pub struct Cmos {
    index: u8,
    memory: [u8; 128],
    status_b: u8,
    /// Seconds that the guest's clock is ahead of the host's.
    ahead: i64,
    /// The time that the guest is setting, while it does.
    setting: Option<DateTime>,
}

impl Default for Cmos {
    fn default() -> Self {
        Self { index: 0, memory: [0; 128], status_b: B_24_HOURS, ahead: 0, setting: None }
    }
}

impl Cmos {
    /// Reads port 0x70 + `offset`; `now` tells the host's UTC in 100 ns since 1601.
    pub fn read(&mut self, offset: u16, now: impl FnOnce() -> u64) -> u8 {
        if offset == 0 {
            return 0xFF;
        }
        match self.index {
            SECONDS | MINUTES | HOURS | WEEKDAY..=YEAR | CENTURY => self.show(now()),
            STATUS_A => A_RATES,
            STATUS_B => self.status_b,
            STATUS_C => 0,
            STATUS_D => D_VALID,
            index => self.memory.get(usize::from(index)).copied().unwrap_or(0xFF),
        }
    }

    /// Writes port 0x70 + `offset`.
    pub fn write(&mut self, offset: u16, value: u8, now: impl FnOnce() -> u64) {
        if offset == 0 {
            self.index = value & 0x7F;
            return;
        }
        match self.index {
            SECONDS | MINUTES | HOURS | WEEKDAY..=YEAR | CENTURY => self.set(value, now()),
            STATUS_B => self.control(value, now()),
            STATUS_A | STATUS_C | STATUS_D => {}
            index => {
                if let Some(byte) = self.memory.get_mut(usize::from(index)) {
                    *byte = value;
                }
            }
        }
    }

    fn time(&self, now: u64) -> DateTime {
        let seconds = i64::try_from(now / SECOND).unwrap_or(0).saturating_add(self.ahead);
        self.setting.unwrap_or_else(|| DateTime::from_seconds(seconds.max(0).unsigned_abs()))
    }

    fn show(&self, now: u64) -> u8 {
        let time = self.time(now);
        match self.index {
            SECONDS => self.encode(time.second),
            MINUTES => self.encode(time.minute),
            HOURS => self.encode_hour(time.hour),
            WEEKDAY => time.weekday(),
            DAY => self.encode(time.day),
            MONTH => self.encode(time.month),
            YEAR => self.encode((time.year % 100) as u8),
            _ => self.encode((time.year / 100) as u8),
        }
    }

    fn set(&mut self, value: u8, now: u64) {
        let mut time = self.time(now);
        let number = self.decode(value);
        match self.index {
            SECONDS => time.second = number.min(59),
            MINUTES => time.minute = number.min(59),
            HOURS => time.hour = self.decode_hour(value).min(23),
            DAY => time.day = number.clamp(1, 31),
            MONTH => time.month = number.clamp(1, 12),
            YEAR => time.year = time.year / 100 * 100 + u16::from(number.min(99)),
            CENTURY => time.year = u16::from(number.clamp(16, 99)) * 100 + time.year % 100,
            _ => {}
        }
        if self.status_b & B_SET != 0 {
            self.setting = Some(time);
        } else {
            self.adopt(time, now);
        }
    }

    /// Makes `time` the guest's time from now on.
    fn adopt(&mut self, time: DateTime, now: u64) {
        let host = i64::try_from(now / SECOND).unwrap_or(0);
        self.ahead = i64::try_from(time.seconds()).unwrap_or(0).saturating_sub(host);
    }

    fn control(&mut self, value: u8, now: u64) {
        if value & B_SET != 0 {
            self.setting = Some(self.time(now));
        } else if let Some(time) = self.setting.take() {
            self.adopt(time, now);
        }
        self.status_b = value;
    }

    fn encode(&self, value: u8) -> u8 {
        if self.status_b & B_BINARY != 0 { value } else { ((value / 10 % 10) << 4) | (value % 10) }
    }

    fn decode(&self, value: u8) -> u8 {
        if self.status_b & B_BINARY != 0 {
            value
        } else {
            (value >> 4).saturating_mul(10).saturating_add(value & 0xF)
        }
    }

    fn encode_hour(&self, hour: u8) -> u8 {
        if self.status_b & B_24_HOURS != 0 {
            return self.encode(hour);
        }
        let half = if hour >= 12 { PM } else { 0 };
        self.encode((hour + 11) % 12 + 1) | half
    }

    fn decode_hour(&self, value: u8) -> u8 {
        if self.status_b & B_24_HOURS != 0 {
            return self.decode(value);
        }
        let half = if value & PM != 0 { 12 } else { 0 };
        self.decode(value & !PM) % 12 + half
    }
}

#[cfg(test)]
mod tests {
    use super::{CENTURY, Cmos, SECOND};
    use proptest::prelude::*;

    /// 2026-11-23 08:41:07 UTC, a Monday.
    const NOW: u64 = (1_795_423_267 + 11_644_473_600) * SECOND;

    fn get(cmos: &mut Cmos, index: u8, now: u64) -> u8 {
        cmos.write(0, index, || now);
        cmos.read(1, || now)
    }

    fn put(cmos: &mut Cmos, index: u8, value: u8, now: u64) {
        cmos.write(0, index, || now);
        cmos.write(1, value, || now);
    }

    fn all(cmos: &mut Cmos, now: u64) -> [u8; 8] {
        [0, 2, 4, 6, 7, 8, 9, CENTURY].map(|index| get(cmos, index, now))
    }

    #[test]
    fn the_time_is_bcd_utc() {
        let mut cmos = Cmos::default();
        assert_eq!(all(&mut cmos, NOW), [0x07, 0x41, 0x08, 2, 0x23, 0x11, 0x26, 0x20]);
        assert_eq!(get(&mut cmos, 0x0A, NOW) & 0x80, 0);
        assert_eq!(get(&mut cmos, 0x0D, NOW), 0x80);
    }

    #[test]
    fn binary_and_twelve_hours_are_a_choice() {
        let mut cmos = Cmos::default();
        put(&mut cmos, 0x0B, 0x04, NOW);
        assert_eq!(all(&mut cmos, NOW + 12 * 3600 * SECOND), [7, 41, 0x80 | 8, 2, 23, 11, 26, 20]);
        put(&mut cmos, 0x0B, 0x00, NOW);
        assert_eq!(get(&mut cmos, 4, NOW + 4 * 3600 * SECOND), 0x80 | 0x12);
        assert_eq!(get(&mut cmos, 4, NOW + 16 * 3600 * SECOND), 0x12);
    }

    #[test]
    fn a_time_that_was_set_goes_on() {
        let mut cmos = Cmos::default();
        put(&mut cmos, 0x0B, 0x82, NOW);
        for (index, value) in
            [(0, 0x59), (2, 0x59), (4, 0x23), (7, 0x31), (8, 0x12), (9, 0x99), (CENTURY, 0x19)]
        {
            put(&mut cmos, index, value, NOW);
        }
        assert_eq!(get(&mut cmos, 0, NOW + 30 * SECOND), 0x59);
        put(&mut cmos, 0x0B, 0x02, NOW + 30 * SECOND);
        assert_eq!(all(&mut cmos, NOW + 31 * SECOND), [0, 0, 0, 7, 1, 1, 0, 0x20]);
    }

    #[test]
    fn alarm_and_memory_keep_what_is_written() {
        let mut cmos = Cmos::default();
        for index in [1, 3, 5, 0x10, 0x31, 0x33, 0x7F] {
            put(&mut cmos, index, index ^ 0x5A, NOW);
            assert_eq!(get(&mut cmos, index, NOW), index ^ 0x5A);
        }
    }

    proptest! {
        #[test]
        fn any_access_is_harmless(steps in prop::collection::vec((any::<bool>(), any::<u8>(), any::<u8>(), any::<u64>()), 0..200)) {
            let mut cmos = Cmos::default();
            for (write, index, value, now) in steps {
                if write { put(&mut cmos, index, value, now) } else { get(&mut cmos, index, now); }
            }
        }
    }
}
