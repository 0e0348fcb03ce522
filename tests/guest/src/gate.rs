//! Interrupt tables.
#![expect(unsafe_code, reason = "the instruction that loads one")]

use core::arch::asm;

/// A gate: low and high half.
pub type Gate = [u64; 2];

/// An interrupt gate of the kernel's code, as in APM vol. 2, 4.8.4.
pub fn gate(handler: u64) -> Gate {
    [(handler & 0xFFFF) | 8 << 16 | 0x8E00 << 32 | (handler & 0xFFFF_0000) << 32, handler >> 32]
}

/// Makes this processor use the table at `table`, whose last byte is at `limit`.
///
/// # Safety
/// What comes finds a gate there for as long as the table is loaded.
pub unsafe fn load(table: u64, limit: u16) {
    let mut pointer = [0_u8; 10];
    pointer[..2].copy_from_slice(&limit.to_le_bytes());
    pointer[2..].copy_from_slice(&table.to_le_bytes());
    // SAFETY: the caller's contract.
    unsafe { asm!("lidt [{}]", in(reg) pointer.as_ptr()) };
}
