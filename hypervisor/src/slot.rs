//! A place that holds an object which others look up without a lock, and which goes only when nobody uses it.
//!
//! Whether it is filled and how many use it is one word: who looks up counts itself first and sees then whether there is
//! something, and who empties it does so only where nobody but itself is counted (loom tests it).
#![expect(unsafe_code, reason = "the object is reached through a pointer whose life the counter guards")]

use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicPtr, AtomicU64};

use crate::atomic::{Ordering, Word};
use crate::machine::Machine;

/// Set while the slot is filled; the bits below count users.
const FILLED: u64 = 1 << 63;

/// Empty, or an object with a count of its users.
#[derive(Debug)]
pub struct Slot<T, W = AtomicU64> {
    state: W,
    /// Ordered by `state`.
    object: AtomicPtr<T>,
}

impl<T> Slot<T> {
    /// An empty slot.
    pub const fn new() -> Self {
        Self { state: AtomicU64::new(0), object: AtomicPtr::new(null_mut()) }
    }
}

impl<T, W: Word> Slot<T, W> {
    /// Is there an object?
    pub fn is_filled(&self) -> bool {
        self.state.load(Ordering::Acquire) & FILLED != 0
    }

    /// Fills it. The caller keeps others from filling it at the same time; false: it is filled already.
    ///
    /// # Safety
    /// `object` points to a `T` that stays there until [`Slot::clear`] returned it, and that nobody has a `&mut` to.
    pub unsafe fn fill(&self, object: NonNull<T>) -> bool {
        if self.is_filled() {
            return false;
        }
        self.object.store(object.as_ptr(), Ordering::Relaxed);
        self.state.fetch_or(FILLED, Ordering::Release);
        true
    }

    /// The object; it stays while the guard lives.
    #[inline]
    pub fn get<M: Machine>(&self, machine: &M) -> Option<Guard<'_, T, W>> {
        let guard = self.guard()?;
        machine.catch_up();
        Some(guard)
    }

    #[inline]
    fn guard(&self) -> Option<Guard<'_, T, W>> {
        let before = self.state.fetch_add(1, Ordering::Acquire);
        // From here on the guard takes the count back, whatever happens.
        let guard = Guard { slot: self, life: PhantomData };
        (before & FILLED != 0).then_some(guard)
    }

    /// Empties it and returns the object, when nobody uses it; `users` is how many guards the caller holds itself.
    pub fn clear(&self, users: u32) -> Option<NonNull<T>> {
        let users = u64::from(users);
        let expected = FILLED | users;
        self.state.compare_exchange(expected, users, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        NonNull::new(self.object.load(Ordering::Relaxed))
    }
}

/// A use of the object in a [`Slot`].
#[derive(Debug)]
pub struct Guard<'a, T, W: Word = AtomicU64> {
    slot: &'a Slot<T, W>,
    life: PhantomData<&'a T>,
}

impl<T, W: Word> Deref for Guard<'_, T, W> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: a guard is handed out only when the slot was filled at the moment it was counted; `fill`'s contract
        // makes the pointer good until `clear`, which refuses while this guard is counted.
        unsafe { &*self.slot.object.load(Ordering::Relaxed) }
    }
}

impl<T, W: Word> Drop for Guard<'_, T, W> {
    #[inline]
    fn drop(&mut self) {
        self.slot.state.fetch_sub(1, Ordering::Release);
    }
}

// SAFETY: the slot hands out `&T` to any thread and the object itself to who clears it.
unsafe impl<T: Send + Sync, W: Sync> Sync for Slot<T, W> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync, W: Send> Send for Slot<T, W> {}

#[cfg(all(test, loom))]
mod loom_tests {
    extern crate std;
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;
    use std::boxed::Box;

    /// What an object is after its end.
    const GONE: u32 = 0;

    type Object = UnsafeCell<u32>;
    type Tried = Slot<Object, crate::atomic::AtomicU64>;

    fn empty() -> Arc<Tried> {
        Arc::new(Slot { state: crate::atomic::AtomicU64::new(0), object: AtomicPtr::new(null_mut()) })
    }

    /// Its pages stay for the next, as those of a partition.
    fn pages() -> NonNull<Object> {
        NonNull::from(Box::leak(Box::new(UnsafeCell::new(GONE))))
    }

    fn fill(slot: &Tried, pages: NonNull<Object>, value: u32) {
        write(pages, value);
        // SAFETY: it stays for ever.
        assert!(unsafe { slot.fill(pages) });
    }

    fn write(object: NonNull<Object>, value: u32) {
        // SAFETY: as above.
        let object = unsafe { object.as_ref() };
        // SAFETY: loom checks that nobody else is at it.
        object.with_mut(|content| unsafe { *content = value });
    }

    /// What somebody sees who looks it up; `None`: nothing is there.
    fn look(slot: &Tried) -> Option<u32> {
        // SAFETY: loom checks that nobody changes it.
        slot.guard().map(|object| object.with(|content| unsafe { *content }))
    }

    /// Another processor that looks it up.
    fn user(slot: &Arc<Tried>) -> thread::JoinHandle<()> {
        let slot = slot.clone();
        thread::spawn(move || assert_ne!(look(&slot), Some(GONE)))
    }

    fn end(slot: &Tried, users: u32) -> bool {
        slot.clear(users).inspect(|object| write(*object, GONE)).is_some()
    }

    #[test]
    fn what_somebody_uses_does_not_go() {
        loom::model(|| {
            let slot = empty();
            fill(&slot, pages(), 1);
            let user = user(&slot);
            let gone = end(&slot, 0);
            user.join().unwrap();
            assert_ne!(gone, end(&slot, 0), "nobody is counted who does not use it");
        });
    }

    #[test]
    fn who_finds_nothing_is_not_counted() {
        loom::model(|| {
            let slot = empty();
            let user = user(&slot);
            fill(&slot, pages(), 1);
            assert_eq!(look(&slot), Some(1));
            user.join().unwrap();
            assert!(end(&slot, 0) && look(&slot).is_none());
        });
    }

    #[test]
    fn who_empties_it_may_use_it_until_then() {
        loom::model(|| {
            let slot = empty();
            fill(&slot, pages(), 1);
            let user = user(&slot);
            let own = slot.guard();
            assert!(own.is_some());
            let gone = end(&slot, 1);
            drop(own);
            user.join().unwrap();
            assert_ne!(gone, end(&slot, 0));
        });
    }

    #[test]
    fn one_of_two_empties_it() {
        loom::model(|| {
            let slot = empty();
            fill(&slot, pages(), 1);
            let other = {
                let slot = slot.clone();
                thread::spawn(move || end(&slot, 0))
            };
            let mine = end(&slot, 0);
            assert_ne!(mine, other.join().unwrap());
        });
    }

    #[test]
    fn the_next_one_is_seen_whole() {
        loom::model(|| {
            let slot = empty();
            let pages = pages();
            fill(&slot, pages, 1);
            let user = {
                let slot = slot.clone();
                thread::spawn(move || [look(&slot), look(&slot)])
            };
            if end(&slot, 0) {
                fill(&slot, pages, 2);
            }
            let seen = user.join().unwrap();
            assert!(!seen.contains(&Some(GONE)) && seen != [Some(2), Some(1)], "{seen:?}");
        });
    }
}
