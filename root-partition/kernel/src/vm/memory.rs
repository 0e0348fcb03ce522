//! A guest's RAM: large pages of the root's, kept in the kernel's direct map.

use crate::memory::{LARGE_PAGE_SIZE, PAGE_SIZE, Pages, free_bytes};
use crate::vmbus::Locate;
use alloc::sync::Arc;
use alloc::vec::Vec;
use syscall::{Error, RAM_HOLE, VM_MEMORY_GRANULE};

const LARGE: u64 = LARGE_PAGE_SIZE as u64;
/// RAM that is left to the root when a guest gets its own.
const RESERVE: u64 = 32 << 20;

/// A run of a guest's RAM that is contiguous on both sides.
pub type Chunk = (u64, u64, u64);

struct Ram {
    /// One for each large page, by guest-physical address without the hole.
    pages: Vec<Pages>,
    /// Guest-physical address, physical address, length; sorted.
    chunks: Vec<Chunk>,
}

/// A guest's RAM; it is free again when the last clone is dropped.
#[derive(Clone)]
pub struct GuestMemory(Arc<Ram>);

impl GuestMemory {
    /// `bytes` of zeroed RAM from guest-physical address 0 up, with [`RAM_HOLE`] left out.
    ///
    /// # Errors
    /// `InvalidArgument`: not a multiple of the granule; `OutOfMemory`.
    pub fn allocate(bytes: u64) -> Result<Self, Error> {
        if bytes == 0 || !bytes.is_multiple_of(VM_MEMORY_GRANULE) {
            return Err(Error::InvalidArgument);
        }
        if bytes.saturating_add(RESERVE) > free_bytes() {
            return Err(Error::OutOfMemory);
        }
        let count = (bytes / LARGE) as usize;
        let mut pages = Vec::with_capacity(count);
        let mut chunks: Vec<Chunk> = Vec::new();
        for index in 0..count as u64 {
            let page = Pages::allocate(LARGE_PAGE_SIZE / PAGE_SIZE).ok_or(Error::OutOfMemory)?;
            let (gpa, physical) = (place(index * LARGE), page.address());
            match chunks.last_mut() {
                Some((first, from, length)) if *first + *length == gpa && *from + *length == physical => {
                    *length += LARGE;
                }
                _ => chunks.push((gpa, physical, LARGE)),
            }
            pages.push(page);
        }
        Ok(Self(Arc::new(Ram { pages, chunks })))
    }

    /// Its runs, sorted.
    #[must_use]
    pub fn chunks(&self) -> &[Chunk] {
        &self.0.chunks
    }

    /// Where the byte at `gpa` is in physical memory, and how many bytes of RAM follow it there; `None`: no RAM.
    #[must_use]
    #[inline]
    pub fn locate(&self, gpa: u64) -> Option<(u64, u64)> {
        let offset = if gpa < RAM_HOLE.start {
            gpa
        } else {
            gpa.checked_sub(RAM_HOLE.end)?.checked_add(RAM_HOLE.start)?
        };
        let page = self.0.pages.get(usize::try_from(offset / LARGE).ok()?)?;
        let within = offset % LARGE;
        Some((page.address() + within, LARGE - within))
    }
}

impl Locate for GuestMemory {
    fn locate(&self, gpa: u64) -> Option<(u64, u64)> {
        GuestMemory::locate(self, gpa)
    }
}

impl core::fmt::Debug for GuestMemory {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(&self.0.chunks).finish()
    }
}

/// The guest-physical address of byte `offset` of the RAM.
fn place(offset: u64) -> u64 {
    if offset < RAM_HOLE.start { offset } else { offset - RAM_HOLE.start + RAM_HOLE.end }
}
