//! Regions of the address space for objects. A region is 1 GiB: its tables come from whoever maps in it and go back
//! when it is released; the tables above are the hypervisor's for good.
//!
//! Another processor may still have a translation that was removed here. Nobody uses an object that is gone, so it
//! matters only when the address is used again: each processor looks at [`CHANGES`] whenever it comes out of a guest
//! and flushes when it has moved on.

use core::sync::atomic::{AtomicU64, Ordering};

use handoff::space;
use hv_abi::{Hva, SpaPage};
use paging::{
    Attributes, EntryFormat, Error, FrameAllocator, Host, InputPage, PageSize, PageTable, TableMemory,
};
use spin::Mutex;

use crate::arch::memory::window::Windowed;
use crate::arch::{cpu, per_cpu};
use crate::machine::{REGION_PAGES, REGIONS};

/// How often a translation was removed.
pub static CHANGES: AtomicU64 = AtomicU64::new(0);

/// The hypervisor's tables. The lock guards all entries of regions; nothing else is taken inside.
pub struct Regions(Mutex<PageTable<Host>>);

/// The address of a place in a region.
pub fn address(region: u32, index: u32) -> Option<Hva> {
    if region >= REGIONS || index >= REGION_PAGES {
        return None;
    }
    let offset = u64::from(region).wrapping_mul(space::REGION_BYTES).wrapping_add(u64::from(index) << 12);
    Hva::new(space::REGIONS.wrapping_add(offset))
}

impl Regions {
    /// Those of the tables with this root.
    pub const fn new(root: SpaPage) -> Self {
        Self(Mutex::new(PageTable::from_root(root)))
    }

    /// Maps `page`. `None`: no such place, or no frame for a table.
    pub fn map(
        &self,
        region: u32,
        index: u32,
        page: SpaPage,
        mut frames: &mut dyn FrameAllocator,
    ) -> Option<Hva> {
        let address = address(region, index)?;
        let input = InputPage::from_hva(address);
        let table = self.0.lock();
        let old: Result<_, Error> =
            table.map(&mut Windowed, &mut frames, input, page, PageSize::Size4K, Attributes::WRITE);
        if old.ok()?.is_some() {
            Self::removed(address);
        }
        Some(address)
    }

    /// Unmaps a page; its tables stay.
    pub fn unmap(&self, region: u32, index: u32) -> Option<SpaPage> {
        let address = address(region, index)?;
        let table = self.0.lock();
        let present = |table, shift| {
            let entry = Windowed.read(table, slot(address.get(), shift));
            Host::is_present(entry).then_some(Host::page(entry))
        };
        let last = [39, 30, 21].into_iter().try_fold(table.root(), present)?;
        let page = present(last, 12)?;
        Windowed.write(last, slot(address.get(), 12), 0);
        Self::removed(address);
        Some(page)
    }

    /// Gives the tables of a region in which nothing is mapped to `frames`, zeroed.
    ///
    /// Nobody waits for the other processors: until one catches up it may still walk through these tables, in what they are
    /// by then, but only by speculation, for it names no address of the region before; and what it remembers of that goes
    /// when it catches up, which finds the entry above gone (it was written before [`CHANGES`] moved on).
    pub fn release(&self, region: u32, frames: &mut dyn FnMut(SpaPage)) {
        let Some(address) = address(region, 0) else { return };
        let root = self.0.lock();
        let upper = Host::page(Windowed.read(root.root(), slot(address.get(), 39)));
        let entry = Windowed.read(upper, slot(address.get(), 30));
        if !Host::is_present(entry) {
            return;
        }
        let middle = Host::page(entry);
        Windowed.write(upper, slot(address.get(), 30), 0);
        CHANGES.fetch_add(1, Ordering::AcqRel);
        cpu::flush_tlb();
        for index in 0..paging::ENTRIES {
            let entry = Windowed.read(middle, index);
            if Host::is_present(entry) {
                Windowed.write(middle, index, 0);
                frames(Host::page(entry));
            }
        }
        frames(middle);
    }

    fn removed(address: Hva) {
        CHANGES.fetch_add(1, Ordering::AcqRel);
        cpu::invlpg(address.get());
    }
}

/// Catches up with what others removed.
#[inline]
pub fn catch_up() {
    let seen = &per_cpu::this().flushes_seen;
    let now = CHANGES.load(Ordering::Acquire);
    if seen.get() != now {
        forget(now);
    }
}

#[cold]
#[inline(never)]
fn forget(now: u64) {
    per_cpu::this().flushes_seen.set(now);
    cpu::flush_tlb();
}

const fn slot(address: u64, shift: u32) -> usize {
    ((address >> shift) % 512) as usize
}
