//! The pages that the loader kept for the hypervisor.
//!
//! There are two runs: what is left of the 2 MiB that the image lies in, and one for tables, those of the root's second
//! level first of all.
#![expect(unsafe_code, reason = "zeroes pages through the loader's identity map")]

use handoff::HandOff;
use hv_abi::SpaPage;
use paging::FrameAllocator;

/// Bytes of a page.
const PAGE: u64 = 4096;

/// Pages by number: the first, and one above the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    next: u64,
    end: u64,
}

impl Run {
    /// Of bytes, but the first `used`.
    const fn of_bytes(base: u64, length: u64, used: u64) -> Self {
        Self { next: base.saturating_add(used) / PAGE, end: base.saturating_add(length) / PAGE }
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

/// What of the hypervisor's pages is free.
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    spare: Run,
    tables: Run,
}

impl Frames {
    /// Those of the hand-off; the first `image` bytes of the image's are in use.
    pub const fn new(hand_off: &HandOff, image: u64) -> Self {
        let (first, second) = (&hand_off.hypervisor, &hand_off.hypervisor_tables);
        Self {
            spare: Run::of_bytes(first.base, first.length, image),
            tables: Run::of_bytes(second.base, second.length, 0),
        }
    }

    /// What is free, for the core: content undefined.
    pub fn rest(self) -> impl Iterator<Item = SpaPage> {
        self.tables.chain(self.spare)
    }
}

/// As long as the loader's identity map is in use.
impl FrameAllocator for Frames {
    fn allocate(&mut self) -> Option<SpaPage> {
        let page = self.spare.next().or_else(|| self.tables.next())?;
        let bytes = core::ptr::with_exposed_provenance_mut::<u8>(page.base().get() as usize);
        // SAFETY: a page of the hypervisor's own that nobody uses, in the loader's identity map.
        unsafe { bytes.write_bytes(0, PAGE as usize) };
        Some(page)
    }
    fn free(&mut self, _page: SpaPage) {}
}
