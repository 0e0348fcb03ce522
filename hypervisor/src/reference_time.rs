//! A partition's reference time: 100 ns since it was made, from the time stamp counter (TLFS 12.4, 12.7).
//!
//! `time = ((tsc * scale) >> 64) + offset`, in the hypervisor as in the page that the guest reads, so both agree to the
//! last bit. While frozen it stands still. What says so, the offset and the sequence change one after the other: the root
//! stops a guest before it changes its time, so the guest never reads a mixture.

use hv_abi::synic::HvReferenceTscPage;

use crate::atomic::{AtomicU32, AtomicU64, Ordering};

/// Units of reference time in a second.
pub const PER_SECOND: u64 = 10_000_000;
/// Not frozen.
const RUNNING: u64 = u64::MAX;

/// Turns the time stamp counter to reference time and back.
#[derive(Debug)]
pub struct ReferenceTime {
    /// 10⁷·2⁶⁴ / Hz.
    scale: u64,
    /// Ticks in a unit, with 32 bits of fraction.
    ticks: u64,
    hz: u64,
    offset: AtomicU64,
    frozen: AtomicU64,
    /// Of the page: changes whenever `offset` does, never 0.
    sequence: AtomicU32,
}

impl ReferenceTime {
    /// 0 at `tsc`, for a counter of `hz`.
    pub fn new(hz: u64, tsc: u64) -> Self {
        let hz = hz.max(PER_SECOND + 1);
        let scale = (u128::from(PER_SECOND) << 64).checked_div(u128::from(hz)).unwrap_or(0) as u64;
        let ticks = (u128::from(hz) << 32).checked_div(u128::from(PER_SECOND)).unwrap_or(0) as u64;
        let offset = mul_high(tsc, scale).wrapping_neg();
        Self {
            scale,
            ticks,
            hz,
            offset: AtomicU64::new(offset),
            frozen: AtomicU64::new(RUNNING),
            sequence: AtomicU32::new(1),
        }
    }

    /// The counter's frequency.
    pub const fn hz(&self) -> u64 {
        self.hz
    }

    /// How long so many ticks of the counter are.
    #[inline]
    pub fn length(&self, ticks: u64) -> u64 {
        mul_high(ticks, self.scale)
    }

    /// The time at `tsc`.
    #[inline]
    pub fn at(&self, tsc: u64) -> u64 {
        match self.frozen.load(Ordering::Acquire) {
            RUNNING => mul_high(tsc, self.scale).wrapping_add(self.offset.load(Ordering::Acquire)),
            time => time,
        }
    }

    /// The counter when it will be `time`, seen from `tsc`; `tsc` when that has passed, `u64::MAX` for never. It may be
    /// a unit early for a time far off.
    pub fn tsc_at(&self, time: u64, tsc: u64) -> u64 {
        if time == u64::MAX || self.frozen.load(Ordering::Acquire) != RUNNING {
            return u64::MAX;
        }
        let Some(left) = time.checked_sub(self.at(tsc)) else { return tsc };
        let ticks = u128::from(left).wrapping_mul(u128::from(self.ticks)) >> 32;
        let ticks = u64::try_from(ticks).unwrap_or(u64::MAX).saturating_add(1);
        tsc.saturating_add(ticks).min(u64::MAX - 1)
    }

    /// Whether it stands still.
    pub fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::Acquire) != RUNNING
    }
    /// Stops it.
    pub fn freeze(&self, tsc: u64) {
        let now = self.at(tsc).min(RUNNING - 1);
        self.frozen.store(now, Ordering::Release);
    }
    /// Lets it go on from where it stands.
    pub fn thaw(&self, tsc: u64) {
        let time = self.frozen.load(Ordering::Acquire);
        if time != RUNNING {
            self.offset.store(time.wrapping_sub(mul_high(tsc, self.scale)), Ordering::Release);
            let next = self.sequence.load(Ordering::Acquire).wrapping_add(1).max(1);
            self.sequence.store(next, Ordering::Release);
            self.frozen.store(RUNNING, Ordering::Release);
        }
    }
    /// Sets it while it stands still; says whether it does.
    pub fn set(&self, time: u64) -> bool {
        let frozen = self.is_frozen();
        if frozen {
            self.frozen.store(time.min(RUNNING - 1), Ordering::Release);
        }
        frozen
    }

    /// What the guest's page shows: sequence 0, "ask the MSR", while frozen.
    pub fn page(&self) -> HvReferenceTscPage {
        HvReferenceTscPage {
            tsc_sequence: if self.is_frozen() { 0 } else { self.sequence.load(Ordering::Acquire) },
            reserved: 0,
            tsc_scale: self.scale,
            tsc_offset: self.offset.load(Ordering::Acquire),
        }
    }
}

/// The upper half of the product.
#[inline]
fn mul_high(a: u64, b: u64) -> u64 {
    (u128::from(a).wrapping_mul(u128::from(b)) >> 64) as u64
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_a_hundred_nanoseconds() {
        let time = ReferenceTime::new(2_500_000_000, 1_000_000);
        assert_eq!(time.at(1_000_000), 0);
        let second = time.at(1_000_000 + 2_500_000_000);
        assert!((9_999_999..=10_000_000).contains(&second), "{second}");
    }

    #[test]
    fn stands_still_and_goes_on() {
        let time = ReferenceTime::new(1_000_000_000, 0);
        time.freeze(5_000);
        let page = time.page();
        assert_eq!((time.at(1 << 40), page.tsc_sequence), (49, 0));
        assert_eq!(time.tsc_at(1_000, 0), u64::MAX);
        assert!(time.set(1_000_000));
        time.thaw(1 << 40);
        assert_eq!(time.at(1 << 40), 1_000_000);
        assert_eq!(time.page().tsc_sequence, 2);
        assert!(!time.set(0));
    }

    proptest! {
        #[test]
        fn the_page_says_what_the_msr_says(hz in 100_000_000u64..10_000_000_000, start in any::<u32>(), after in any::<u64>()) {
            let time = ReferenceTime::new(hz, u64::from(start));
            let tsc = u64::from(start).saturating_add(after >> 8);
            let page = time.page();
            let by_page = ((u128::from(tsc) * u128::from(page.tsc_scale)) >> 64) as u64;
            prop_assert_eq!(by_page.wrapping_add(page.tsc_offset), time.at(tsc));
        }

        #[test]
        fn the_way_back_is_never_late_and_hardly_early(
            hz in 100_000_000u64..10_000_000_000, now in 0u64..1 << 50, ahead in 0u64..1 << 40
        ) {
            let time = ReferenceTime::new(hz, 0);
            let due = time.at(now) + ahead;
            let tsc = time.tsc_at(due, now);
            prop_assert!(time.at(tsc) + 2 + ahead / (1 << 28) >= due);
            prop_assert!(time.at(tsc) <= due + 2);
            prop_assert_eq!(time.tsc_at(time.at(now).saturating_sub(1), now), if time.at(now) == 0 { time.tsc_at(0, now) } else { now });
        }
    }
}
