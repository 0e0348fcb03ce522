//! Device registers in the kernel's address space.

use super::address_space::{Frames, kernel_table};
use super::kernel::TablesAt;
use super::{DEVICES, DIRECT_MAP, LARGE_PAGE_SIZE, PAGE_SIZE};
use hv_abi::{Gva, Spa};
use paging::{Attributes, InputPage, PageSize};
use spin::Mutex;

/// The first address that is not in use. Taken before the allocator of frames.
static NEXT: Mutex<u64> = Mutex::new(DEVICES);

/// Maps `length` bytes of device registers (or firmware tables) at physical `address`, uncached, for good.
#[must_use]
pub fn map_device(address: u64, length: u64) -> Option<*mut u8> {
    let first = address & !(PAGE_SIZE as u64 - 1);
    let end = address.checked_add(length)?.checked_next_multiple_of(PAGE_SIZE as u64)?;
    let mut next = NEXT.lock();
    // The same offset within a large page, so that large pages can be used.
    let large = LARGE_PAGE_SIZE as u64;
    let start = next.next_multiple_of(large) + first % large;
    let (mut from, mut to) = (first, start);
    while from < end {
        let fits = from % large == 0 && end - from >= large;
        let size = if fits { PageSize::Size2M } else { PageSize::Size4K };
        let input = InputPage::from_gva(Gva::new(to)?);
        let attributes = Attributes::WRITE | Attributes::UNCACHED | Attributes::GLOBAL;
        let page = Spa::new(from)?.page();
        let mut memory = TablesAt { offset: DIRECT_MAP };
        kernel_table()?.map(&mut memory, &mut Frames, input, page, size, attributes).ok()?;
        from += size.pages() * PAGE_SIZE as u64;
        to += size.pages() * PAGE_SIZE as u64;
    }
    *next = to;
    Some(core::ptr::with_exposed_provenance_mut((start + (address - first)) as usize))
}
