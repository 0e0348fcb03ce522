//! A ring: one header page and the pages of its data, in the guest's memory, written by one end and read by the other.
//!
//! The header holds `write_index` and `read_index`, byte offsets in the data, multiples of 8; `interrupt_mask`, by
//! which the reader says "do not signal"; and `pending_send_size`, by which the writer says "signal when more than this
//! is free". The ring is empty when the indices are equal and never becomes full.
//!
//! **Signals.** The writer publishes its index, fences, and signals if the reader's mask is 0 and the reader had read
//! all that was there before (only then can it have gone to sleep). The reader sets the mask, reads, publishes, clears
//! the mask, fences and looks once more. Each side stores, fences and then loads what the other stores, so at least
//! one of them sees the other: no wake-up is lost. The same with `pending_send_size` for a full ring.

mod reader;
mod writer;

pub use reader::{Drained, Packet, Reader};
pub use writer::{Full, Writer};

use crate::gpadl::Gpadl;
use crate::memory::{PAGE_SIZE, Page};
use alloc::sync::Arc;

/// Byte offsets in the header page.
pub mod header {
    /// Where the writer goes on.
    pub const WRITE_INDEX: usize = 0;
    /// Where the reader goes on.
    pub const READ_INDEX: usize = 4;
    /// Not 0: the reader wants no signal.
    pub const INTERRUPT_MASK: usize = 8;
    /// Bytes that the writer waits for; 0: it does not.
    pub const PENDING_SEND_SIZE: usize = 12;
    /// Bit 0: the reader looks at `pending_send_size`.
    pub const FEATURE_BITS: usize = 64;
}

/// Bytes that follow each packet: where it began, in the upper half of a word.
const TRAILER: u32 = 8;
/// Bytes of a page, as indices count.
const PAGE: u32 = PAGE_SIZE as u32;

/// The peer has broken the ring: an index or a packet that cannot be. What follows is not known, so it is not used any
/// more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken;

/// The pages of a ring. Every access is by the offset of a byte in the data, and wraps.
#[derive(Debug)]
struct Area<P> {
    pages: Arc<[P]>,
    /// Index of the first page of data; the header is before it.
    data: usize,
    /// Bytes of data.
    size: u32,
}

impl<P: Page> Area<P> {
    /// The ring in `count` of `gpadl`'s pages from page `first` on; `None` when they are not there or make no ring.
    fn new(gpadl: &Gpadl<P>, first: u32, count: u32) -> Option<Self> {
        let end = first.checked_add(count)?;
        let data_pages = count.checked_sub(1).filter(|&pages| pages > 0)?;
        if end as usize > gpadl.pages().len() {
            return None;
        }
        let size = data_pages.checked_mul(PAGE).filter(|&size| size < 1 << 31)?;
        Some(Self { pages: Arc::clone(gpadl.pages()), data: first as usize + 1, size })
    }

    fn load(&self, offset: usize) -> u32 {
        self.pages.get(self.data - 1).map_or(0, |page| page.load(offset))
    }

    fn store(&self, offset: usize, value: u32) {
        if let Some(page) = self.pages.get(self.data - 1) {
            page.store(offset, value);
        }
    }

    /// An index, read once and checked.
    fn load_index(&self, offset: usize) -> Result<u32, Broken> {
        let index = self.load(offset);
        if index < self.size && index.is_multiple_of(8) { Ok(index) } else { Err(Broken) }
    }

    /// Bytes from `from` to `to`, both indices.
    #[inline]
    fn distance(&self, from: u32, to: u32) -> u32 {
        if to >= from { to - from } else { self.size - from + to }
    }

    /// The index `bytes` after `at`; `bytes` is at most the size.
    #[inline]
    fn advance(&self, at: u32, bytes: u32) -> u32 {
        self.wrap(at + bytes)
    }

    /// The page that holds the `length` bytes from index `at` on, and the offset in it, when it is one.
    #[inline]
    fn one_page(&self, at: u32, length: usize) -> Option<(&P, usize)> {
        let offset = (at % PAGE) as usize;
        let page = self.pages.get(self.data + (at / PAGE) as usize)?;
        (length <= PAGE_SIZE - offset).then_some((page, offset))
    }

    /// The index that `at`, which is less than twice the size, stands for.
    #[inline]
    fn wrap(&self, at: u32) -> u32 {
        if at >= self.size { at - self.size } else { at }
    }

    /// Copies bytes that may cross pages, or wrap.
    #[cold]
    #[inline(never)]
    fn read(&self, at: u32, mut bytes: &mut [u8]) {
        let mut at = self.wrap(at);
        while !bytes.is_empty() {
            let room = PAGE_SIZE - (at % PAGE) as usize;
            let (now, rest) = bytes.split_at_mut(bytes.len().min(room));
            if let Some((page, offset)) = self.one_page(at, now.len()) {
                page.read(offset, now);
            }
            at = self.advance(at, now.len() as u32);
            bytes = rest;
        }
    }

    /// Copies bytes that may cross pages, or wrap.
    #[cold]
    #[inline(never)]
    fn write(&self, at: u32, mut bytes: &[u8]) {
        let mut at = self.wrap(at);
        while !bytes.is_empty() {
            let room = PAGE_SIZE - (at % PAGE) as usize;
            let (now, rest) = bytes.split_at(bytes.len().min(room));
            if let Some((page, offset)) = self.one_page(at, now.len()) {
                page.write(offset, now);
            }
            at = self.advance(at, now.len() as u32);
            bytes = rest;
        }
    }
}

#[cfg(test)]
mod tests;
