//! Start: the root's pool and its second-level table, which maps everything 1:1 but the hypervisor.

use core::sync::atomic::Ordering;

use hv_abi::{HvResult, HvStatus, SpaPage};
use paging::{Attributes, InputPage, PageSize, PageTable};

use crate::gpa_space::Format;
use crate::hypervisor::{BootInfo, Hypervisor};
use crate::layout;
use crate::machine::Machine;
use crate::object::{map_page, unmap_page};
use crate::partition::State;
use crate::pool::{TableFrames, Tables};
use crate::reference_time::ReferenceTime;
use crate::root_table::status;

/// What the root may do with RAM that is its own. `EXECUTE` is what tells such RAM from everything else in its table:
/// devices and pages of the hypervisor that it may see are never executable.
pub const ROOT_RAM: Attributes = Attributes::WRITE.union(Attributes::EXECUTE);
/// What the root may do with everything else that is not the hypervisor's.
const DEVICE: Attributes = Attributes::WRITE.union(Attributes::DEVICE);
/// Physical address space that the root sees at most, in pages: 1 TiB.
const HIGHEST: u64 = 1 << 28;
/// Tables that devices above [`HIGHEST`] may cost: each is good for 512 GiB.
const FAR_TABLES: u64 = 6;

impl<M: Machine> Hypervisor<M> {
    /// Starts it, once. `INSUFFICIENT_MEMORY`: too few pages.
    pub fn start(&self, boot: BootInfo<'_>) -> HvResult<()> {
        if self.started.swap(true, Ordering::AcqRel) {
            return Err(HvStatus::INVALID_PARTITION_STATE);
        }
        self.clock.call_once(|| ReferenceTime::new(self.machine.tsc_hz(), self.machine.tsc()));
        self.root.advance_state(State::Created, State::Active)?;
        {
            let mut pool = self.root_tables.lock();
            for page in &mut *boot.pages {
                pool.deposit(self.machine, page);
            }
            for place in layout::permanent_tables() {
                map_page(self.machine, &mut pool, place)?;
                unmap_page(self.machine, &mut pool, place);
            }
            self.processors.make(self.machine, &mut pool, boot.processors)?;
        }
        self.map_root(&boot)
    }

    fn map_root(&self, boot: &BootInfo<'_>) -> HvResult<()> {
        let mut pool = self.root_tables.lock();
        let mut frames = TableFrames::new(self.machine, &mut pool);
        let table = PageTable::new(&mut frames).map_err(status)?;
        let largest = if boot.gigabyte_pages { PageSize::Size1G } else { PageSize::Size2M };
        let mut map = Mapper { machine: self.machine, frames, table, largest };
        // What is above is devices' ([`Far`]): neither RAM, nor the hypervisor's, which is not in the list of RAM.
        let ranges = boot.ram.iter().chain(boot.hypervisor);
        let ram_end = ranges.map(|(first, pages)| first.get().saturating_add(*pages)).max().unwrap_or(0);
        let width = 1_u64 << boot.physical_bits.saturating_sub(12).min(36);
        // Without large pages the tables of a far end would cost too much.
        let highest = if boot.gigabyte_pages { HIGHEST } else { 1 << 24 };
        let end = highest.max(ram_end).min(width);
        self.far.call_once(|| Far { from: end, to: width, size: map.largest });
        let mut at = 0;
        while at < end {
            let (kind, next) = kind_at(at, end, boot.ram, boot.hypervisor);
            match kind {
                Kind::Own => {}
                Kind::Ram => map.range(at, next, ROOT_RAM)?,
                Kind::Device => map.range(at, next, DEVICE)?,
            }
            at = next;
        }
        self.root.memory.lock().table = Some(map.table);
        Ok(())
    }
}

/// Physical address space where neither RAM nor anything of the hypervisor is, of which the root sees what it touches.
#[derive(Clone, Copy, Debug)]
pub struct Far {
    /// First page.
    from: u64,
    /// One above the last.
    to: u64,
    /// Size of the pages.
    size: PageSize,
}

impl<M: Machine> Hypervisor<M> {
    /// Maps what is around a far physical address for the root, which touched it: a device. False: it may not.
    pub fn map_far(&self, address: u64) -> bool {
        let Some(Far { from, to, size }) = self.far.get().copied() else { return false };
        let page = (address >> 12) & size.pages().wrapping_neg();
        if page < from || page >= to || self.far_tables.load(Ordering::Relaxed) >= FAR_TABLES {
            return false;
        }
        let (Some(input), Some(page)) = (InputPage::new(page), SpaPage::new(page)) else { return false };
        let mapped = self.with_root_table(false, |root| {
            let free = root.frames.free();
            let mut tables = Tables(self.machine);
            let mapped = root.table.map(&mut tables, &mut root.frames, input, page, size, DEVICE);
            self.far_tables.fetch_add(free.saturating_sub(root.frames.free()), Ordering::Relaxed);
            mapped.is_ok()
        });
        mapped.unwrap_or(false)
    }
}

/// What a physical page is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Own,
    Ram,
    Device,
}

/// What page `at` is, and the first page behind it that may be something else.
fn kind_at(at: u64, end: u64, ram: &[(SpaPage, u64)], own: &[(SpaPage, u64)]) -> (Kind, u64) {
    let mut kind = Kind::Device;
    let mut next = end;
    // What is the hypervisor's is so even where a range of RAM covers it.
    for (ranges, this) in [(ram, Kind::Ram), (own, Kind::Own)] {
        for (first, pages) in ranges {
            let (first, last) = (first.get(), first.get().saturating_add(*pages));
            if at < first {
                next = next.min(first);
            } else if at < last {
                kind = this;
                next = next.min(last);
            }
        }
    }
    (kind, next)
}

struct Mapper<'a, M: Machine> {
    machine: &'a M,
    frames: TableFrames<'a, M>,
    table: PageTable<Format<M>>,
    largest: PageSize,
}

impl<M: Machine> Mapper<'_, M> {
    /// Maps pages `at..end` to themselves with the largest pages that fit.
    fn range(&mut self, mut at: u64, end: u64, attributes: Attributes) -> HvResult<()> {
        while at < end {
            let size = [self.largest, PageSize::Size2M, PageSize::Size4K]
                .into_iter()
                .find(|s| at.is_multiple_of(s.pages()) && end.saturating_sub(at) >= s.pages())
                .unwrap_or(PageSize::Size4K);
            let (Some(input), Some(page)) = (InputPage::new(at), SpaPage::new(at)) else { break };
            let mut tables = Tables(self.machine);
            let mapped = self.table.map(&mut tables, &mut self.frames, input, page, size, attributes);
            mapped.map_err(status)?;
            at = at.saturating_add(size.pages());
        }
        Ok(())
    }
}
