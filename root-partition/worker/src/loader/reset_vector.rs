//! The whole firmware: what a processor would do first after a reset is to reset the machine.
//!
//! Linux takes hardware-reduced ACPI for a sign of UEFI, asks that to reset, and where there is none goes to the reset
//! vector in real mode. Without these bytes it would run through memory for ever.

use super::{LoadError, layout};
use crate::device::power;
use crate::memory::GuestMemory;

/// Writes the code to the reset vector, F000:FFF0.
pub fn load<M: GuestMemory>(memory: &mut M) -> Result<(), LoadError> {
    let [low, high] = power::RESET.to_le_bytes();
    // mov al, RESET_VALUE; mov dx, RESET; out dx, al; hlt; jmp to the hlt.
    let code = [0xB0, power::RESET_VALUE, 0xBA, low, high, 0xEE, 0xF4, 0xEB, 0xFD];
    memory.write(layout::RESET_VECTOR, &code)?;
    Ok(())
}
