//! GPADLs: lists of the guest's pages, pinned once and then used by index.
//!
//! The number of pages follows from `byte_count` and `byte_offset` alone: the length in the header message wraps at
//! 64 KiB and the numbers of body messages are always 0.

use crate::memory::{Memory, PAGE_SIZE, Page};
use alloc::sync::Arc;
use alloc::vec::Vec;
use hv_abi::GpaPage;

/// A complete list. Cloning is cheap; the pages stay pinned until the last clone goes.
#[derive(Debug)]
pub struct Gpadl<P> {
    pages: Arc<[P]>,
    byte_count: u32,
    byte_offset: u32,
}

impl<P> Clone for Gpadl<P> {
    fn clone(&self) -> Self {
        Self { pages: Arc::clone(&self.pages), ..*self }
    }
}

impl<P: Page> Gpadl<P> {
    /// Its pages.
    #[must_use]
    pub fn pages(&self) -> &Arc<[P]> {
        &self.pages
    }

    /// Bytes.
    #[must_use]
    pub fn byte_count(&self) -> u32 {
        self.byte_count
    }

    /// First byte within the first page.
    #[must_use]
    pub fn byte_offset(&self) -> u32 {
        self.byte_offset
    }
}

/// How many pages hold `byte_count` bytes from `byte_offset` on; `None` for an empty list or an offset beyond the first
/// page.
#[must_use]
pub fn page_count(byte_count: u32, byte_offset: u32) -> Option<u32> {
    if byte_count == 0 || byte_offset >= PAGE_SIZE as u32 {
        return None;
    }
    let pages = (u64::from(byte_count) + u64::from(byte_offset)).div_ceil(PAGE_SIZE as u64);
    u32::try_from(pages).ok()
}

/// A list that is arriving, message by message.
#[derive(Debug)]
pub struct Assembly<P> {
    pages: Vec<P>,
    page_count: u32,
    byte_count: u32,
    byte_offset: u32,
}

/// A page number of a GPADL names no RAM of the guest's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotRam;

impl<P: Page> Assembly<P> {
    /// Starts a list; `None` when the numbers make no list of at most `limit` pages.
    #[must_use]
    pub fn new(byte_count: u32, byte_offset: u32, limit: u32) -> Option<Self> {
        let page_count = page_count(byte_count, byte_offset).filter(|&count| count <= limit)?;
        Some(Self { pages: Vec::new(), page_count, byte_count, byte_offset })
    }

    /// How many pages it will have.
    #[must_use]
    pub fn page_count(&self) -> u32 {
        self.page_count
    }

    /// Takes the page numbers of one message, little-endian; those beyond the last page are ignored. Whether the list
    /// is complete.
    ///
    /// # Errors
    /// A page is not RAM.
    pub fn add<M: Memory<Page = P>>(&mut self, memory: &M, numbers: &[u8]) -> Result<bool, NotRam> {
        for number in numbers.as_chunks::<8>().0 {
            if self.is_complete() {
                break;
            }
            let page = GpaPage::new(u64::from_le_bytes(*number)).and_then(|page| memory.page(page));
            self.pages.push(page.ok_or(NotRam)?);
        }
        Ok(self.is_complete())
    }

    fn is_complete(&self) -> bool {
        self.pages.len() >= self.page_count as usize
    }

    /// The list. Call it once it is complete.
    #[must_use]
    pub fn finish(self) -> Gpadl<P> {
        Gpadl { pages: self.pages.into(), byte_count: self.byte_count, byte_offset: self.byte_offset }
    }
}
