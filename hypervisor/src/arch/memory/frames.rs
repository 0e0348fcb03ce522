//! The pages that the hypervisor keeps for itself, taken from the hand-off's memory map before the root sees it.
//!
//! There are two runs: what is left of the 2 MiB that the loader gave the image, and one run that is carved for the
//! second-level tables of the root.
#![expect(unsafe_code, reason = "zeroes pages through the loader's identity map")]

use handoff::{HandOff, RegionKind};
use hv_abi::SpaPage;
use loader::memory_map;
use paging::FrameAllocator;

/// Bytes of a page.
const PAGE: u64 = 4096;

/// Pages by number: the first, and one above the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    next: u64,
    end: u64,
}

impl Run {
    /// Of bytes; both ends are page aligned.
    const fn of_bytes(base: u64, end: u64) -> Self {
        Self { next: base / PAGE, end: end / PAGE }
    }
    /// First page and number of pages.
    pub fn range(self) -> Option<(SpaPage, u64)> {
        Some((SpaPage::new(self.next)?, self.end.saturating_sub(self.next)))
    }
}

impl Iterator for Run {
    type Item = SpaPage;
    fn next(&mut self) -> Option<SpaPage> {
        let page = SpaPage::new(self.next).filter(|page| page.get() < self.end)?;
        self.next = self.next.saturating_add(1);
        Some(page)
    }
}

/// What the hypervisor owns, and what of it is free.
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    image: Run,
    spare: Run,
    tables: Run,
    free_tables: Run,
}

/// Pages for the root's second-level tables: for each 2 MiB and each 1 GiB of RAM one, should all be split, and what is
/// above; and for the processors.
const fn table_pages(ram: u64, processors: u64) -> u64 {
    (ram >> 21).saturating_add(ram >> 30).saturating_add(64).saturating_add(processors.saturating_mul(16))
}

impl Frames {
    /// Takes the hypervisor's pages out of the map. `image_end`: one above the last byte of the image that is used.
    /// `None`: the map does not have them.
    pub fn take(hand_off: &mut HandOff, image_end: u64, processors: usize) -> Option<Self> {
        let (base, length) = (hand_off.hypervisor.base, hand_off.hypervisor.length);
        let end = base.checked_add(length)?;
        let own = RegionKind::HYPERVISOR;
        if !memory_map::reassign(hand_off, RegionKind::LOADER, base, length, own) {
            return None;
        }
        let pages = table_pages(ram(hand_off), processors as u64);
        let bytes = pages.checked_mul(PAGE)?;
        let carved = memory_map::carve(hand_off, bytes, PAGE, u64::MAX, own)?;
        let tables = Run::of_bytes(carved, carved.checked_add(bytes)?);
        Some(Self {
            image: Run::of_bytes(base, end),
            spare: Run::of_bytes(image_end, end),
            tables,
            free_tables: tables,
        })
    }

    /// All that is the hypervisor's.
    pub fn owned(&self) -> impl Iterator<Item = (SpaPage, u64)> {
        [self.image, self.tables].into_iter().filter_map(Run::range)
    }

    /// What is free, for the core: content undefined.
    pub fn rest(self) -> impl Iterator<Item = SpaPage> {
        self.free_tables.chain(self.spare)
    }
}

/// Bytes of RAM, whoever has it.
pub fn ram(hand_off: &HandOff) -> u64 {
    let is_ram = |kind| kind != RegionKind::RESERVED;
    hand_off.regions().iter().filter(|region| is_ram(region.kind)).map(|region| region.length).sum()
}

/// As long as the loader's identity map is in use.
impl FrameAllocator for Frames {
    fn allocate(&mut self) -> Option<SpaPage> {
        let page = self.spare.next().or_else(|| self.free_tables.next())?;
        let bytes = core::ptr::with_exposed_provenance_mut::<u8>(page.base().get() as usize);
        // SAFETY: a page of the hypervisor's own that nobody uses, in the loader's identity map.
        unsafe { bytes.write_bytes(0, PAGE as usize) };
        Some(page)
    }
    fn free(&mut self, _page: SpaPage) {}
}
