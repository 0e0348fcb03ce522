//! A VM's RAM as its bus and its disks reach it: by guest-physical address, through the kernel's map of all RAM.
//!
//! No reference into it ever exists. Words are atomic, bytes are copied by relaxed atomic loads and stores, since the
//! guest writes when it likes.
#![expect(unsafe_code, reason = "guest memory is reached by raw pointers only")]

use crate::block::Source;
use alloc::sync::Arc;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use hv_abi::GpaPage;
use vmbus::memory::{Memory, PAGE_SIZE, Page};

/// Owns the RAM of a VM, which therefore stays the VM's for as long as any part of the bus or a disk may touch it.
pub trait Locate: Send + Sync {
    /// Where in physical memory the byte at guest-physical address `gpa` is, and how many bytes follow it there;
    /// `None`: it is not RAM.
    fn locate(&self, gpa: u64) -> Option<(u64, u64)>;
}

/// The RAM of a VM.
#[derive(Clone)]
pub struct GuestRam(Arc<dyn Locate>);

impl GuestRam {
    /// The RAM that `owner` owns.
    #[must_use]
    pub fn new(owner: Arc<dyn Locate>) -> Self {
        Self(owner)
    }

    /// See [`Locate::locate`].
    #[must_use]
    #[inline]
    pub fn locate(&self, gpa: u64) -> Option<(u64, u64)> {
        self.0.locate(gpa)
    }

    /// The VM as whose the requests of its disks count.
    #[must_use]
    pub fn source(&self) -> Source {
        Source::of(&*self.0)
    }
}

impl Memory for GuestRam {
    type Page = RamPage;

    fn page(&self, page: GpaPage) -> Option<RamPage> {
        let (physical, left) = self.locate(page.base().get())?;
        if left < PAGE_SIZE as u64 || !physical.is_multiple_of(PAGE_SIZE as u64) {
            return None;
        }
        Some(RamPage { base: pointer(physical)?, _owner: Arc::clone(&self.0) })
    }
}

/// A page of a VM's RAM.
#[derive(Clone)]
pub struct RamPage {
    base: NonNull<u8>,
    _owner: Arc<dyn Locate>,
}

// SAFETY: it owns what keeps the page, and all accesses are atomic.
unsafe impl Send for RamPage {}
// SAFETY: as above.
unsafe impl Sync for RamPage {}

impl RamPage {
    /// Copies out any bytes that the page has.
    #[cold]
    #[inline(never)]
    fn read_bytes(&self, offset: usize, bytes: &mut [u8]) {
        if fits(offset, bytes.len()) {
            for (index, byte) in bytes.iter_mut().enumerate() {
                *byte = self.byte(offset + index).load(Ordering::Relaxed);
            }
        }
    }

    /// Copies in any bytes that the page has.
    #[cold]
    #[inline(never)]
    fn write_bytes(&self, offset: usize, bytes: &[u8]) {
        if fits(offset, bytes.len()) {
            for (index, &byte) in bytes.iter().enumerate() {
                self.byte(offset + index).store(byte, Ordering::Relaxed);
            }
        }
    }

    /// The word at `offset`, when it is one of the page.
    #[inline]
    fn word(&self, offset: usize) -> Option<&AtomicU32> {
        if !offset.is_multiple_of(4) || offset > PAGE_SIZE - 4 {
            return None;
        }
        // SAFETY: within the page.
        let word = unsafe { self.base.add(offset) }.cast::<u32>();
        // SAFETY: mapped RAM for as long as the owner lives, aligned, and reached by atomics only.
        Some(unsafe { AtomicU32::from_ptr(word.as_ptr()) })
    }

    /// The eight bytes at `offset`, a multiple of 8 within the page.
    #[inline]
    fn long(&self, offset: usize) -> &AtomicU64 {
        debug_assert!(offset.is_multiple_of(8) && offset <= PAGE_SIZE - 8, "the caller checked");
        // SAFETY: within the page.
        let long = unsafe { self.base.add(offset) }.cast::<u64>();
        // SAFETY: as in `word`.
        unsafe { AtomicU64::from_ptr(long.as_ptr()) }
    }

