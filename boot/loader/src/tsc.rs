//! The frequency of the time stamp counter, measured against a clock whose frequency is known.
//!
//! CPUID leaf 0x15 is not asked: hypervisors and emulators (Bochs among them) answer it for a counter that ticks
//! otherwise.

/// A clock to measure against.
pub trait Clock {
    /// Ticks a second.
    const HZ: u64;
    /// Ticks until it wraps.
    const WRAP: u64;
    /// Reads it.
    fn read(&mut self) -> u64;
}

/// One look at both counters: the time stamp counter before and after the clock was read.
#[derive(Clone, Copy, Debug)]
struct Look {
    before: u64,
    clock: u64,
    after: u64,
}

/// Looks taken at each end: the one that took least time counts, so that an interruption of this machine does no harm.
const LOOKS: u32 = 5;

fn look<C: Clock>(clock: &mut C, tsc: &mut impl FnMut() -> u64) -> Look {
    let mut best: Option<Look> = None;
    for _ in 0..LOOKS {
        let before = tsc();
        let value = clock.read();
        let this = Look { before, clock: value, after: tsc() };
        if best.is_none_or(|best| this.width() < best.width()) {
            best = Some(this);
        }
    }
    best.unwrap_or(Look { before: 0, clock: 0, after: 0 })
}

impl Look {
    fn width(&self) -> u64 {
        self.after.wrapping_sub(self.before)
    }
    fn middle(&self) -> u64 {
        self.before.wrapping_add(self.width() / 2)
    }
}

/// Measures over a hundredth of a second. `None`: the clock stands still, or ran less than that in `patience` reads.
pub fn measure<C: Clock>(mut clock: C, mut tsc: impl FnMut() -> u64, patience: u64) -> Option<u64> {
    let start = look(&mut clock, &mut tsc);
    let elapsed = |now: u64| now.wrapping_sub(start.clock).checked_rem(C::WRAP).unwrap_or(0);
    (0..patience).find(|_| elapsed(clock.read()) >= C::HZ / 100)?;
    let end = look(&mut clock, &mut tsc);
    frequency(end.middle().wrapping_sub(start.middle()), elapsed(end.clock), C::HZ)
}

/// `ticks` of the counter in `clock` ticks of a clock with `hz`, as a frequency.
fn frequency(ticks: u64, clock: u64, hz: u64) -> Option<u64> {
    let hz = u128::from(ticks).checked_mul(u128::from(hz))?.checked_div(u128::from(clock))?;
    u64::try_from(hz).ok().filter(|&hz| hz > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    /// A clock of 3.58 MHz beside a counter of 2.5 GHz that jumps where the machine was interrupted.
    struct PmTimer<'a>(&'a Cell<u64>);

    impl Clock for PmTimer<'_> {
        const HZ: u64 = 3_579_545;
        const WRAP: u64 = 1 << 24;
        fn read(&mut self) -> u64 {
            let now = self.0.get() + 2500;
            self.0.set(now);
            (now as u128 * Self::HZ as u128 / 2_500_000_000) as u64 % Self::WRAP
        }
    }

    fn measured(start: u64, stutter: u64) -> Option<u64> {
        let time = Cell::new(start);
        let reads = Cell::new(0_u64);
        let tsc = || {
            reads.set(reads.get() + 1);
            if reads.get().is_multiple_of(3) {
                time.set(time.get() + stutter);
            }
            time.set(time.get() + 20);
            time.get()
        };
        measure(PmTimer(&time), tsc, 1_000_000)
    }

    fn is_close(hz: Option<u64>) -> bool {
        hz.is_some_and(|hz| hz.abs_diff(2_500_000_000) < 2_500_000_000 / 5000)
    }

    #[test]
    fn finds_the_frequency() {
        assert!(is_close(measured(1_000_000_000, 0)));
    }

    #[test]
    fn survives_wrapping_and_stutter() {
        let wrap = ((1_u64 << 24) as u128 * 2_500_000_000 / 3_579_545) as u64;
        assert!(is_close(measured(wrap - 1_000_000, 0)));
        assert!(is_close(measured(1_000_000_000, 1_000_000)));
    }

    #[test]
    fn a_clock_that_stands_still_is_noticed() {
        struct Dead;
        impl Clock for Dead {
            const HZ: u64 = 3_579_545;
            const WRAP: u64 = 1 << 24;
            fn read(&mut self) -> u64 {
                0xFF_FFFF
            }
        }
        let mut tsc = 0;
        let tsc = || {
            tsc += 1000;
            tsc
        };
        assert_eq!(measure(Dead, tsc, 1000), None);
    }
}
