//! The machine's page frames.
#![expect(unsafe_code, reason = "zeroes frames through the direct map")]

use super::buddy::{Buddy, Frame};
use super::{PAGE_SIZE, direct_map};
use core::sync::atomic::{AtomicUsize, Ordering};
use spin::Mutex;

/// The allocator. A leaf lock: nothing else is taken while it is held.
static FRAMES: Mutex<Option<Buddy<'static>>> = Mutex::new(None);
/// Frames that were ever added.
static TOTAL: AtomicUsize = AtomicUsize::new(0);

/// Starts with no free frame; `frames` has one entry for each frame of the machine.
pub(crate) fn start(frames: &'static mut [Frame]) {
    *FRAMES.lock() = Some(Buddy::new(frames));
}

/// Adds free RAM: whole pages.
pub(crate) fn add_region(base: u64, length: u64) {
    let count = length as usize / PAGE_SIZE;
    TOTAL.fetch_add(count, Ordering::Relaxed);
    give_back(base, count);
}

/// Takes `count` consecutive frames as they are; the address of the first, aligned to `count` rounded up to a power of
/// two.
pub(crate) fn take(count: usize) -> Option<u64> {
    let frame = FRAMES.lock().as_mut()?.allocate(count)?;
    Some((frame * PAGE_SIZE) as u64)
}

/// As [`take`], below physical address `limit`.
fn take_below(count: usize, limit: u64) -> Option<u64> {
    let limit = usize::try_from(limit / PAGE_SIZE as u64).ok()?;
    let frame = FRAMES.lock().as_mut()?.allocate_below(count, limit)?;
    Some((frame * PAGE_SIZE) as u64)
}

/// Gives back what [`take`] gave.
pub(crate) fn give_back(address: u64, count: usize) {
    if let Some(frames) = FRAMES.lock().as_mut() {
        frames.release(address as usize / PAGE_SIZE, count);
    }
}

/// RAM that is free, in bytes.
#[must_use]
pub fn free_bytes() -> u64 {
    let frames = FRAMES.lock().as_ref().map_or(0, Buddy::free_frames);
    (frames * PAGE_SIZE) as u64
}

/// RAM that this kernel has, in bytes, without its image and what it never gives away.
#[must_use]
pub fn total_bytes() -> u64 {
    (TOTAL.load(Ordering::Relaxed) * PAGE_SIZE) as u64
}

/// Consecutive frames, owned; they are free again when it is dropped.
#[derive(Debug)]
pub struct Pages {
    address: u64,
    count: usize,
}

impl Pages {
    /// Takes `count` consecutive frames and zeroes them. The first is aligned to `count` rounded up to a power of two.
    #[must_use]
    pub fn allocate(count: usize) -> Option<Self> {
        take(count).map(|address| Self::zeroed(address, count))
    }

    /// As [`Pages::allocate`], below physical address `limit`.
    #[must_use]
    pub fn allocate_below(count: usize, limit: u64) -> Option<Self> {
        take_below(count, limit).map(|address| Self::zeroed(address, count))
    }

    /// Owns frames that were taken.
    fn zeroed(address: u64, count: usize) -> Self {
        // SAFETY: these frames are in the direct map, and from now on ours alone.
        unsafe { direct_map(address).write_bytes(0, count * PAGE_SIZE) };
        Self { address, count }
    }

    /// Physical address of the first.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Where the first is mapped.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        direct_map(self.address)
    }

    /// Gives up ownership: the frames are never free again by themselves. Their address.
    pub fn leak(self) -> u64 {
        let address = self.address;
        core::mem::forget(self);
        address
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        give_back(self.address, self.count);
    }
}