    /// The byte at `offset` within the page.
    #[inline]
    fn byte(&self, offset: usize) -> &AtomicU8 {
        debug_assert!(offset < PAGE_SIZE, "the caller checked");
        // SAFETY: within the page.
        let byte = unsafe { self.base.add(offset) };
        // SAFETY: as in `word`.
        unsafe { AtomicU8::from_ptr(byte.as_ptr()) }
    }
}

/// Whether `length` bytes at `offset` are in a page.
#[inline]
fn fits(offset: usize, length: usize) -> bool {
    offset <= PAGE_SIZE && length <= PAGE_SIZE - offset
}

/// Whether `length` bytes at `offset` are whole words of 8 bytes in a page, as most of a ring's are.
#[inline]
fn is_words(offset: usize, length: usize) -> bool {
    (offset | length).is_multiple_of(8) && fits(offset, length)
}

impl Page for RamPage {
    #[inline]
    fn load(&self, offset: usize) -> u32 {
        self.word(offset).map_or(0, |word| word.load(Ordering::Acquire))
    }

    #[inline]
    fn store(&self, offset: usize, value: u32) {
        if let Some(word) = self.word(offset) {
            word.store(value, Ordering::Release);
        }
    }

    #[inline]
    fn read(&self, offset: usize, bytes: &mut [u8]) {
        if !is_words(offset, bytes.len()) {
            return self.read_bytes(offset, bytes);
        }
        for (index, chunk) in bytes.as_chunks_mut().0.iter_mut().enumerate() {
            *chunk = self.long(offset + index * 8).load(Ordering::Relaxed).to_ne_bytes();
        }
    }

    #[inline]
    fn write(&self, offset: usize, bytes: &[u8]) {
        if !is_words(offset, bytes.len()) {
            return self.write_bytes(offset, bytes);
        }
        for (index, chunk) in bytes.as_chunks().0.iter().enumerate() {
            self.long(offset + index * 8).store(u64::from_ne_bytes(*chunk), Ordering::Relaxed);
        }
    }
}

#[cfg(not(test))]
fn pointer(physical: u64) -> Option<NonNull<u8>> {
    NonNull::new(crate::memory::direct_map(physical))
}

/// On the host, "physical" addresses are addresses.
#[cfg(test)]
fn pointer(physical: u64) -> Option<NonNull<u8>> {
    NonNull::new(core::ptr::with_exposed_provenance_mut(physical as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmbus::played::Ram;

    #[test]
    fn bytes_go_where_they_belong_at_any_offset_and_length() {
        let ram = GuestRam::new(Arc::new(Ram::new(2)));
        let page = ram.page(GpaPage::new(1).unwrap()).unwrap();
        for (offset, length) in [(0, 16), (3, 13), (8, 21), (4080, 16), (4095, 1), (7, 0)] {
            let bytes: Vec<u8> = (1..=length as u8).collect();
            page.write(offset, &bytes);
            let mut read = vec![0; length];
            page.read(offset, &mut read);
            assert_eq!(read, bytes, "{offset} {length}");
        }
        page.store(64, 0x0403_0201);
        let mut bytes = [0; 4];
        page.read(64, &mut bytes);
        assert_eq!((bytes, page.load(64)), ([1, 2, 3, 4], 0x0403_0201));
    }

    #[test]
    fn nothing_beyond_the_page_is_touched() {
        let ram = GuestRam::new(Arc::new(Ram::new(2)));
        let [first, second] = [0, 1].map(|page| ram.page(GpaPage::new(page).unwrap()).unwrap());
        first.write(4090, &[7; 7]);
        first.write(usize::MAX, &[7; 8]);
        first.store(4096, 7);
        first.store(2, 7);
        assert_eq!((second.load(0), first.load(4088), first.load(0), first.load(4096)), (0, 0, 0, 0));
        assert!(ram.page(GpaPage::new(2).unwrap()).is_none());
    }
}
