//! Physical memory as a file, and regions as a reservation of address space into which its pages are mapped.
#![expect(unsafe_code, reason = "maps memory")]

extern crate std;

use core::cell::Cell;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread_local;
use std::vec::Vec;

use hv_abi::SpaPage;
use paging::FrameAllocator;

use crate::machine::{PAGE_BYTES, Page};

/// Regions that there are here.
const REGIONS: u32 = 260;
/// Pages of a region here.
const REGION_PAGES: u32 = 1 << 14;
/// Names the table of a region that points to its tables.
const UPPER: u32 = u32::MAX;

/// Physical memory and the address space.
pub struct FakeMemory {
    file: i32,
    pages: u64,
    physical: NonNull<Page>,
    regions: NonNull<Page>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    mapped: BTreeMap<(u32, u32), SpaPage>,
    /// Tables of the address space: region, and index / 512 or [`UPPER`].
    tables: BTreeMap<(u32, u32), SpaPage>,
    /// When something was last unmapped there, in [`CHANGES`].
    removed: BTreeMap<(u32, u32), u64>,
}

/// How often something was unmapped, in all machines.
static CHANGES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// How many of them this thread, which is a processor, has caught up with.
    static SEEN: Cell<u64> = const { Cell::new(0) };
}

/// From here on this thread uses no translation that was removed before.
pub(super) fn catch_up() {
    SEEN.set(CHANGES.load(Ordering::Acquire));
}

// SAFETY: the pointers are to mappings that stay for good.
unsafe impl Sync for FakeMemory {}
// SAFETY: as above.
unsafe impl Send for FakeMemory {}

fn map_memory(
    at: *mut libc::c_void,
    bytes: usize,
    protection: i32,
    flags: i32,
    file: i32,
    offset: u64,
) -> NonNull<Page> {
    let offset = i64::try_from(offset).expect("a small file");
    // SAFETY: either anywhere, or inside the reservation of this memory.
    let address = unsafe { libc::mmap(at, bytes, protection, flags, file, offset) };
    assert_ne!(address, libc::MAP_FAILED, "cannot map memory");
    NonNull::new(address.cast()).expect("a mapping")
}

impl FakeMemory {
    /// Memory of this many pages, filled with a pattern that no code may rely on.
    pub fn new(pages: u64) -> Self {
        // SAFETY: a name of our own, no flags.
        let file = unsafe { libc::memfd_create(c"fake".as_ptr(), 0) };
        assert!(file >= 0, "cannot make a memory file");
        let bytes = usize::try_from(pages).expect("small") * PAGE_BYTES;
        // SAFETY: the file was just made.
        let sized = unsafe { libc::ftruncate(file, i64::try_from(bytes).expect("small")) };
        assert_eq!(sized, 0, "cannot size the memory file");
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let physical = map_memory(null_mut(), bytes, access, libc::MAP_SHARED, file, 0);
        let reserve = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let space = (REGIONS * REGION_PAGES) as usize * PAGE_BYTES;
        let regions = map_memory(null_mut(), space, libc::PROT_NONE, reserve, -1, 0);
        Self { file, pages, physical, regions, state: Mutex::default() }
    }

    /// A page of physical memory. The test ends when there is none: nothing above may touch what is not RAM.
    pub fn physical(&self, page: SpaPage) -> &Page {
        assert!(page.get() < self.pages, "page {page:#x} is not memory");
        let index = usize::try_from(page.get()).expect("small");
        // SAFETY: below the end of the mapping.
        let at = unsafe { self.physical.add(index) };
        // SAFETY: it stays mapped for good, and a page is accessed atomically only.
        unsafe { at.as_ref() }
    }

    fn place(&self, region: u32, index: u32) -> NonNull<Page> {
        assert!(region < REGIONS && index < REGION_PAGES, "region {region} index {index}");
        // SAFETY: inside the reservation.
        unsafe { self.regions.add((region * REGION_PAGES + index) as usize) }
    }

    pub(super) fn map(
        &self,
        region: u32,
        index: u32,
        page: SpaPage,
        frames: &mut dyn FrameAllocator,
    ) -> Option<NonNull<Page>> {
        let mut state = self.state.lock().expect("no panic while it is held");
        let removed = state.removed.get(&(region, index));
        assert!(removed.is_none_or(|change| *change <= SEEN.get()), "written through a stale translation");
        let missing = |table: &(u32, u32)| !state.tables.contains_key(table);
        let needed = [(region, UPPER), (region, index / 512)].into_iter().filter(missing);
        let taken: Vec<_> = needed.map(|table| (table, frames.allocate())).collect();
        // All or none, as page tables do it.
        if taken.iter().any(|(_, page)| page.is_none()) {
            taken.iter().filter_map(|(_, page)| *page).for_each(|page| frames.free(page));
            return None;
        }
        state.tables.extend(taken.into_iter().filter_map(|(table, page)| Some((table, page?))));
        assert!(state.mapped.insert((region, index), page).is_none(), "mapped twice");
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let at = self.place(region, index);
        Some(map_memory(at.as_ptr().cast(), PAGE_BYTES, access, flags, self.file, page.base().get()))
    }

    pub(super) fn unmap(&self, region: u32, index: u32) -> Option<SpaPage> {
        let mut state = self.state.lock().expect("no panic while it is held");
        let page = state.mapped.remove(&(region, index))?;
        state.removed.insert((region, index), CHANGES.fetch_add(1, Ordering::AcqRel) + 1);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        let at = self.place(region, index);
        map_memory(at.as_ptr().cast(), PAGE_BYTES, libc::PROT_NONE, flags, -1, 0);
        Some(page)
    }

    pub(super) fn release(&self, region: u32, frames: &mut dyn FnMut(SpaPage)) {
        let mut state = self.state.lock().expect("no panic while it is held");
        assert!(state.mapped.keys().all(|(r, _)| *r != region), "something is mapped in region {region}");
        state.tables.retain(|(r, _), page| {
            if *r == region {
                frames(*page);
            }
            *r != region
        });
    }

    /// Objects mapped now.
    pub fn mapped_objects(&self) -> usize {
        self.state.lock().expect("no panic while it is held").mapped.len()
    }
}
