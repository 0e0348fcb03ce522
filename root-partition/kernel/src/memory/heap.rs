//! The heap: talc over blocks of frames, which go back when nothing is left in them.
#![expect(unsafe_code, reason = "implements an allocator over the direct map")]

use super::{PAGE_SIZE, direct_map, give_back, physical, take};
use core::alloc::{GlobalAlloc, Layout};
use talc::TalcLock;
use talc::source::GlobalAllocSource;

/// Bytes that the heap grows by.
const BLOCK: usize = 256 << 10;

/// Runs of frames as an allocator.
#[derive(Debug)]
struct FrameSource;

// SAFETY: a run is in the direct map, aligned to its size rounded up to a power of two, and nobody else's until it is
// given back.
unsafe impl GlobalAlloc for FrameSource {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let count = layout.size().max(layout.align()).div_ceil(PAGE_SIZE);
        take(count).map_or(core::ptr::null_mut(), direct_map)
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        give_back(physical(pointer), layout.size().max(layout.align()).div_ceil(PAGE_SIZE));
    }
}

#[cfg_attr(target_os = "none", global_allocator)]
static HEAP: TalcLock<spin::Mutex<()>, GlobalAllocSource<FrameSource>> =
    TalcLock::new(GlobalAllocSource::with_block_size(FrameSource, BLOCK));

/// Uses the heap where it is not the global allocator.
#[cfg(not(target_os = "none"))]
#[expect(dead_code, reason = "on the host the system's allocator serves")]
fn unused() -> usize {
    core::ptr::from_ref(&HEAP).addr()
}
