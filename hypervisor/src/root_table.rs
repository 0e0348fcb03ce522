//! The root's second-level table while its lock is held.
//!
//! The attributes of a page and its share count say what it is: [`ROOT_RAM`] the root's own RAM, used by others as often
//! as it is shared; anything else that is mapped a device, or a page of the hypervisor's that the root may see.

use hv_abi::{HvResult, HvStatus, SpaPage};
use paging::{Attributes, Error, InputPage, PageSize, PageTable};

use crate::gpa_space::Format;
use crate::hypervisor::Hypervisor;
use crate::machine::Machine;
use crate::pool::{TableFrames, Tables};
use crate::start::ROOT_RAM;

/// What a refusal of the page tables' is to a caller.
pub const fn status(error: Error) -> HvStatus {
    match error {
        Error::OutOfFrames => HvStatus::INSUFFICIENT_MEMORY,
        Error::Misaligned => HvStatus::INVALID_ALIGNMENT,
        Error::TableInTheWay | Error::Saturated => HvStatus::OPERATION_DENIED,
        Error::NotMapped => HvStatus::INVALID_PARAMETER,
    }
}

/// The root's table while its lock is held.
pub struct RootTable<'a, M: Machine> {
    machine: &'a M,
    /// The table.
    pub table: PageTable<Format<M>>,
    /// Where tables come from and go.
    pub frames: TableFrames<'a, M>,
}

impl<M: Machine> RootTable<'_, M> {
    /// Takes a page of RAM that nobody shares out of the root's space.
    pub fn take(&mut self, page: SpaPage) -> HvResult<()> {
        let input = InputPage::new(page.get()).ok_or(HvStatus::INVALID_PARAMETER)?;
        let mut tables = Tables(self.machine);
        let leaf = self.table.walk(&mut tables, input).ok_or(HvStatus::OPERATION_DENIED)?;
        if leaf.attributes != ROOT_RAM || leaf.share_count != 0 {
            return Err(HvStatus::OPERATION_DENIED);
        }
        let unmapped = self.table.unmap(&mut tables, &mut self.frames, input, PageSize::Size4K);
        unmapped.map(|_| ()).map_err(status)
    }

    /// Maps a page into the root's space at its own address.
    pub fn give(&mut self, page: SpaPage, attributes: Attributes) -> HvResult<()> {
        let input = InputPage::new(page.get()).ok_or(HvStatus::INVALID_PARAMETER)?;
        let mut tables = Tables(self.machine);
        let mapped = self.table.map(&mut tables, &mut self.frames, input, page, PageSize::Size4K, attributes);
        mapped.map(|_| ()).map_err(status)
    }

    /// Takes a page of the hypervisor's that the root saw out of its space.
    pub fn hide(&mut self, page: SpaPage) {
        if let Some(input) = InputPage::new(page.get()) {
            // Not mapped: it was not there.
            let _ = self.table.unmap(&mut Tables(self.machine), &mut self.frames, input, PageSize::Size4K);
        }
    }

    /// Are all pages of the `size` at `input` the root's own RAM?
    fn is_ram(&self, input: InputPage, size: PageSize) -> bool {
        let mut tables = Tables(self.machine);
        let end = input.get().saturating_add(size.pages());
        let mut next = input;
        // At most one round for each entry of the table that a split large page has become.
        loop {
            match self.table.walk(&mut tables, next) {
                Some(leaf) if leaf.attributes == ROOT_RAM => {
                    let above = next.get().saturating_add(leaf.size.pages());
                    match InputPage::new(above) {
                        Some(page) if above < end => next = page,
                        _ => return true,
                    }
                }
                _ => return false,
            }
        }
    }

    /// Counts a use of each page of the `size` at `input`, which are the root's own RAM.
    pub fn share(&mut self, input: InputPage, size: PageSize) -> HvResult<()> {
        if !self.is_ram(input, size) {
            return Err(HvStatus::OPERATION_DENIED);
        }
        self.table.share(&mut Tables(self.machine), &mut self.frames, input, size).map_err(status)
    }

    /// Takes one use back.
    pub fn unshare(&mut self, page: SpaPage, size: PageSize) {
        if let Some(input) = InputPage::new(page.get()) {
            // Cannot fail: what is mapped into a guest was counted, and there are tables enough to split everything.
            let _ = self.table.unshare(&mut Tables(self.machine), &mut self.frames, input, size);
        }
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Runs `f` on the root's table, then flushes what it took away (`removes`) and frees tables.
    pub fn with_root_table<R>(
        &self,
        removes: bool,
        f: impl FnOnce(&mut RootTable<'_, M>) -> R,
    ) -> HvResult<R> {
        let (mut f, mut result) = (Some(f), None);
        self.change_root_table(removes, &mut |root| result = f.take().map(|f| f(root)))?;
        // It was called.
        result.ok_or(HvStatus::INVALID_PARTITION_STATE)
    }

    fn change_root_table(&self, removes: bool, f: &mut dyn FnMut(&mut RootTable<'_, M>)) -> HvResult<()> {
        let space = self.root.memory.lock();
        let mut pool = self.root_tables.lock();
        let frames = TableFrames::new(self.machine, &mut pool);
        let mut root = RootTable { machine: self.machine, table: space.table()?, frames };
        f(&mut root);
        if removes || root.frames.has_freed() {
            self.processors.shoot_down(self.machine, &self.root.memory);
        }
        root.frames.release();
        Ok(())
    }
}
