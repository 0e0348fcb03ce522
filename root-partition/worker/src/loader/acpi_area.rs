//! Puts the ACPI tables into their area.

use super::{LoadError, layout};
use crate::acpi::{self, Platform};
use crate::memory::{GuestMemory, gpa};

/// Writes the tables for `vps` processors; the address of the RSDP.
///
/// # Errors
/// [`LoadError::TooLittleMemory`] when the VM has not even the first mebibyte.
pub fn load<M: GuestMemory>(memory: &mut M, vps: u32) -> Result<u64, LoadError> {
    let base = layout::ACPI.get();
    let tables = acpi::tables(base, &Platform { vps, ram: memory.ram() });
    if tables.len() as u64 > layout::RESET_VECTOR.get() - base {
        return Err(LoadError::TooManyProcessors);
    }
    memory.write(gpa(base), &tables)?;
    Ok(base)
}
