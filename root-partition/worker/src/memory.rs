//! Guest memory as the worker sees it: an address space that another party writes at the same time.
//!
//! 1. Nothing keeps a reference into guest memory; bytes are copied out once and then judged.
//! 2. An address is worth nothing until [`GuestMemory`] has checked it against the RAM and its hole.

use core::ops::Range;
use hv_abi::Gpa;
use hv_abi::address::PHYSICAL_BITS;
use syscall::{Error, RAM_HOLE};

/// The guest-physical address `address`; one that no guest can have becomes the last one, which is never RAM.
#[must_use]
pub const fn gpa(address: u64) -> Gpa {
    match Gpa::new(address) {
        Some(gpa) => gpa,
        None => LAST,
    }
}

/// The last guest-physical address.
const LAST: Gpa = Gpa::new((1 << PHYSICAL_BITS) - 1).expect("it has 52 bits");

/// The address is not RAM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotRam;

/// A file that the worker reads.
pub trait File {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the kernel says.
    fn length(&self) -> Result<u64, Error>;

    /// Reads exactly `into.len()` bytes from `offset` on.
    ///
    /// # Errors
    /// What the kernel says; reading beyond the end is an error.
    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Error>;
}

/// The RAM of the VM.
pub trait GuestMemory {
    /// What can be loaded into it.
    type File: File;

    /// RAM in bytes.
    fn ram(&self) -> u64;

    /// Copies `into.len()` bytes out.
    ///
    /// # Errors
    /// [`NotRam`] when one of them is none; `into` is then unspecified.
    fn read(&self, at: Gpa, into: &mut [u8]) -> Result<(), NotRam>;

    /// Copies `from` in.
    ///
    /// # Errors
    /// [`NotRam`] when one byte has no room there; nothing is written then.
    fn write(&mut self, at: Gpa, from: &[u8]) -> Result<(), NotRam>;

    /// The eight bytes at an address that is a multiple of eight, in one access.
    fn read_u64(&self, at: Gpa) -> Option<u64>;

    /// Reads `length` bytes of `file` from `offset` on to `at`.
    ///
    /// # Errors
    /// `BadAddress` when it is not all RAM, or what the kernel says.
    fn load(&mut self, at: Gpa, file: &Self::File, offset: u64, length: u64) -> Result<(), Error>;
}

/// The guest-physical ranges of `ram` bytes of RAM: below and above the hole; the second may be empty.
#[must_use]
pub fn ranges(ram: u64) -> [Range<u64>; 2] {
    let low = ram.min(RAM_HOLE.start);
    [0..low, RAM_HOLE.end..RAM_HOLE.end.saturating_add(ram - low)]
}

/// Whether `length` bytes at `at` are all RAM of a VM with `ram` bytes.
#[must_use]
pub fn is_ram(ram: u64, at: Gpa, length: u64) -> bool {
    let Some(end) = at.get().checked_add(length) else {
        return false;
    };
    ranges(ram).iter().any(|range| range.start <= at.get() && end <= range.end)
}

#[cfg(test)]
mod tests {
    use super::{gpa, is_ram, ranges};

    #[test]
    fn ram_continues_above_the_hole() {
        assert_eq!(ranges(256 << 20), [0..256 << 20, 4 << 30..4 << 30]);
        assert_eq!(ranges(5 << 30), [0..3 << 30, 4 << 30..6 << 30]);
        assert!(is_ram(5 << 30, gpa((6 << 30) - 8), 8));
        assert!(!is_ram(5 << 30, gpa((6 << 30) - 8), 9));
        assert!(!is_ram(5 << 30, gpa((3 << 30) - 8), 9));
        assert!(!is_ram(5 << 30, gpa(3 << 30), 1));
        assert!(!is_ram(5 << 30, gpa(u64::MAX), 8));
    }
}
