//! A guest's memory for tests: pages of atomics, shared by both ends.

use crate::memory::{Memory, PAGE_SIZE, Page};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering};
use hv_abi::GpaPage;

/// The first pages of a guest's memory.
#[derive(Clone)]
pub struct FakeMemory {
    pages: Arc<[FakePage]>,
}

/// One of them.
#[derive(Clone)]
pub struct FakePage(Arc<[AtomicU32]>);

impl FakeMemory {
    /// `pages` zeroed pages.
    #[must_use]
    pub fn new(pages: usize) -> Self {
        Self { pages: (0..pages).map(|_| FakePage::new()).collect() }
    }

    /// Copies out of guest-physical memory; what is not there reads as 0.
    #[must_use]
    pub fn read(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = alloc::vec![0; length];
        self.each(address, length, |page, offset, piece| page.read(offset, &mut bytes[piece]));
        bytes
    }

    /// Copies into guest-physical memory.
    pub fn write(&self, address: u64, bytes: &[u8]) {
        self.each(address, bytes.len(), |page, offset, piece| page.write(offset, &bytes[piece]));
    }

    /// Calls `copy` for each piece that lies in one page.
    fn each(&self, address: u64, length: usize, mut copy: impl FnMut(&FakePage, usize, Range<usize>)) {
        let mut at = 0;
        while at < length {
            let byte = address.wrapping_add(at as u64);
            let offset = (byte % PAGE_SIZE as u64) as usize;
            let now = (length - at).min(PAGE_SIZE - offset);
            if let Some(page) = self.pages.get((byte / PAGE_SIZE as u64) as usize) {
                copy(page, offset, at..at + now);
            }
            at += now;
        }
    }
}

impl Memory for FakeMemory {
    type Page = FakePage;

    fn page(&self, page: GpaPage) -> Option<FakePage> {
        self.pages.get(usize::try_from(page.get()).ok()?).cloned()
    }
}

impl FakePage {
    /// A zeroed page.
    #[must_use]
    pub fn new() -> Self {
        Self((0..PAGE_SIZE / 4).map(|_| AtomicU32::new(0)).collect())
    }

    /// The byte's word and its shift. Tests want to see a violation of the contract: it panics.
    fn byte(&self, offset: usize) -> (&AtomicU32, u32) {
        (&self.0[offset / 4], (offset % 4 * 8) as u32)
    }
}

impl Default for FakePage {
    fn default() -> Self {
        Self::new()
    }
}

impl Page for FakePage {
    fn load(&self, offset: usize) -> u32 {
        assert!(offset.is_multiple_of(4));
        self.0[offset / 4].load(Ordering::Acquire)
    }

    fn store(&self, offset: usize, value: u32) {
        assert!(offset.is_multiple_of(4));
        self.0[offset / 4].store(value, Ordering::Release);
    }

    fn read(&self, offset: usize, bytes: &mut [u8]) {
        for (at, byte) in bytes.iter_mut().enumerate() {
            let (word, shift) = self.byte(offset + at);
            *byte = (word.load(Ordering::Relaxed) >> shift) as u8;
        }
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        for (at, &byte) in bytes.iter().enumerate() {
            let (word, shift) = self.byte(offset + at);
            let merged = |old| Some(old & !(0xFF << shift) | u32::from(byte) << shift);
            let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, merged);
        }
    }
}
