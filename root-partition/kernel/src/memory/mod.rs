//! Memory: page frames, the direct map of RAM, device mappings, the heap, and address spaces of processes.
//!
//! Virtual addresses, from below: programs up to 2^47; RAM at its physical address from [`DIRECT_MAP`] on; devices from
//! [`DEVICES`] on; the kernel's image in the last 2 GiB. The upper half is the same in every address space.

pub mod buddy;
mod gone;
pub mod mmio;

#[cfg(not(test))]
mod address_space;
#[cfg(not(test))]
mod device;
#[cfg(not(test))]
mod frames;
#[cfg(not(test))]
mod heap;
#[cfg(not(test))]
mod kernel;

#[cfg(not(test))]
pub(crate) use address_space::start as start_address_spaces;
#[cfg(not(test))]
pub use address_space::{AddressSpace, MapError, Mapping, UserAccess};
#[cfg(not(test))]
pub(crate) use address_space::{activate_kernel, kernel_root, leave_gone};
#[cfg(not(test))]
pub(crate) use device::map_stack;
#[cfg(not(test))]
pub use device::{map_counters, map_device};
#[cfg(not(test))]
pub use frames::{Pages, free_bytes, total_bytes};
#[cfg(not(test))]
pub(crate) use frames::{add_region, give_back, start as start_frames, take};
#[cfg(not(test))]
pub(crate) use kernel::build as build_kernel_tables;
#[cfg(not(test))]
pub(crate) use mmio::map as map_registers;
pub use paging::PageSize;

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;
/// Bytes in a large page.
pub const LARGE_PAGE_SIZE: usize = 2 << 20;
/// Where physical address 0 is mapped.
pub const DIRECT_MAP: u64 = 0xFFFF_8000_0000_0000;
/// Where device registers are mapped from.
pub const DEVICES: u64 = 0xFFFF_C000_0000_0000;

/// Where the RAM at physical `address` is mapped. Null for what is no physical address.
#[must_use]
#[inline]
pub fn direct_map(address: u64) -> *mut u8 {
    if address >= DEVICES - DIRECT_MAP {
        return core::ptr::null_mut();
    }
    core::ptr::with_exposed_provenance_mut((DIRECT_MAP + address) as usize)
}

/// The physical address of what is in the direct map.
#[must_use]
#[inline]
pub fn physical<T>(pointer: *const T) -> u64 {
    pointer.addr() as u64 - DIRECT_MAP
}
