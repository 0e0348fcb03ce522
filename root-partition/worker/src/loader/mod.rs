//! Loads the guest: a Linux bzImage by the 64-bit boot protocol, or an ELF kernel through its PVH note.
//!
//! 1. A kernel file is hostile: every number in it is checked against the RAM before it is used.
//! 2. File contents go straight into guest memory, in pieces; the worker keeps headers only.
//! 3. What the loader puts below 1 MiB is where [`layout`] says, and the memory map keeps it RAM or ACPI data.

pub mod acpi_area;
mod boot_params;
mod bzimage;
mod elf;
mod error;
pub mod layout;
mod memory_map;
mod registers;
mod reset_vector;

pub use error::LoadError;
pub use memory_map::{MemoryRange, RangeKind, memory_map};
pub use registers::VpState;

use crate::memory::{File, GuestMemory};
use hv_abi::Gpa;
use layout::CHUNK;

/// What the guest shall be given.
#[derive(Clone, Copy, Debug)]
pub struct Guest<'a> {
    /// Virtual processors.
    pub vps: u32,
    /// The kernel's command line.
    pub cmdline: &'a str,
}

/// Puts kernel, initrd, command line and ACPI tables into `memory`; how the first VP starts.
///
/// # Errors
/// Why the guest cannot be started, for the person who asked.
pub fn load<M: GuestMemory>(
    memory: &mut M,
    guest: &Guest<'_>,
    kernel: &M::File,
    initrd: Option<&M::File>,
) -> Result<VpState, LoadError> {
    let length = kernel.length().map_err(LoadError::Kernel)?;
    let mut head = [0; 4];
    if length < head.len() as u64 {
        return Err(LoadError::NotAKernel("the file is too short"));
    }
    kernel.read(0, &mut head).map_err(LoadError::Kernel)?;
    reset_vector::load(memory)?;
    if head == *b"\x7FELF" {
        elf::load(memory, guest, kernel, initrd)
    } else {
        bzimage::load(memory, guest, kernel, initrd)
    }
}

/// Copies part of the kernel file into guest memory, in pieces.
fn copy_kernel<M: GuestMemory>(
    memory: &mut M,
    at: Gpa,
    kernel: &M::File,
    offset: u64,
    length: u64,
) -> Result<(), LoadError> {
    copy(memory, at, kernel, offset, length).map_err(LoadError::Kernel)
}

fn copy<M: GuestMemory>(
    memory: &mut M,
    at: Gpa,
    file: &M::File,
    offset: u64,
    length: u64,
) -> Result<(), syscall::Error> {
    let mut done = 0;
    while done < length {
        let piece = (length - done).min(CHUNK);
        let to = at.checked_add(done).ok_or(syscall::Error::BadAddress)?;
        let from = offset.checked_add(done).ok_or(syscall::Error::InvalidArgument)?;
        memory.load(to, file, from, piece)?;
        done += piece;
    }
    Ok(())
}

/// Where the initrd is and how long, both 0 when there is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Initrd {
    start: u64,
    length: u64,
}

/// Loads the initrd as high as possible below `limit` and the RAM hole, above `kernel_end`.
fn load_initrd<M: GuestMemory>(
    memory: &mut M,
    initrd: Option<&M::File>,
    kernel_end: u64,
    limit: u64,
) -> Result<Initrd, LoadError> {
    let Some(file) = initrd else {
        return Ok(Initrd::default());
    };
    let length = file.length().map_err(LoadError::Initrd)?;
    let [low, _] = crate::memory::ranges(memory.ram());
    let top = low.end.min(limit);
    let start = top.checked_sub(length).map(|start| start & !0xFFF).filter(|&start| start >= kernel_end);
    let Some(start) = start else {
        return Err(LoadError::TooLittleMemory {
            needed: kernel_end.saturating_add(length),
            ram: memory.ram(),
        });
    };
    copy(memory, crate::memory::gpa(start), file, 0, length).map_err(LoadError::Initrd)?;
    Ok(Initrd { start, length })
}

/// Puts the command line, with its terminating zero, where [`layout`] says.
fn load_cmdline<M: GuestMemory>(memory: &mut M, cmdline: &str, max: usize) -> Result<(), LoadError> {
    let max = max.min(layout::CMDLINE_MAX);
    if cmdline.len() > max {
        return Err(LoadError::CommandLine { max });
    }
    if cmdline.contains('\0') {
        return Err(LoadError::CommandLineZero);
    }
    memory.write(layout::CMDLINE, cmdline.as_bytes())?;
    memory.write(crate::memory::gpa(layout::CMDLINE.get() + cmdline.len() as u64), &[0])?;
    Ok(())
}

#[cfg(test)]
mod tests;
