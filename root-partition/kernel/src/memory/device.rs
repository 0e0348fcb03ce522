//! Device registers, and stacks of processors, in the kernel's address space. Nothing of either is ever unmapped, so that no
//! processor has a translation of it to forget.

use super::address_space::{Frames, kernel_table};
use super::frames::Pages;
use super::kernel::TablesAt;
use super::{DEVICES, DIRECT_MAP, LARGE_PAGE_SIZE, PAGE_SIZE};
use hv_abi::{Gva, Spa};
use paging::{Attributes, InputPage, PageSize};
use spin::Mutex;

/// The first address that is not in use. Guards the tables of all that is from [`DEVICES`] on. Taken before the allocator of
/// frames.
static NEXT: Mutex<u64> = Mutex::new(DEVICES);

/// Maps `length` bytes of device registers (or firmware tables) at physical `address`, uncached, for good.
#[must_use]
pub fn map_device(address: u64, length: u64) -> Option<*mut u8> {
    map(address, length, Attributes::WRITE | Attributes::UNCACHED)
}

/// Maps the page at physical `address`, which the hypervisor writes to, for reading, for good.
#[must_use]
pub fn map_counters(address: u64) -> Option<*const u8> {
    map(address, PAGE_SIZE as u64, Attributes::empty()).map(<*mut u8>::cast_const)
}

fn map(address: u64, length: u64, attributes: Attributes) -> Option<*mut u8> {
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
        let page = Spa::new(from)?.page();
        let mut memory = TablesAt { offset: DIRECT_MAP };
        let attributes = attributes | Attributes::GLOBAL;
        kernel_table()?.map(&mut memory, &mut Frames, input, page, size, attributes).ok()?;
        from += size.pages() * PAGE_SIZE as u64;
        to += size.pages() * PAGE_SIZE as u64;
    }
    *next = to;
    Some(core::ptr::with_exposed_provenance_mut((start + (address - first)) as usize))
}

/// Maps a stack of `bytes` for good, with a page below it that is not mapped; one above its last byte.
pub(crate) fn map_stack(bytes: usize) -> Option<u64> {
    let pages = Pages::allocate(bytes.div_ceil(PAGE_SIZE))?;
    let mut next = NEXT.lock();
    let start = next.next_multiple_of(PAGE_SIZE as u64) + PAGE_SIZE as u64;
    for offset in (0..pages.count()).map(|page| (page * PAGE_SIZE) as u64) {
        let input = InputPage::from_gva(Gva::new(start + offset)?);
        let page = Spa::new(pages.address() + offset)?.page();
        let mut memory = TablesAt { offset: DIRECT_MAP };
        let attributes = Attributes::WRITE | Attributes::GLOBAL;
        kernel_table()?.map(&mut memory, &mut Frames, input, page, PageSize::Size4K, attributes).ok()?;
    }
    *next = start + (pages.count() * PAGE_SIZE) as u64;
    pages.leak();
    Some(*next)
}
