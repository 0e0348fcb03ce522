//! A partition's pool: the pages that were deposited to it and are not in use.
//!
//! The pages are chained through their first word, all other words are zero, so a pool needs no memory of its own. What
//! [`Pool::take`] hands out is all zeros.

use hv_abi::SpaPage;
use paging::{FrameAllocator, TableMemory};

use crate::machine::{Machine, Page};

/// A chain of free pages.
#[derive(Debug, Default)]
pub struct Pool {
    first: Option<SpaPage>,
    free: u64,
    deposited: u64,
}

impl Pool {
    /// No page.
    pub const fn new() -> Self {
        Self { first: None, free: 0, deposited: 0 }
    }
    /// Pages that are free.
    pub const fn free(&self) -> u64 {
        self.free
    }
    /// Pages deposited and not withdrawn, in use or free.
    pub const fn deposited(&self) -> u64 {
        self.deposited
    }

    /// Adds a page whose contents are unknown.
    pub fn deposit<M: Machine>(&mut self, machine: &M, page: SpaPage) {
        self.deposited = self.deposited.saturating_add(1);
        self.put_back(machine, page);
    }

    /// Takes a page out for good; it is all zeros.
    pub fn withdraw<M: Machine>(&mut self, machine: &M) -> Option<SpaPage> {
        let page = self.take(machine)?;
        self.deposited = self.deposited.saturating_sub(1);
        Some(page)
    }

    /// Takes a page; it is all zeros.
    pub fn take<M: Machine>(&mut self, machine: &M) -> Option<SpaPage> {
        let page = self.first?;
        self.first = machine.with_page(page, |p| {
            let next = p.read(0);
            p.write(0, 0);
            decode(next)
        });
        self.free = self.free.saturating_sub(1);
        Some(page)
    }

    /// Puts back a page that was taken, whatever it holds.
    pub fn put_back<M: Machine>(&mut self, machine: &M, page: SpaPage) {
        machine.with_page(page, Page::zero);
        self.put_back_zeroed(machine, page);
    }

    /// Puts back a page that is all zeros.
    fn put_back_zeroed<M: Machine>(&mut self, machine: &M, page: SpaPage) {
        let next = encode(self.first);
        machine.with_page(page, |p| p.write(0, next));
        self.first = Some(page);
        self.free = self.free.saturating_add(1);
    }
}

/// Link word: page number and 1, so that page 0 is not "none".
fn encode(page: Option<SpaPage>) -> u64 {
    page.map_or(0, |p| p.get().wrapping_add(1))
}

fn decode(link: u64) -> Option<SpaPage> {
    link.checked_sub(1).and_then(SpaPage::new)
}

/// A pool as the source of tables. Tables that are freed are kept apart until translation caches were flushed: see
/// [`TableFrames::release`].
pub struct TableFrames<'a, M> {
    machine: &'a M,
    pool: &'a mut Pool,
    freed: Pool,
}

impl<'a, M: Machine> TableFrames<'a, M> {
    /// Takes from `pool`.
    pub const fn new(machine: &'a M, pool: &'a mut Pool) -> Self {
        Self { machine, pool, freed: Pool::new() }
    }
    /// Tables that can be taken.
    pub const fn free(&self) -> u64 {
        self.pool.free
    }
    /// Whether a table was freed.
    pub const fn has_freed(&self) -> bool {
        self.freed.free != 0
    }
    /// Gives what was freed back to the pool; translation caches have been flushed.
    pub fn release(&mut self) {
        while let Some(page) = self.freed.take(self.machine) {
            self.pool.put_back_zeroed(self.machine, page);
        }
    }
}

impl<M: Machine> FrameAllocator for TableFrames<'_, M> {
    fn allocate(&mut self) -> Option<SpaPage> {
        self.pool.take(self.machine)
    }
    fn free(&mut self, page: SpaPage) {
        self.freed.put_back_zeroed(self.machine, page);
    }
}

/// Tables as the processor's window shows them.
pub struct Tables<'a, M>(pub &'a M);

impl<M: Machine> TableMemory for Tables<'_, M> {
    #[inline]
    fn read(&mut self, table: SpaPage, index: usize) -> u64 {
        self.0.with_page(table, |p| p.read(index))
    }
    #[inline]
    fn write(&mut self, table: SpaPage, index: usize, entry: u64) {
        self.0.with_page(table, |p| p.write(index, entry));
    }
}
