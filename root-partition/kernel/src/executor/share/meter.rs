//! What a rate of processor time allows, and when it allows more.
//!
//! What was used is kept as a time: that at which all of it will have been allowed. So a rate is met exactly in the long
//! run, whoever uses it in whatever pieces on however many processors, and there is no period at whose start everybody
//! rushes.

use core::sync::atomic::{AtomicU64, Ordering};

/// How far what was not used is remembered, in 100 ns: somebody who had to wait may make up for so much.
const MEMORY: u64 = 500_000;

/// How much of a rate was used.
#[derive(Debug, Default)]
pub struct Meter {
    due: AtomicU64,
}

impl Meter {
    /// The time at which more is allowed; it may be past.
    #[must_use]
    #[inline]
    pub fn due(&self) -> u64 {
        self.due.load(Ordering::Relaxed)
    }

    /// Until `now`, `ran` was used of a rate of so many percent of a processor. What it used beyond the rate counts for
    /// `debt` at most.
    pub fn charge(&self, now: u64, ran: u64, percent: u64, debt: u64) {
        let used = ran.saturating_mul(100) / percent.max(1);
        let start = now.saturating_sub(ran);
        let charged = |due: u64| {
            let from = due.max(start.saturating_sub(MEMORY));
            Some(from.saturating_add(used).min(now.saturating_add(debt)))
        };
        let _ = self.due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, charged);
    }

    /// Forgets what was used.
    pub fn reset(&self) {
        self.due.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Meter;
    use proptest::prelude::*;

    #[test]
    fn a_quarter_is_a_quarter() {
        let meter = Meter::default();
        let (mut now, mut ran) = (1_000_000_000, 0);
        let end = now + 100_000_000;
        while now < end {
            now = now.max(meter.due()) + 50_000;
            meter.charge(now, 50_000, 25, u64::MAX);
            ran += 50_000;
        }
        assert!((24_900_000..=25_300_000).contains(&ran), "{ran}");
    }

    proptest! {
        /// Whoever asks at any times, on several processors: never more than the rate and what is remembered.
        #[test]
        fn no_pattern_gets_more(percent in 1_u64..400, turns in proptest::collection::vec((0_u64..200_000, 1_u64..50_000, 1_u64..5), 1..200)) {
            let meter = Meter::default();
            let begin = 1_000_000_000;
            let (mut now, mut ran, mut last) = (begin, 0, 0);
            for (pause, time, processors) in turns {
                now += pause;
                if meter.due() > now {
                    continue;
                }
                now += time;
                for _ in 0..processors {
                    meter.charge(now, time, percent, u64::MAX);
                }
                ran += time * processors;
                last = time * processors;
            }
            let allowed = (now - begin + super::MEMORY) * percent / 100;
            prop_assert!(ran <= allowed + last + 1000, "{} of {}", ran, allowed);
        }
    }
}
