//! A place that holds an object which others look up without a lock, and which goes only when nobody uses it.
#![expect(unsafe_code, reason = "the object is reached through a pointer whose life the counter guards")]

use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::machine::Machine;

/// Set while the slot is filled; the bits below count users.
const FILLED: u32 = 1 << 31;

/// Empty, or an object with a count of its users.
#[derive(Debug)]
pub struct Slot<T> {
    state: AtomicU32,
    object: AtomicPtr<T>,
}

impl<T> Slot<T> {
    /// An empty slot.
    pub const fn new() -> Self {
        Self { state: AtomicU32::new(0), object: AtomicPtr::new(null_mut()) }
    }

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
    pub fn get<M: Machine>(&self, machine: &M) -> Option<Guard<'_, T>> {
        let before = self.state.fetch_add(1, Ordering::Acquire);
        // From here on the guard takes the count back, whatever happens.
        let guard = Guard { slot: self, life: PhantomData };
        if before & FILLED == 0 {
            return None;
        }
        machine.catch_up();
        Some(guard)
    }

    /// Empties it and returns the object, when nobody uses it; `users` is how many guards the caller holds itself.
    pub fn clear(&self, users: u32) -> Option<NonNull<T>> {
        let expected = FILLED | users;
        self.state.compare_exchange(expected, users, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        NonNull::new(self.object.load(Ordering::Relaxed))
    }
}

/// A use of the object in a [`Slot`].
#[derive(Debug)]
pub struct Guard<'a, T> {
    slot: &'a Slot<T>,
    life: PhantomData<&'a T>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: a guard is handed out only when the slot was filled at the moment it was counted; `fill`'s contract
        // makes the pointer good until `clear`, which refuses while this guard is counted.
        unsafe { &*self.slot.object.load(Ordering::Relaxed) }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.slot.state.fetch_sub(1, Ordering::Release);
    }
}

// SAFETY: the slot hands out `&T` to any thread and the object itself to who clears it.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Send for Slot<T> {}
