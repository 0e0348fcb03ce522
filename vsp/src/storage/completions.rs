//! Requests that the disks have done, on their way back to the controller.

use alloc::boxed::Box;
#[cfg(not(loom))]
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Outcome {
    /// Done.
    Good = 0,
    /// The medium failed.
    MediumError = 1,
    /// The guest's memory is not there.
    BadMemory = 2,
    /// The disk cannot do that.
    Unsupported = 3,
}

impl Outcome {
    fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Good,
            1 => Self::MediumError,
            2 => Self::BadMemory,
            _ => Self::Unsupported,
        }
    }
}

/// In `outcome`: no request has this tag.
const IDLE: u8 = 0xFE;
/// In `outcome`: the disk has it.
const RUNNING: u8 = 0xFF;
/// In `head` and `next`: the end of the list.
const END: u32 = u32::MAX;

/// A list without locks: any context puts in, the controller takes all.
///
/// The list is linked through the tags, so it never allocates; since only the whole of it is taken, a tag cannot come
/// back behind a racing insertion.
#[derive(Debug)]
pub struct Completions {
    head: AtomicU32,
    entries: Box<[Entry]>,
    /// The channel is closed, and not all of its requests have come back.
    closing: AtomicBool,
    /// The controller is at it, and looks before it goes.
    running: AtomicBool,
}

#[derive(Debug)]
struct Entry {
    next: AtomicU32,
    outcome: AtomicU8,
}

impl Completions {
    /// For the tags below `count`.
    pub(super) fn new(count: usize) -> Self {
        let entry = |_| Entry { next: AtomicU32::new(END), outcome: AtomicU8::new(IDLE) };
        let entries = (0..count).map(entry).collect();
        Self {
            head: AtomicU32::new(END),
            entries,
            closing: AtomicBool::new(false),
            running: AtomicBool::new(false),
        }
    }

    /// Whether what was submitted is still to be done. Else the guest has closed the channel, or is gone: what no device
    /// has yet is completed with any outcome, and must not be started.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.closing.load(Ordering::Acquire)
    }

    pub(super) fn set_closing(&self, closing: bool) {
        self.closing.store(closing, Ordering::Release);
    }

    /// The request that was submitted with `tag` is done. Whether [`Storage::run`](super::Storage::run) must be called
    /// to notice: only the first since its last run says so, and none while it runs. A tag that no disk has is ignored.
    #[must_use]
    pub fn complete(&self, tag: u32, outcome: Outcome) -> bool {
        let Some(entry) = self.entries.get(tag as usize) else { return false };
        let done =
            entry.outcome.compare_exchange(RUNNING, outcome as u8, Ordering::AcqRel, Ordering::Relaxed);
        if done.is_err() {
            return false;
        }
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            entry.next.store(head, Ordering::Relaxed);
            // In one order with `running`, as in `end_run`: one of the two sees the other.
            match self.head.compare_exchange_weak(head, tag, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return head == END && !self.running.load(Ordering::SeqCst),
                Err(now) => head = now,
            }
        }
    }

    /// The controller runs: what is completed from now on it finds by itself.
    #[inline]
    pub(super) fn begin_run(&self) {
        self.running.store(true, Ordering::Relaxed);
    }

    /// It does not run any more, unless this is `false`: something was completed that has woken nobody.
    #[inline]
    #[must_use]
    pub(super) fn end_run(&self) -> bool {
        self.running.swap(false, Ordering::SeqCst);
        self.head.load(Ordering::SeqCst) == END
    }

    /// A disk is about to get the request with this tag.
    pub(super) fn start(&self, tag: u32) {
        if let Some(entry) = self.entries.get(tag as usize) {
            entry.outcome.store(RUNNING, Ordering::Release);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.load(Ordering::Acquire) == END
    }

    /// Takes all that are done.
    pub(super) fn take(&self) -> Taken {
        if self.is_empty() {
            Taken { next: END }
        } else {
            Taken { next: self.head.swap(END, Ordering::Acquire) }
        }
    }
}

/// Requests that are done and were taken off the list.
pub(super) struct Taken {
    next: u32,
}

