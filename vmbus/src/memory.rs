//! A guest's memory, as an end of the bus reaches it.
//!
//! The other end runs at the same time and writes what it likes; nothing read here stays true.

use hv_abi::GpaPage;

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;

/// A guest's RAM.
pub trait Memory: Clone {
    /// One page of it. Owns what keeps the page mapped.
    type Page: Page;

    /// The page with this number; `None` where the guest has no RAM that may be written.
    fn page(&self, page: GpaPage) -> Option<Self::Page>;
}

/// A page of a guest's RAM, mapped for as long as this value lives.
///
/// `offset + length` is at most [`PAGE_SIZE`], and an offset of a word is a multiple of its size: this crate asks for
/// nothing else, and an implementation does nothing (reads zero) for anything else.
pub trait Page: Clone {
    /// Loads a word, with acquire ordering.
    fn load(&self, offset: usize) -> u32;

    /// Stores a word, with release ordering.
    fn store(&self, offset: usize, value: u32);

    /// Copies bytes out. They may tear against the guest's writes.
    fn read(&self, offset: usize, bytes: &mut [u8]);

    /// Copies bytes in.
    fn write(&self, offset: usize, bytes: &[u8]);

    /// A sequentially consistent fence between a store before it and a load after it, as the guest's `mb()`.
    fn fence() {
        core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
    }
}

/// A run of guest-physical memory, as the guest named it: not yet known to be RAM.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GuestRange {
    /// Guest-physical address of its first byte.
    pub address: u64,
    /// Length in bytes, not 0.
    pub length: u32,
}
