//! The last instructions of a loader.
#![expect(unsafe_code, reason = "leaves for another program")]

use core::arch::asm;
use core::arch::x86_64::__cpuid;

use handoff::HandOff;

use crate::hypervisor;

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
pub fn enter(hand_off: &'static mut HandOff) -> ! {
    let image = *hand_off.entered();
    enable_no_execute();
    // SAFETY: both sets of tables map this code at its own address, and the new ones all RAM, and so the stack.
    unsafe {
        asm!(
            "cli",
            "mov cr3, {tables}",
            "mov rsp, {stack}",
            "xor ebp, ebp",
            "call {last}",
            "ud2",
            tables = in(reg) image.page_table,
            stack = in(reg) image.stack,
            last = sym last,
            in("rdi") core::ptr::from_mut(hand_off),
            options(noreturn),
        )
    }
}

/// On the image's tables and stack: nothing of the firmware's is in use any more.
extern "sysv64" fn last(hand_off: &'static mut HandOff) -> ! {
    if hand_off.hypervisor.length != 0 {
        // Without enough memory there is no address space: the hypervisor says so.
        let _ = hypervisor::complete(hand_off);
    }
    // SAFETY: the image is mapped, and its entry takes the hand-off so.
    unsafe {
        asm!(
            "xor ebp, ebp",
            "call {entry}",
            "ud2",
            entry = in(reg) hand_off.entered().entry,
            in("rdi") core::ptr::from_mut(hand_off),
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
