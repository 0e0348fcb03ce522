//! Time that passes now and then.

#[cfg(not(loom))]
use core::sync::atomic::{AtomicU64, Ordering};
#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};

/// In the word: it runs.
const RUNS: u64 = 1;

/// A stopwatch: one starts and stops it, anybody reads it at any time.
///
/// It is one word, so who reads it finds no change half made (loom tests it). Above [`RUNS`] that is, in 100 ns, for how
/// long it has run; while it runs, less the time of the start, so that the time of now makes it whole.
#[derive(Debug, Default)]
pub struct Stopwatch(AtomicU64);

impl Stopwatch {
    /// It stands at 0.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// It runs from now on, unless it does already.
    #[inline]
    pub fn start(&self, now: u64) {
        let word = self.0.load(Ordering::Relaxed);
        if word & RUNS == 0 {
            self.0.store(word.wrapping_sub(now << 1) | RUNS, Ordering::Relaxed);
        }
    }

    /// It stands from now on.
    #[inline]
    pub fn stop(&self, now: u64) {
        self.0.store(self.time(now) << 1, Ordering::Relaxed);
    }

    /// For how long it has run, in 100 ns.
    #[must_use]
    #[inline]
    pub fn time(&self, now: u64) -> u64 {
        let word = self.0.load(Ordering::Relaxed);
        if word & RUNS == 0 {
            return word >> 1;
        }
        // Negative only where it was started first after `now`.
        (word.cast_signed() >> 1).saturating_add_unsigned(now).max(0).cast_unsigned()
    }
}

#[cfg(test)]
mod tests {
    use super::Stopwatch;
    use crate::model::{Arc, model, thread};

    #[cfg(not(loom))]
    #[test]
    fn it_counts_while_it_runs() {
        let watch = Stopwatch::default();
        watch.stop(5);
        assert_eq!(watch.time(10), 0);
        watch.start(10);
        watch.start(12);
        assert_eq!(watch.time(15), 5, "what has not ended counts");
        assert_eq!(watch.time(9), 0, "who reads it had looked at the clock before");
        watch.stop(20);
        watch.stop(25);
        assert_eq!(watch.time(30), 10);
        watch.start(40);
        watch.stop(41);
        assert_eq!(watch.time(50), 11);
    }

    /// Read while it is stopped, started and stopped: what it showed between two of these, so never more than the time.
    #[test]
    fn loom_nothing_is_counted_twice_or_left_out() {
        model(|| {
            let watch = Arc::new(Stopwatch::default());
            watch.start(1);
            // The owner begins: it loads before it stores, and loom would not try such a store before what another
            // thread has loaded.
            let reader = {
                let watch = Arc::clone(&watch);
                thread::spawn(move || watch.time(31))
            };
            watch.stop(11);
            watch.start(26);
            watch.stop(31);
            assert_eq!(watch.time(50), 15);
            let time = reader.join().unwrap();
            assert!([30, 10, 15].contains(&time), "{time}");
        });
    }
}
