//! What every boot loader of Bulkhead does: ELF images, page tables, the hypervisor's address space, the hand-off
//! structure, and finding out what the hypervisor has to know of the machine, so that none of that is in the hypervisor.
//!
//! Invariants:
//! * Nothing but [`mod@enter`], `hypervisor`, [`clock`] and [`machine`] touches hardware or firmware: memory is reached through
//!   [`PhysicalMemory`], so the rest runs in host tests.
//! * A file from the boot medium can hold anything; what is wrong with it comes back as a [`LoadError`].
#![no_std]

#[cfg(test)]
extern crate std;

pub mod acpi;
pub mod clock;
pub mod cpio;
pub mod enter;
mod hypervisor;
pub mod image;
pub mod machine;
pub mod memory_map;
pub mod multiboot2;
pub mod space;
pub mod startup;
pub mod tables;
pub mod tsc;

use core::fmt;

/// Bytes in a page.
pub const PAGE: u64 = 4096;
/// Bytes in a large page.
pub const LARGE_PAGE: u64 = 2 << 20;

/// Memory as a loader sees it: all of it, by physical address.
pub trait PhysicalMemory {
    /// Takes `bytes` of free RAM at a multiple of `alignment` and zeroes it; its address.
    fn allocate(&mut self, bytes: u64, alignment: u64) -> Option<u64>;

    /// RAM that was allocated, to write to.
    fn bytes(&mut self, address: u64, length: u64) -> &mut [u8];

    /// Reads a table entry that was written before.
    fn read(&mut self, address: u64) -> u64 {
        let mut value = [0; 8];
        value.copy_from_slice(self.bytes(address, 8));
        u64::from_le_bytes(value)
    }

    /// Writes a table entry.
    fn write(&mut self, address: u64, value: u64) {
        self.bytes(address, 8).copy_from_slice(&value.to_le_bytes());
    }
}

/// Why a file could not be loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoadError {
    /// Not an ELF file for x86-64, or cut off.
    NotElf,
    /// It has no loadable segment, or segments that overlap or wrap around.
    Segments,
    /// Its entry point lies in none of its segments.
    Entry,
    /// Not enough free memory.
    Memory,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotElf => "not a complete ELF file for x86-64",
            Self::Segments => "its segments make no sense",
            Self::Entry => "its entry point is outside of it",
            Self::Memory => "not enough free memory",
        })
    }
}
