//! What is gone, but for processors that have it: freed by whoever sees first that none has it any more.
//!
//! A processor shows what it has, in a word that it alone writes. Whoever ends something puts it in here, then looks at what
//! the processors show; a processor that takes something else shows that, then looks here. Between the two each has a full
//! fence, so one of them frees it, and the lock keeps the other from that (loom tests it).

use alloc::vec::Vec;
use sync::{AtomicU64, AtomicUsize, Mutex, Ordering, full_fence, lock};

/// spin's lock and the machine's fences, or loom's.
#[cfg(not(loom))]
mod sync {
    pub(super) use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    pub(super) use spin::Mutex;

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> spin::MutexGuard<'_, T> {
        mutex.lock()
    }
    /// What is `SeqCst` is one already.
    pub(super) const fn full_fence() {}
}
#[cfg(loom)]
mod sync {
    pub(super) use loom::sync::Mutex;
    pub(super) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> loom::sync::MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }
    /// loom takes `SeqCst` for less than it is.
    pub(super) fn full_fence() {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }
}

/// What is gone and not freed.
pub(super) struct Gone<T> {
    /// Taken before the allocator of frames.
    list: Mutex<Vec<T>>,
    /// How many there are.
    count: AtomicUsize,
}

impl<T> Gone<T> {
    /// Nothing.
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self { list: Mutex::new(Vec::new()), count: AtomicUsize::new(0) }
    }

    /// Puts it in. What the processors show is looked at next.
    pub(super) fn put(&self, what: T) {
        let mut list = lock(&self.list);
        list.push(what);
        self.count.store(list.len(), Ordering::SeqCst);
        full_fence();
    }

    /// A processor shows in `shown` that it has `what`. Whether it is to look here.
    #[inline]
    pub(super) fn show(&self, shown: &AtomicU64, what: u64) -> bool {
        shown.store(what, Ordering::SeqCst);
        full_fence();
        self.any()
    }

    /// Whether there is anything.
    #[inline]
    pub(super) fn any(&self) -> bool {
        self.count.load(Ordering::SeqCst) != 0
    }

    /// Whether there is such a one.
    pub(super) fn has(&self, is_it: impl Fn(&T) -> bool) -> bool {
        lock(&self.list).iter().any(is_it)
    }

    /// Takes one out that is not in use.
    pub(super) fn take(&self, is_used: impl Fn(&T) -> bool) -> Option<T> {
        let mut list = lock(&self.list);
        let index = list.iter().position(|what| !is_used(what))?;
        let what = list.swap_remove(index);
        self.count.store(list.len(), Ordering::SeqCst);
        Some(what)
    }
}

#[cfg(all(test, loom))]
#[expect(unsafe_code, reason = "what only loom sees is in its cell")]
mod tests {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    /// What a processor without a process has.
    const KERNEL: u64 = 1;
    const OURS: u64 = 2;

    struct Machine {
        gone: Gone<u64>,
        shown: [AtomicU64; 2],
        /// The tables at `OURS`: read by who has them, and written by who frees them.
        tables: UnsafeCell<u32>,
    }

    impl Machine {
        /// Both processors have `OURS`.
        fn new() -> Self {
            Self {
                gone: Gone { list: Mutex::new(Vec::new()), count: AtomicUsize::new(0) },
                shown: [OURS; 2].map(AtomicU64::new),
                tables: UnsafeCell::new(0),
            }
        }

        fn leave(&self, processor: usize) {
            self.tables.with(|_| ());
            if self.gone.show(&self.shown[processor], KERNEL) {
                self.free();
            }
        }

        fn free(&self) {
            let is_used = |what: &u64| self.shown.iter().any(|shown| shown.load(Ordering::SeqCst) == *what);
            while self.gone.take(is_used).is_some() {
                // SAFETY: loom checks that nobody else is at it.
                self.tables.with_mut(|freed| unsafe { *freed += 1 });
            }
        }
    }

    /// An address space ends while another processor that has it leaves it: it is freed once, and not before that.
    #[test]
    fn loom_one_of_them_frees_it() {
        loom::model(|| {
            let machine = Arc::new(Machine::new());
            let other = {
                let machine = Arc::clone(&machine);
                thread::spawn(move || machine.leave(1))
            };
            machine.leave(0);
            machine.gone.put(OURS);
            machine.free();
            other.join().unwrap();
            // SAFETY: nobody else is left.
            assert_eq!(machine.tables.with(|freed| unsafe { *freed }), 1);
            assert!(!machine.gone.any());
        });
    }
}
