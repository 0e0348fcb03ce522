//! The root's reference time: 100 ns since the hypervisor started, from the time stamp counter.

use hv_abi::synic::HvReferenceTscPage;

/// Units of 100 ns in a second.
const HZ: u64 = 10_000_000;

/// How the time stamp counter becomes time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    scale: u64,
    start: u64,
}

impl Clock {
    /// A clock that shows 0 at counter value `start`; `hz` is the counter's frequency.
    pub fn new(start: u64, hz: u64) -> Self {
        let scale = (u128::from(HZ) << 64).checked_div(u128::from(hz)).unwrap_or(0);
        Self { scale: u64::try_from(scale).unwrap_or(u64::MAX), start }
    }
    /// What it shows when the counter is at `tsc`.
    #[inline]
    pub fn at(&self, tsc: u64) -> u64 {
        scaled(tsc, self.scale).wrapping_sub(scaled(self.start, self.scale))
    }
    /// The page that lets a guest compute the same.
    pub fn page(&self) -> HvReferenceTscPage {
        HvReferenceTscPage {
            tsc_sequence: 1,
            reserved: 0,
            tsc_scale: self.scale,
            tsc_offset: scaled(self.start, self.scale).wrapping_neg(),
        }
    }
}

/// The high half of a product.
#[inline]
fn scaled(tsc: u64, scale: u64) -> u64 {
    (u128::from(tsc).wrapping_mul(u128::from(scale)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_a_second() {
        let clock = Clock::new(500, 2_000_000_000);
        assert_eq!(clock.at(500), 0);
        assert!(clock.at(2_000_000_500).abs_diff(HZ) <= 1);
        let page = clock.page();
        let by_page = scaled(123_456_789, page.tsc_scale).wrapping_add(page.tsc_offset);
        assert_eq!(by_page, clock.at(123_456_789));
    }
}
