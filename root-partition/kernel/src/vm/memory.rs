//! A guest's RAM: large pages of the root's, kept in the kernel's direct map.

use crate::executor;
use crate::executor::gone::{Going, Gone};
use crate::memory::{LARGE_PAGE_SIZE, PAGE_SIZE, Pages, free_bytes};
use crate::vmbus::Locate;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use syscall::{Error, RAM_HOLE, VM_MEMORY_GRANULE};

const LARGE: u64 = LARGE_PAGE_SIZE as u64;
/// RAM that is left to the root when a guest gets its own.
const RESERVE: u64 = 32 << 20;
/// RAM that is left to the root for each guest: what one can make the kernel keep for it, with room to spare. Most are the
/// requests for its disks, which the controller bounds: about 1 MiB for the primary channel, a quarter for each of the others.
const RESERVE_OF_EACH: u64 = 8 << 20;

/// How many guests have RAM.
static GUESTS: AtomicU64 = AtomicU64::new(0);

/// What is left to the root beside so many guests.
const fn reserve(guests: u64) -> u64 {
    RESERVE + guests * RESERVE_OF_EACH
}

/// Bytes of RAM that one more guest can get.
pub fn available() -> u64 {
    free_bytes().saturating_sub(reserve(GUESTS.load(Ordering::Relaxed) + 1))
}

/// One of the guests that are counted.
struct Counted;

impl Counted {
    /// Counts one more; how many there are with it.
    fn new() -> (Self, u64) {
        (Self, GUESTS.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        GUESTS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A run of a guest's RAM that is contiguous on both sides.
pub type Chunk = (u64, u64, u64);

struct Ram {
    /// One for each large page, by guest-physical address without the hole.
    pages: Vec<Pages>,
    /// Guest-physical address, physical address, length; sorted.
    chunks: Vec<Chunk>,
    _counted: Counted,
    /// Whoever has anything of the VM has its RAM: its partition, its VPs' tasks, the disks that it has asked for something.
    going: Going,
}

/// A guest's RAM; it is free again when the last clone is dropped.
#[derive(Clone)]
pub struct GuestMemory(Arc<Ram>);

impl GuestMemory {
    /// `bytes` of zeroed RAM from guest-physical address 0 up, with [`RAM_HOLE`] left out. Zeroing takes long: others
    /// run meanwhile.
    ///
    /// # Errors
    /// `InvalidArgument`: not a multiple of the granule; `OutOfMemory`.
    pub async fn allocate(bytes: u64) -> Result<Self, Error> {
        if bytes == 0 || !bytes.is_multiple_of(VM_MEMORY_GRANULE) {
            return Err(Error::InvalidArgument);
        }
        let (counted, guests) = Counted::new();
        if bytes.saturating_add(reserve(guests)) > free_bytes() {
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
            if executor::program_must_give_way() {
                executor::yield_now().await;
            }
        }
        Ok(Self(Arc::new(Ram { pages, chunks, _counted: counted, going: Going::default() })))
    }

    /// Tells when nobody has it any more and its pages are free: the VM is gone.
    #[must_use]
    pub fn gone(&self) -> Arc<Gone> {
        self.0.going.gone()
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
