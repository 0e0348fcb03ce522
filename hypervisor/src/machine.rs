//! What the architecture-neutral part needs of the machine: windows onto pages, time, and other processors.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

use extension::traces::Traces;
use hv_abi::SpaPage;
use paging::FrameAllocator;

use crate::backend::VirtualProcessorBackend;

/// Bytes of a page.
pub const PAGE_BYTES: usize = 4096;

/// 4 KiB of memory that others may change at any time, so each access is an atomic one and everything is copied out
/// once before it is looked at.
#[repr(C, align(4096))]
pub struct Page([AtomicU64; PAGE_BYTES / 8]);

impl Page {
    /// A page of zeros.
    #[cfg(any(test, feature = "fake"))]
    pub const fn zeroed() -> Self {
        Self([const { AtomicU64::new(0) }; PAGE_BYTES / 8])
    }
    /// Word `index`; 0 past the end.
    #[inline]
    pub fn read(&self, index: usize) -> u64 {
        self.0.get(index).map_or(0, |w| w.load(Ordering::Relaxed))
    }
    /// Writes word `index` after all writes before it. Nothing past the end.
    #[inline]
    pub fn write(&self, index: usize, value: u64) {
        if let Some(word) = self.0.get(index) {
            word.store(value, Ordering::Release);
        }
    }
    /// Word `index` itself, for atomic operations.
    #[inline]
    pub fn word(&self, index: usize) -> Option<&AtomicU64> {
        self.0.get(index)
    }
    /// Adds to word `index`, which only one processor at a time writes.
    #[inline]
    pub fn add(&self, index: usize, n: u64) {
        if let Some(word) = self.0.get(index) {
            word.store(word.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
        }
    }
    /// Copies bytes from `offset` on; what is past the end stays untouched.
    pub fn copy_out(&self, offset: usize, mut into: &mut [u8]) {
        let mut skip = offset % 8;
        for word in self.0.iter().skip(offset / 8) {
            let length = into.len().min(8_usize.saturating_sub(skip));
            let Some(chunk) = into.split_off_mut(..length).filter(|chunk| !chunk.is_empty()) else { return };
            let bytes = word.load(Ordering::Relaxed).to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(bytes.iter().skip(skip)) {
                *to = *from;
            }
            skip = 0;
        }
    }
    /// Copies bytes to `offset` (8-aligned) on, a whole number of words.
    pub fn copy_in(&self, offset: usize, from: &[u8]) {
        for (chunk, word) in from.chunks(8).zip(self.0.iter().skip(offset / 8)) {
            let mut bytes = word.load(Ordering::Relaxed).to_le_bytes();
            for (to, from) in bytes.iter_mut().zip(chunk) {
                *to = *from;
            }
            word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
    }
    /// Fills it with zeros.
    pub fn zero(&self) {
        for word in &self.0 {
            word.store(0, Ordering::Relaxed);
        }
    }
}

/// A page that stays mapped in the hypervisor's address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedPage {
    /// The page.
    pub page: SpaPage,
    /// Where it is mapped.
    pub address: NonNull<Page>,
}

/// Regions of the address space for [`Machine::map_object`].
pub const REGIONS: u32 = 1024;
/// Pages of a region.
pub const REGION_PAGES: u32 = 1 << 18;

/// The machine under the hypervisor.
///
/// An implementor keeps: (1) `with_page` shows the page and nothing else, for the length of `f`; (2) what `map_object`
/// returned stays mapped at that address until `unmap_object`, consecutive indexes are consecutive in memory, and no
/// two regions overlap; (3) `kick` makes the processor leave guest mode, soon.
pub trait Machine: Sync + 'static {
    /// The vendor's extension.
    type Backend: VirtualProcessorBackend + Send;

    /// Shows a page of RAM through this processor's window. `f` does not call it again.
    fn with_page<R>(&self, page: SpaPage, f: impl FnOnce(&Page) -> R) -> R;
    /// Maps `page` at `index` (below [`REGION_PAGES`]) of a region (below [`REGIONS`]) of the hypervisor's address
    /// space, writable and not executable; tables come from `frames`, zeroed. `None`: no frame, and those that were
    /// taken are back.
    fn map_object(
        &self,
        region: u32,
        index: u32,
        page: SpaPage,
        frames: &mut dyn FrameAllocator,
    ) -> Option<NonNull<Page>>;
    /// Unmaps what is at `index` and says which page it was.
    fn unmap_object(&self, region: u32, index: u32) -> Option<SpaPage>;
    /// From here on this processor uses no translation that `unmap_object` took away before. Called after whatever
    /// tells that an object is there (a lock, a count), because its address may have been another's.
    fn catch_up(&self);
    /// Gives back the tables of a region in which nothing is mapped, zeroed.
    fn release_region(&self, region: u32, frames: &mut dyn FnMut(SpaPage));

    /// The time stamp counter.
    fn tsc(&self) -> u64;
    /// Ticks of it that this processor has spent in guest mode.
    fn guest_mode_ticks(&self) -> u64;
    /// Its frequency.
    fn tsc_hz(&self) -> u64;
    /// Number of this processor: the index of its root VP.
    fn processor(&self) -> u32;
    /// Makes a processor leave guest mode.
    fn kick(&self, processor: u32);
    /// Leaves a guest that is about to run here no traces, of those that this processor keeps.
    fn clear(&self, traces: Traces);
    /// Raises a vector in the root VP of that processor.
    fn interrupt_root(&self, processor: u32, vector: u8);
    /// Ends everything: the root partition cannot go on.
    fn fatal(&self, why: &'static str) -> !;
    /// Whether the processor carries out what guests do with their local APICs.
    fn has_apic_assist(&self) -> bool;
    /// The host's CPUID, without the extension that the hypervisor itself uses: EAX, EBX, ECX, EDX.
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4];
}
