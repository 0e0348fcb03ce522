//! A partition's guest-physical address space: its second-level table behind a lock, and who must forget translations.
//!
//! The lock is fair and held for one copy of at most a page or one bounded batch of changes. Lock order: a guest's
//! space, then the root's, then a pool. A page that leaves a space is used for something else only after
//! [`crate::processor::Processors::shoot_down`].

use core::sync::atomic::AtomicU64;

use hv_abi::{Gpa, GpaPage, HvResult, HvStatus, PAGE_SIZE, SpaPage};
use paging::{Attributes, InputPage, PageTable};
use spin::mutex::{TicketMutex, TicketMutexGuard};

use crate::backend::VirtualProcessorBackend;
use crate::guest_mode::Generation;
use crate::machine::{Machine, Page};
use crate::pool::Tables;

/// The second-level table format of a machine.
pub type Format<M> = <<M as Machine>::Backend as VirtualProcessorBackend>::Format;

/// What the lock guards.
pub struct Space<M: Machine> {
    /// The table; none before the partition is initialized.
    pub table: Option<PageTable<Format<M>>>,
    /// Pages mapped, in units of 4 KiB (guests only).
    pub mapped: u64,
}

impl<M: Machine> Space<M> {
    /// The table, or "not initialized".
    pub fn table(&self) -> HvResult<PageTable<Format<M>>> {
        self.table.ok_or(HvStatus::INVALID_PARTITION_STATE)
    }
}

/// A second-level table, its lock, and the number of its last removal.
pub struct GpaSpace<M: Machine> {
    space: TicketMutex<Space<M>>,
    /// Of its translations.
    pub generation: Generation<AtomicU64>,
    /// What the hypervisor may touch for the owner of this space.
    needed: Attributes,
}

impl<M: Machine> GpaSpace<M> {
    /// A space without a table. For its owner the hypervisor touches pages that allow at least `needed`: in the root's
    /// space that keeps it off devices.
    pub const fn new(needed: Attributes) -> Self {
        Self {
            needed,
            space: TicketMutex::new(Space { table: None, mapped: 0 }),
            generation: Generation(AtomicU64::new(0)),
        }
    }

    /// Takes the lock.
    pub fn lock(&self) -> TicketMutexGuard<'_, Space<M>> {
        self.space.lock()
    }

    /// Shows a page of this space to `f` while nobody can take it away. None: not mapped, or not writable when `write`.
    pub fn with_page<R>(
        &self,
        machine: &M,
        page: GpaPage,
        write: bool,
        f: impl FnOnce(&Page) -> R,
    ) -> Option<R> {
        let space = self.space.lock();
        let spa = self.translate(machine, &space, page, write)?;
        let result = machine.with_page(spa, f);
        drop(space);
        Some(result)
    }

    /// Copies bytes out of one page. `INVALID_PARAMETER` where nothing is mapped.
    pub fn read(&self, machine: &M, at: Gpa, into: &mut [u8]) -> HvResult<()> {
        within_page(at, into.len())?;
        self.with_page(machine, at.page(), false, |page| page.copy_out(at.offset(), into))
            .ok_or(HvStatus::INVALID_PARAMETER)
    }

    /// Copies bytes into one page, at an offset that is a multiple of 8. `INVALID_PARAMETER` where the space does not
    /// allow writes.
    pub fn write(&self, machine: &M, at: Gpa, from: &[u8]) -> HvResult<()> {
        within_page(at, from.len())?;
        self.with_page(machine, at.page(), true, |page| page.copy_in(at.offset(), from))
            .ok_or(HvStatus::INVALID_PARAMETER)
    }

    fn translate(&self, machine: &M, space: &Space<M>, page: GpaPage, write: bool) -> Option<SpaPage> {
        let input = InputPage::from_gpa(page)?;
        let (spa, attributes) = space.table?.translate(&mut Tables(machine), input)?;
        let refused = attributes.contains(Attributes::UNCACHED)
            || !attributes.contains(self.needed)
            || (write && !attributes.contains(Attributes::WRITE));
        (!refused).then_some(spa)
    }

    /// Would [`GpaSpace::write`] work?
    pub fn is_writable(&self, machine: &M, page: GpaPage) -> bool {
        self.translate(machine, &self.space.lock(), page, true).is_some()
    }
}

pub fn within_page(at: Gpa, length: usize) -> HvResult<()> {
    let end = at.offset().saturating_add(length);
    if end <= PAGE_SIZE as usize { Ok(()) } else { Err(HvStatus::INVALID_ALIGNMENT) }
}
