//! What several bring and one at a time carries out, in order.
//!
//! Whoever brings something runs the pump; who finds another at it leaves a mark, and that one goes on. Mark and turn are one
//! word, so nothing is left behind: to end its turn the other has to find the word without a mark (loom tests it).

#[cfg(not(loom))]
use core::sync::atomic::{AtomicU8, Ordering};
#[cfg(loom)]
use loom::sync::atomic::{AtomicU8, Ordering};

const IDLE: u8 = 0;
/// Somebody is at it.
const BUSY: u8 = 1;
/// And there may be more than that one has seen.
const MARKED: u8 = 2;
/// The most steps of a turn: others may bring more as fast as they are done.
const STEPS: u32 = 128;

/// Whose turn it is.
#[derive(Debug)]
pub(super) struct Pump(AtomicU8);

impl Pump {
    /// Nobody's.
    pub fn new() -> Self {
        Self(AtomicU8::new(IDLE))
    }

    /// Has what was brought carried out: calls `step` until it says that there is no more, unless another does already.
    /// `false`: this turn was long, and the pump is to be run again soon.
    pub fn run(&self, mut step: impl FnMut() -> bool) -> bool {
        if self.0.swap(MARKED, Ordering::AcqRel) != IDLE {
            return true;
        }
        for _ in 0..STEPS {
            self.0.swap(BUSY, Ordering::AcqRel);
            if step() {
                continue;
            }
            if self.0.compare_exchange(BUSY, IDLE, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return true;
            }
        }
        self.0.store(IDLE, Ordering::Release);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(loom))]
    #[test]
    fn a_turn_ends_though_there_is_always_more() {
        let (pump, mut steps) = (Pump::new(), 0);
        let mut step = || {
            steps += 1;
            true
        };
        assert!(!pump.run(&mut step) && !pump.run(&mut step));
        assert_eq!(steps, 2 * STEPS);
        assert!(pump.run(|| false));
    }

    #[cfg(not(loom))]
    #[test]
    fn who_brings_more_while_carrying_out_goes_on_with_it() {
        let (pump, left, done) = (Pump::new(), core::cell::Cell::new(1), core::cell::Cell::new(0));
        assert!(pump.run(|| {
            let some = left.get() != 0;
            if some {
                left.set(0);
                done.set(done.get() + 1);
            }
            if some && done.get() < 3 {
                left.set(1);
                assert!(pump.run(|| unreachable!("it is this one's turn")));
            }
            some
        }));
        assert_eq!(done.get(), 3);
    }

    /// Two bring something at once: both are carried out when both have gone on.
    #[cfg(loom)]
    #[test]
    fn loom_nothing_is_left_behind() {
        use loom::sync::Arc;
        use loom::sync::atomic::AtomicU32;
        loom::model(|| {
            let pump = Arc::new(Pump::new());
            let brought = Arc::new(AtomicU32::new(0));
            let bring = |pump: &Pump, brought: &AtomicU32| {
                brought.fetch_add(1, Ordering::Relaxed);
                assert!(pump.run(|| brought.swap(0, Ordering::Relaxed) != 0));
            };
            let other = {
                let (pump, brought) = (Arc::clone(&pump), Arc::clone(&brought));
                loom::thread::spawn(move || bring(&pump, &brought))
            };
            bring(&pump, &brought);
            other.join().unwrap();
            assert_eq!(brought.load(Ordering::Relaxed), 0);
        });
    }
}
