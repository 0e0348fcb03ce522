//! Segment descriptors and the task state segment that the probes need.
#![expect(unsafe_code, reason = "descriptor tables are the processor's")]

use core::arch::asm;
use core::cell::UnsafeCell;

/// Code of 32 bits.
pub const CODE_32: u16 = 0x18;
/// Of user mode: code of 32 bits, data, code of 64 bits, in the order of SYSRET.
pub const USER_BASE: u16 = 0x30;
/// Data of user mode, with its privilege level.
pub const USER_DATA: u16 = 0x3B;
/// Code of user mode, with its privilege level.
pub const USER_CODE: u16 = 0x43;
/// The task state segment: two entries.
const TASK: u16 = 0x48;
/// Data that is not present.
pub const ABSENT: u16 = 0x58;
/// Behind the last.
pub const END: u16 = 0x68;

const FLAT_DATA: u64 = 0x00CF_9300_0000_FFFF;

#[repr(C, align(16))]
struct Tables {
    gdt: [u64; 13],
    /// 64-bit TSS, in words of 4 bytes.
    task: [u32; 26],
    stack: [u8; 8192],
}

struct Shared(UnsafeCell<Tables>);

// SAFETY: written by one processor before the processor uses it.
unsafe impl Sync for Shared {}

static TABLES: Shared = Shared(UnsafeCell::new(Tables {
    gdt: [
        0,
        0x00AF_9B00_0000_FFFF,
        FLAT_DATA,
        0x00CF_9B00_0000_FFFF,
        0x0000_9B00_0000_FFFF,
        0x0000_9300_0000_FFFF,
        0x00CF_FB00_0000_FFFF,
        0x00CF_F300_0000_FFFF,
        0x00AF_FB00_0000_FFFF,
        0,
        0,
        FLAT_DATA & !(1 << 47),
        0x0000_8900_0000_0010,
    ],
    task: [0; 26],
    stack: [0; 8192],
}));

/// Address and limit of the table.
pub fn pointer() -> [u8; 10] {
    let mut pointer = [0; 10];
    pointer[..2].copy_from_slice(&(END - 1).to_le_bytes());
    pointer[2..].copy_from_slice(&(TABLES.0.get().addr() as u64).to_le_bytes());
    pointer
}

/// Loads both.
pub fn install() {
    let tables = TABLES.0.get();
    let task = (&raw const TABLES).addr() as u64 + core::mem::offset_of!(Tables, task) as u64;
    let stack = (&raw const TABLES).addr() as u64 + core::mem::offset_of!(Tables, stack) as u64 + 8192;
    // SAFETY: nobody uses the tables yet.
    let tables = unsafe { &mut *tables };
    // RSP0; no bitmap of ports.
    tables.task[1] = stack as u32;
    tables.task[2] = (stack >> 32) as u32;
    tables.task[25] = 104 << 16;
    tables.gdt[9] = 103 | (task & 0xFF_FFFF) << 16 | 0x89 << 40 | (task >> 24 & 0xFF) << 56;
    tables.gdt[10] = task >> 32;
    let pointer = pointer();
    // SAFETY: the selectors in use mean the same in the new table.
    unsafe { asm!("lgdt [{}]", "ltr {:x}", in(reg) pointer.as_ptr(), in(reg) TASK) };
}
