//! How processors find each other: who has nothing to do, who has something to give away, and who is to look.
//!
//! Three protocols, of atomics only; `tests` plays each with every interleaving (loom):
//!
//! * **Poke.** Whoever puts something where another processor finds it raises `poked` there, and sends an interrupt if it was
//!   not raised. The other's handler lowers it, and then it looks. So what was put before the flag was found raised is seen,
//!   and there is one interrupt under way at most.
//! * **Sleep.** Interrupts are off from a processor's last look until it halts, which takes an interrupt that came meanwhile.
//! * **Surplus.** A processor that keeps others waiting says so in `surplus`, then looks for an idle one and pokes it. A
//!   processor says that it is idle, then looks for a surplus. Between the two each has a full fence, so one of them sees
//!   the other.

#[cfg(not(loom))]
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use syscall::ProcessorSet;

/// What one processor shows the others.
#[derive(Debug)]
pub struct Sign {
    /// It is to look, and an interrupt that says so is under way.
    poked: AtomicBool,
    /// Somebody waits for it who could run elsewhere.
    surplus: AtomicBool,
}

impl Default for Sign {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! constructors {
    ($($const:ident)?; $none:expr) => {
        impl Sign {
            /// Nothing to see.
            #[must_use]
            pub $($const)? fn new() -> Self {
                Self { poked: AtomicBool::new(false), surplus: AtomicBool::new(false) }
            }
        }
        impl<const WORDS: usize> IdleSet<WORDS> {
            /// Nobody is idle.
            #[must_use]
            pub $($const)? fn new() -> Self {
                Self($none)
            }
        }
    };
}
#[cfg(not(loom))]
constructors!(const; [const { AtomicU64::new(0) }; WORDS]);
#[cfg(loom)]
constructors!(; core::array::from_fn(|_| AtomicU64::new(0)));

impl Sign {
    /// Something was put where the processor finds it. Whether an interrupt has to say so.
    #[must_use]
    #[inline]
    pub fn poke(&self) -> bool {
        !self.poked.swap(true, Ordering::AcqRel)
    }

    /// The processor is about to look: its handler.
    #[inline]
    pub fn poked(&self) {
        self.poked.swap(false, Ordering::AcqRel);
    }

    /// It has something to give away. Whether it has to look for an idle processor: it did not say so before.
    #[must_use]
    #[inline]
    pub fn offer(&self) -> bool {
        let new = !self.surplus.load(Ordering::Relaxed) && !self.surplus.swap(true, Ordering::AcqRel);
        if new {
            fence(Ordering::SeqCst);
        }
        new
    }

    /// It has nothing to give away (any more).
    #[inline]
    pub fn withdraw(&self) {
        if self.surplus.load(Ordering::Relaxed) {
            self.surplus.store(false, Ordering::Release);
        }
    }

    /// Whether there is something to take.
    #[must_use]
    #[inline]
    pub fn offers(&self) -> bool {
        self.surplus.load(Ordering::Acquire)
    }
}

/// The idle processors: a bit each, in as many words as `PROCESSOR_PLACES` needs.
#[derive(Debug)]
pub struct IdleSet<const WORDS: usize>([AtomicU64; WORDS]);

impl<const WORDS: usize> Default for IdleSet<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const WORDS: usize> IdleSet<WORDS> {
    /// Processor `number` is idle, but looks for a surplus once more.
    pub fn enter(&self, number: u32) {
        if let Some((word, bit)) = self.place(number) {
            word.fetch_or(bit, Ordering::AcqRel);
        }
        fence(Ordering::SeqCst);
    }

    /// It is not idle any more.
    pub fn leave(&self, number: u32) {
        if let Some((word, bit)) = self.place(number) {
            word.fetch_and(!bit, Ordering::AcqRel);
        }
    }

    /// Takes one of `affinity` out. It is to be poked, whatever comes of it: until it has looked nobody finds it.
    pub fn take(&self, affinity: ProcessorSet) -> Option<u32> {
        let mut words = (0..).step_by(64).zip(&self.0).zip(affinity.words());
        words.find_map(|((first, word), mask)| take_from(word, mask).map(|bit| first + bit))
    }

    /// Whether anybody seems to be idle.
    #[must_use]
    #[inline]
    pub fn any(&self) -> bool {
        self.0.iter().any(|word| word.load(Ordering::Relaxed) != 0)
    }

    /// Those that seem to be.
    #[must_use]
    pub fn all(&self) -> ProcessorSet {
        let mut words = [0; ProcessorSet::WORDS];
        words.iter_mut().zip(&self.0).for_each(|(all, word)| *all = word.load(Ordering::Relaxed));
        ProcessorSet::from_words(words)
    }

    fn place(&self, number: u32) -> Option<(&AtomicU64, u64)> {
        Some((self.0.get(number as usize / 64)?, 1 << (number % 64)))
    }
}

fn take_from(word: &AtomicU64, mask: u64) -> Option<u32> {
    loop {
        let set = word.load(Ordering::Acquire) & mask;
        if set == 0 {
            return None;
        }
        let lowest = set & set.wrapping_neg();
        if word.fetch_and(!lowest, Ordering::AcqRel) & lowest != 0 {
            return Some(lowest.trailing_zeros());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Arc, model, thread};

    /// Two processors each put something in for a third; it gets both, and an interrupt for them.
    #[test]
    fn loom_what_is_put_in_is_seen_after_the_interrupt() {
        model(|| {
            let sign = Arc::new(Sign::new());
            let put = Arc::new(AtomicU64::new(0));
            let sent = Arc::new(AtomicU64::new(0));
            let putters: Vec<_> = (0..2)
                .map(|_| {
                    let (sign, put, sent) = (Arc::clone(&sign), Arc::clone(&put), Arc::clone(&sent));
                    thread::spawn(move || {
                        put.fetch_add(1, Ordering::Relaxed);
                        if sign.poke() {
                            sent.fetch_add(1, Ordering::Release);
                        }
                    })
                })
                .collect();
            // The third: for each interrupt its handler runs, then it looks.
            let (mut taken, mut seen) = (0, 0);
            let mut handle = || {
                if sent.load(Ordering::Acquire) > taken {
                    taken += 1;
                    sign.poked();
                    seen += put.swap(0, Ordering::Relaxed);
                }
            };
            handle();
            putters.into_iter().for_each(|putter| putter.join().unwrap());
            handle();
            handle();
            assert_eq!(seen, 2);
        });
    }

    /// One has work to give away while another becomes idle: either the idle one finds it, or it is poked.
    #[test]
    fn loom_no_processor_sleeps_beside_work_that_waits() {
        model(|| {
            let sign = Arc::new(Sign::new());
            let idle = Arc::new(IdleSet::<2>::new());
            let busy = {
                let (sign, idle) = (Arc::clone(&sign), Arc::clone(&idle));
                thread::spawn(move || sign.offer() && idle.take(ProcessorSet::ALL) == Some(69))
            };
            idle.enter(69);
            let found = sign.offers();
            let poked = busy.join().unwrap();
            assert!(found || poked);
        });
    }

    /// Two that offer do not poke the same one twice.
    #[test]
    fn loom_an_idle_processor_is_taken_once() {
        model(|| {
            let idle = Arc::new(IdleSet::<2>::new());
            idle.enter(3);
            let other = {
                let idle = Arc::clone(&idle);
                thread::spawn(move || idle.take(ProcessorSet::ALL))
            };
            let mine = idle.take(ProcessorSet::ALL);
            let others = other.join().unwrap();
            assert!(matches!((mine, others), (Some(3), None) | (None, Some(3))));
        });
    }
}
