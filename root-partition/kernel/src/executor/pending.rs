//! How many requests are in flight that are answered on each processor: one that waits for a disk looks for a moment before
//! it halts.

#[cfg(not(test))]
use crate::arch::{PerProcessor, per_processor};
use core::sync::atomic::{AtomicU32, Ordering};

#[cfg(not(test))]
static COUNTS: PerProcessor<AtomicU32> = per_processor!(AtomicU32::new(0));

/// A processor's count.
#[derive(Clone, Copy, Debug)]
pub struct Pending(&'static AtomicU32);

impl Pending {
    /// Of the processor to which the interrupts come.
    #[cfg(not(test))]
    pub fn on(processor: u32) -> Self {
        Self(COUNTS.of(processor))
    }

    /// Of a processor that there is in the test only.
    #[cfg(test)]
    pub fn played() -> Self {
        Self(std::boxed::Box::leak(std::boxed::Box::default()))
    }

    /// One more is in flight.
    #[inline]
    pub fn begins(self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One was answered.
    #[inline]
    pub fn ends(self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether there is one.
    #[inline]
    pub fn is_any(self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}
