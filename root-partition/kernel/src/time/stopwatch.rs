//! Time that passes now and then.

use core::sync::atomic::{AtomicU64, Ordering};

/// A stopwatch: one starts and stops it, anybody reads it at any time.
#[derive(Debug, Default)]
pub struct Stopwatch {
    /// Since when it runs; 0: it stands.
    since: AtomicU64,
    /// For how long it has run before, in 100 ns.
    before: AtomicU64,
}

impl Stopwatch {
    /// It runs from now on, unless it does already.
    #[inline]
    pub fn start(&self, now: u64) {
        if self.since.load(Ordering::Relaxed) == 0 {
            self.since.store(now, Ordering::Relaxed);
        }
    }

    /// It stands from now on.
    #[inline]
    pub fn stop(&self, now: u64) {
        let since = self.since.load(Ordering::Relaxed);
        if since != 0 {
            // In this order: who reads in between misses a moment, and never sees it twice.
            self.since.store(0, Ordering::Relaxed);
            let before = self.before.load(Ordering::Relaxed);
            self.before.store(before + now.saturating_sub(since), Ordering::Relaxed);
        }
    }

    /// For how long it has run, in 100 ns.
    #[must_use]
    pub fn time(&self, now: u64) -> u64 {
        let (before, since) = (self.before.load(Ordering::Relaxed), self.since.load(Ordering::Relaxed));
        before + if since == 0 { 0 } else { now.saturating_sub(since) }
    }
}

#[cfg(test)]
mod tests {
    use super::Stopwatch;

    #[test]
    fn it_counts_while_it_runs() {
        let watch = Stopwatch::default();
        watch.stop(5);
        assert_eq!(watch.time(10), 0);
        watch.start(10);
        watch.start(12);
        assert_eq!(watch.time(15), 5, "what has not ended counts");
        watch.stop(20);
        watch.stop(25);
        assert_eq!(watch.time(30), 10);
        watch.start(40);
        watch.stop(41);
        assert_eq!(watch.time(50), 11);
    }
}
