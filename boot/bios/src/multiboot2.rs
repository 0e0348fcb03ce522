//! Started by GRUB: the boot information, by its physical address.
#![expect(unsafe_code, reason = "the boot information and the module are named by physical addresses")]

use handoff::{HandOff, RegionKind};
use loader::multiboot2::Information;
use loader::{PAGE, PhysicalMemory, memory_map};

use crate::memory::Memory;
use crate::{Failure, failure};

/// Fills in `hand_off` from the boot information at `address`; the archive.
pub fn read(address: u32, hand_off: &mut HandOff) -> Result<&'static [u8], Failure> {
    // SAFETY: the boot protocol puts the information there; it begins with its size.
    let size = unsafe { bytes(address, 4) };
    let size = size.first_chunk().map_or(0, |size| u32::from_le_bytes(*size));
    // SAFETY: the boot protocol gives that many bytes; nobody writes them once they are reserved, below.
    let information = unsafe { bytes(address, size) };
    let information = Information::new(information).ok_or(failure("", "damaged boot information"))?;
    hand_off.set_command_line(information.command_line()).map_err(|problem| failure("", problem))?;
    hand_off.framebuffer = information.framebuffer();
    crate::set_memory_map(hand_off, information.memory_map());
    memory_map::reserve(hand_off, address.into(), size.into(), RegionKind::LOADER);
    let (start, end) =
        information.module().ok_or(failure("", "no module: give the archive with GRUB's module2"))?;
    memory_map::reserve(hand_off, start.into(), (end - start).into(), RegionKind::LOADER);
    if let Some(pointer) = information.rsdp() {
        hand_off.rsdp = keep(pointer, hand_off)?;
    }
    // SAFETY: the boot protocol gives a module's bytes, in memory that stays as it is.
    Ok(unsafe { bytes(start, end - start) })
}

/// Copies the ACPI root pointer, of which the boot information has a copy, to a page that outlives this loader.
fn keep(pointer: &[u8], hand_off: &mut HandOff) -> Result<u64, Failure> {
    let mut memory = Memory::new(hand_off, RegionKind::ACPI);
    let page = memory.allocate(PAGE, PAGE).ok_or(failure("", "not enough free memory"))?;
    let length = pointer.len().min(PAGE as usize);
    memory.bytes(page, length as u64).copy_from_slice(&pointer[..length]);
    Ok(page)
}

/// Memory below 4 GiB.
///
/// # Safety
/// The boot protocol gave it, and nobody writes it.
unsafe fn bytes(address: u32, length: u32) -> &'static [u8] {
    let start = core::ptr::with_exposed_provenance::<u8>(address as usize);
    // SAFETY: the caller's promise; all of the first 4 GiB is identity mapped.
    unsafe { core::slice::from_raw_parts(start, length as usize) }
}