impl Taken {
    /// The next of them.
    pub fn next(&mut self, completions: &Completions) -> Option<(u32, Outcome)> {
        let tag = self.next;
        let entry = completions.entries.get(tag as usize)?;
        self.next = entry.next.load(Ordering::Relaxed);
        Some((tag, Outcome::from_number(entry.outcome.swap(IDLE, Ordering::AcqRel))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    #[cfg(not(loom))]
    use std::thread;
    #[cfg(loom)]
    use std::vec::Vec;

    fn drain(completions: &Completions) -> BTreeSet<u32> {
        let mut taken = completions.take();
        core::iter::from_fn(|| taken.next(completions)).map(|(tag, _)| tag).collect()
    }

    #[test]
    fn only_the_first_wakes_and_all_are_taken() {
        let completions = Completions::new(512);
        (0..3).for_each(|tag| completions.start(tag));
        assert!(completions.complete(2, Outcome::Good));
        assert!(!completions.complete(0, Outcome::MediumError));
        let mut taken = completions.take();
        assert_eq!(taken.next(&completions), Some((0, Outcome::MediumError)));
        assert_eq!(taken.next(&completions), Some((2, Outcome::Good)));
        assert_eq!(taken.next(&completions), None);
        assert!(completions.complete(1, Outcome::Good), "the list was empty again");
    }

    #[test]
    fn a_completion_that_nobody_waits_for_is_ignored() {
        let completions = Completions::new(512);
        completions.start(5);
        assert!(!completions.complete(4, Outcome::Good));
        assert!(!completions.complete(u32::MAX, Outcome::Good));
        assert!(completions.complete(5, Outcome::Good));
        assert!(!completions.complete(5, Outcome::Good), "twice");
        assert_eq!(drain(&completions), BTreeSet::from([5]));
        assert!(completions.is_empty());
    }

    /// Two disks are done while the controller looks: it gets both outcomes, once each, and was called for what it had not seen.
    #[cfg(loom)]
    #[test]
    fn loom_what_is_done_is_taken_once() {
        use loom::sync::Arc;
        loom::model(|| {
            let completions = Arc::new(Completions::new(2));
            (0..2).for_each(|tag| completions.start(tag));
            let outcome = |tag| if tag == 0 { Outcome::BadMemory } else { Outcome::Unsupported };
            let disks: Vec<_> = (0..2)
                .map(|tag| {
                    let completions = Arc::clone(&completions);
                    loom::thread::spawn(move || completions.complete(tag, outcome(tag)))
                })
                .collect();
            let mut seen = Vec::new();
            let run = |seen: &mut Vec<_>| {
                let mut taken = completions.take();
                seen.extend(core::iter::from_fn(|| taken.next(&completions)));
            };
            run(&mut seen);
            let calls = disks.into_iter().map(|disk| disk.join().unwrap());
            if calls.filter(|&call| call).count() != 0 {
                run(&mut seen);
            }
            seen.sort_by_key(|&(tag, _)| tag);
            assert_eq!(seen, [(0, outcome(0)), (1, outcome(1))]);
        });
    }

    #[cfg(not(loom))]
    #[test]
    fn what_is_completed_wakes_a_run_or_is_found_by_one() {
        let completions = Completions::new(512);
        let woken = AtomicU32::new(0);
        thread::scope(|scope| {
            for first in 0..2 {
                let (completions, woken) = (&completions, &woken);
                scope.spawn(move || {
                    for tag in (first * 200..).take(200) {
                        completions.start(tag);
                        if completions.complete(tag, Outcome::Good) {
                            woken.fetch_add(1, Ordering::SeqCst);
                        }
                        thread::yield_now();
                    }
                });
            }
            let mut seen = BTreeSet::new();
            for _ in 0..200_000 {
                if woken.swap(0, Ordering::SeqCst) != 0 {
                    completions.begin_run();
                    seen.extend(drain(&completions));
                    while !completions.end_run() {
                        completions.begin_run();
                        seen.extend(drain(&completions));
                    }
                }
                if seen.len() == 400 {
                    return;
                }
                thread::yield_now();
            }
            panic!("{} of 400", seen.len());
        });
    }

    #[cfg(not(loom))]
    #[test]
    fn none_is_lost_between_threads() {
        let completions = Completions::new(512);
        let rounds = 200;
        thread::scope(|scope| {
            for first in 0..4 {
                let completions = &completions;
                scope.spawn(move || {
                    for tag in (first * 100..).take(100) {
                        completions.start(tag);
                        let _ = completions.complete(tag, Outcome::Good);
                    }
                });
            }
            let mut seen = BTreeSet::new();
            for _ in 0..rounds * 1000 {
                seen.extend(drain(&completions));
                if seen.len() == 400 {
                    return;
                }
                thread::yield_now();
            }
            panic!("{} of 400", seen.len());
        });
    }
}
