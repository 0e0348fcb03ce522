//! The last instructions of a loader.
#![expect(unsafe_code, reason = "leaves for another program")]

use core::arch::asm;
use core::arch::x86_64::__cpuid;

use handoff::HandOff;

/// EFER, and its bit that lets page tables forbid execution (APM vol. 2, 3.1.7).
const EFER: u32 = 0xC000_0080;
pub(crate) const NXE: u32 = 1 << 11;

/// Whether this processor has NX (APM vol. 3, CPUID Fn8000_0001_EDX bit 20).
#[must_use]
pub fn has_no_execute() -> bool {
    __cpuid(0x8000_0000).eax > 0x8000_0000 && __cpuid(0x8000_0001).edx & 1 << 20 != 0
}

/// Turns NX on where it is there: the image's tables use it.
fn enable_no_execute() {
    if has_no_execute() {
        // SAFETY: the bit exists, and no table in use has it set by accident.
        unsafe {
            asm!("rdmsr", "or eax, {nxe}", "wrmsr", nxe = const NXE, in("ecx") EFER, out("eax") _, out("edx") _);
        }
    }
}

/// Enters the image on its tables and its stack, with the hand-off's address in RDI.
pub fn enter(hand_off: &'static HandOff) -> ! {
    let image = hand_off.entered();
    enable_no_execute();
    // SAFETY: both sets of tables map this code at its own address; the image's entry and stack are mapped.
    unsafe {
        asm!(
            "cli",
            "mov cr3, {tables}",
            "mov rsp, {stack}",
            "xor ebp, ebp",
            "call {entry}",
            "ud2",
            tables = in(reg) image.page_table,
            stack = in(reg) image.stack,
            entry = in(reg) image.entry,
            in("rdi") core::ptr::from_ref(hand_off),
            options(noreturn),
        )
    }
}

/// Stops this processor for good.
pub fn stop() -> ! {
    loop {
        // SAFETY: there is nothing left to do.
        unsafe { asm!("cli", "hlt") };
    }
}
