//! The heap: talc on pages that the kernel maps as they are needed. It never shrinks; a process is not that long.
#![expect(unsafe_code, reason = "a heap is made of raw memory")]

use crate::call::call;
use core::alloc::Layout;
use syscall::Call;
use talc::TalcLock;
use talc::base::Talc;
use talc::base::binning::Binning;
use talc::source::Source;

/// What is asked of the kernel at least, in bytes.
const PIECE: usize = 256 << 10;
/// What the allocator needs for itself in a piece, in bytes, generously.
const OVERHEAD: usize = 4096;

/// Pages of the kernel.
#[derive(Debug)]
struct Pages;

// SAFETY: it asks the kernel, and uses the allocator through `talc` only.
unsafe impl Source for Pages {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let size = layout.size().checked_add(layout.align()).and_then(|size| size.checked_add(OVERHEAD));
        let size = size.and_then(|size| size.max(PIECE).checked_next_multiple_of(4096)).ok_or(())?;
        let address = call(Call::MemoryAllocate, [size as u64]).map_err(|_| ())?;
        let base = core::ptr::with_exposed_provenance_mut::<u8>(usize::try_from(address).map_err(|_| ())?);
        // SAFETY: fresh pages that nobody else knows of, for as long as the process lives.
        unsafe { talc.claim(base, size) }.map(|_| ()).ok_or(())
    }
}

#[global_allocator]
static HEAP: TalcLock<spin::mutex::Mutex<()>, Pages> = TalcLock::new(Pages);
