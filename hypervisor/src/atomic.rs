//! Atomics: the processor's, or loom's when the interleavings of what uses them are explored (`--cfg loom`).

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// In a loop that waits for another processor.
#[inline(always)]
pub fn pause() {
    #[cfg(not(loom))]
    core::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}

/// Between a `SeqCst` store and a `SeqCst` load of something else, for loom, which takes both for less than they are.
#[inline(always)]
pub fn announced() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}
