//! Memory that devices read and write.
//!
//! Every access is bounds-checked and by raw pointer: no reference into such memory ever exists, because a device (or,
//! for the segments of a request, a guest) may change it at any time.
#![expect(unsafe_code, reason = "memory shared with devices is reached by raw pointers only")]

use crate::block::PhysicalSegment;
use core::ptr::NonNull;
use zerocopy::{FromBytes, IntoBytes};

#[cfg(not(test))]
use crate::memory::Pages;

/// Physically contiguous zeroed RAM, a whole number of pages; freed when it is dropped, so its owner drops it only when
/// no request refers to it.
pub struct DmaBuffer {
    pages: Pages,
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: the buffer owns its pages, and all access is by value through volatile or raw copies.
unsafe impl Send for DmaBuffer {}
// SAFETY: as above; racing accesses give unspecified bytes, never a broken reference.
unsafe impl Sync for DmaBuffer {}

impl DmaBuffer {
    /// At least `length` bytes; `None`: no such run of free memory.
    #[must_use]
    pub fn allocate(length: usize) -> Option<Self> {
        Self::allocate_below(length, u64::MAX)
    }

    /// As [`DmaBuffer::allocate`], below physical address `limit`.
    #[must_use]
    pub fn allocate_below(length: usize, limit: u64) -> Option<Self> {
        let count = length.div_ceil(4096).max(1);
        let pages = Pages::allocate_below(count, limit)?;
        let base = physical(pages.address())?;
        Some(Self { pages, base, length: count * 4096 })
    }

    /// System-physical address of its first byte; page aligned.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.pages.address()
    }

    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    fn at(&self, offset: usize, length: usize) -> NonNull<u8> {
        let end = offset.checked_add(length).expect("offsets are far below the address space's end");
        assert!(end <= self.length, "a driver's offset lies within its buffer");
        // SAFETY: `offset` is within the buffer, which is one allocation.
        unsafe { self.base.add(offset) }
    }

    /// The value at `offset`, read once.
    #[must_use]
    pub fn get<T: FromBytes>(&self, offset: usize) -> T {
        let pointer = self.at(offset, size_of::<T>()).cast::<T>();
        assert!(pointer.is_aligned(), "a driver's structures are aligned");
        // SAFETY: within the buffer, aligned, and any bytes are a `T`.
        unsafe { pointer.read_volatile() }
    }

    /// Writes the value at `offset`.
    pub fn set<T: IntoBytes>(&self, offset: usize, value: T) {
        let pointer = self.at(offset, size_of::<T>()).cast::<T>();
        assert!(pointer.is_aligned(), "a driver's structures are aligned");
        // SAFETY: within the buffer and aligned; nothing else holds a reference to it.
        unsafe { pointer.write_volatile(value) }
    }

    /// Copies out.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) {
        let from = self.at(offset, bytes.len());
        // SAFETY: `from` is good for that many bytes, and `bytes` is not part of the buffer (it is borrowed mutably).
        unsafe { from.copy_to_nonoverlapping(NonNull::from(&mut *bytes).cast(), bytes.len()) }
    }

    /// Copies in.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        let to = self.at(offset, bytes.len());
        // SAFETY: `to` is good for that many bytes, and no reference into the buffer exists.
        unsafe { to.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) }
    }
}

/// Which way [`copy_segments`] copies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the buffer.
    ToSegments,
    /// To the buffer.
    FromSegments,
}

/// Copies `length` bytes between `buffer` at `offset` and the bytes of `segments` from the `skip`th on; as many as there
/// are. The segments name RAM of the root partition (a precondition of every request).
pub fn copy_segments(
    direction: Direction,
    buffer: &DmaBuffer,
    offset: usize,
    segments: &[PhysicalSegment],
    skip: u64,
    length: usize,
) {
    let (mut skip, mut offset, mut left) = (skip, offset, length);
    for segment in segments {
        let room = u64::from(segment.length);
        if skip >= room {
            skip -= room;
            continue;
        }
        let piece = left.min((room - skip) as usize);
        let Some(memory) = physical(segment.address + skip) else { return };
        let ours = buffer.at(offset, piece);
        let (from, to) = match direction {
            Direction::ToSegments => (ours, memory),
            Direction::FromSegments => (memory, ours),
        };
        // SAFETY: `ours` is `piece` bytes of the buffer, `memory` `piece` bytes of mapped RAM that the request owns.
        unsafe { from.copy_to(to, piece) };
        (skip, offset, left) = (0, offset + piece, left - piece);
        if left == 0 {
            return;
        }
    }
}

#[cfg(not(test))]
fn physical(address: u64) -> Option<NonNull<u8>> {
    NonNull::new(crate::memory::direct_map(address))
}

/// On the host, "physical" addresses are addresses.
#[cfg(test)]
fn physical(address: u64) -> Option<NonNull<u8>> {
    NonNull::new(core::ptr::with_exposed_provenance_mut(address as usize))
}

#[cfg(test)]
struct Pages(NonNull<u8>, std::alloc::Layout);

#[cfg(test)]
impl Pages {
    /// Host memory is where it is: no limit.
    fn allocate_below(count: usize, _limit: u64) -> Option<Self> {
        let layout = std::alloc::Layout::from_size_align(count * 4096, 4096).ok()?;
        // SAFETY: the layout is not empty.
        let base = unsafe { std::alloc::alloc_zeroed(layout) };
        Some(Self(NonNull::new(base)?, layout))
    }

    fn address(&self) -> u64 {
        self.0.as_ptr().expose_provenance() as u64
    }
}

#[cfg(test)]
impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { std::alloc::dealloc(self.0.as_ptr(), self.1) }
    }
}
