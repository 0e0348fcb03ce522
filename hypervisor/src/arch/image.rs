//! Where the image is in physical memory.

use core::sync::atomic::{AtomicU64, Ordering};

use handoff::space;

/// Physical address of the image's first byte.
static BASE: AtomicU64 = AtomicU64::new(0);

/// Remembers where the loader put the image.
pub fn set_base(base: u64) {
    BASE.store(base, Ordering::Relaxed);
}

/// The physical address of something in the image; the image is in one piece.
pub fn physical<T>(part: &'static T) -> u64 {
    let offset = (core::ptr::from_ref(part).addr() as u64).wrapping_sub(space::IMAGE);
    BASE.load(Ordering::Relaxed).wrapping_add(offset)
}
