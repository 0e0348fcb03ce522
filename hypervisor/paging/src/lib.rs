//! One four-level page-table implementation, generic over the entry format; and the walk of a guest's own tables, whatever
//! its paging mode ([`guest_walk`]).
//!
//! The hypervisor's own tables, the root kernel's, and the second-level tables of both vendors differ only in the bits
//! of an entry ([`EntryFormat`]); the algorithms here are shared. Memory is a parameter ([`TableMemory`]), so that a
//! test hands in a fake that records each write. What is kept at each single write, so that a processor walking the
//! table at the same time never sees a half-made state:
//!
//! 1. A table is complete before the entry that points to it is written; an entry changes by one 64-bit write.
//! 2. An input address that stays mapped across an operation translates alike before, during and after it.
//! 3. A table is unlinked before it is freed. The caller flushes translation caches before a freed table or an
//!    unmapped page is used for anything else ([`FrameAllocator::free`]).
//! 4. A call that fails has changed nothing but the size of pages.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::unwrap_used, clippy::arithmetic_side_effects))]

mod format;
pub mod guest_walk;
mod map;
mod share;
mod table;
mod teardown;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use format::{Attributes, EntryFormat, Ept, Host, Npt};
pub use table::{InputPage, Leaf, PageSize, PageTable};
pub use teardown::Progress;

use hv_abi::SpaPage;

/// Entries of a table.
pub const ENTRIES: usize = 512;

/// The memory that tables are in.
pub trait TableMemory {
    /// Entry `index` (below [`ENTRIES`]) of the table in `table`.
    fn read(&mut self, table: SpaPage, index: usize) -> u64;
    /// Writes it with one 64-bit store, after all stores before it are visible.
    fn write(&mut self, table: SpaPage, index: usize, entry: u64);
}

/// Where tables come from and go.
pub trait FrameAllocator {
    /// A page filled with zeros.
    fn allocate(&mut self) -> Option<SpaPage>;
    /// Takes back a page filled with zeros. It was unlinked, but translation caches may still know it: it must not be
    /// used before they are flushed.
    fn free(&mut self, page: SpaPage);
}

impl<T: FrameAllocator + ?Sized> FrameAllocator for &mut T {
    fn allocate(&mut self) -> Option<SpaPage> {
        (**self).allocate()
    }
    fn free(&mut self, page: SpaPage) {
        (**self).free(page);
    }
}

/// Why a call changed nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The allocator has no page for a table.
    OutOfFrames,
    /// The input address or the page is not aligned to the size.
    Misaligned,
    /// A table of smaller pages is where a large page should go.
    TableInTheWay,
    /// Nothing is mapped there.
    NotMapped,
    /// The share count of a page is at its maximum.
    Saturated,
}
