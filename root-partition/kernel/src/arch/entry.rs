//! The first instructions, and what the processor is told once.
#![expect(unsafe_code, reason = "entry and control registers")]

use super::stack::MAIN_STACK;
use core::arch::x86_64::{__cpuid, __cpuid_count, _rdtsc};
use handoff::HandOff;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};

/// What a loader or the hypervisor enters: RDI is the address of the hand-off. Leaves the loader's stack.
#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "C" fn kernel_entry(hand_off: *const HandOff) -> ! {
    core::arch::naked_asm!(
        "cli",
        "cld",
        // A no-op that tells an instruction counter that the kernel begins.
        ".byte 0x0F, 0x1F, 0x80, 0x21, 0x52, 0x4B, 0x4D",
        "call {top}",
        "ud2",
        top = sym on_loader_stack,
    )
}

extern "C" fn on_loader_stack(hand_off: *const HandOff) -> ! {
    // SAFETY: the stack is unused, and nothing of this one is needed any more.
    unsafe {
        core::arch::asm!(
            "mov rsp, {top}",
            "xor ebp, ebp",
            "call {start}",
            "ud2",
            top = in(reg) MAIN_STACK.top(),
            start = sym crate::boot::start,
            in("rdi") hand_off,
            options(noreturn),
        )
    }
}

fn structured_features() -> (u32, u32) {
    if __cpuid(0).eax < 7 {
        return (0, 0);
    }
    let leaf = __cpuid_count(7, 0);
    (leaf.ebx, leaf.ecx)
}

/// Whether the local APIC has its registers in MSRs too.
pub(crate) fn has_x2apic() -> bool {
    __cpuid(1).ecx & 1 << 21 != 0
}

/// Write protection for the kernel too, global pages; no execution of programs' pages, and no descriptor tables for
/// programs, where the processor knows that.
pub(crate) fn enable_protections() {
    const SMEP: u32 = 1 << 7;
    const UMIP: u32 = 1 << 2;
    let (ebx, ecx) = structured_features();
    let mut cr4 = Cr4Flags::PAGE_GLOBAL | Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE;
    cr4.set(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION, ebx & SMEP != 0);
    cr4.set(Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION, ecx & UMIP != 0);
    // SAFETY: the tables in use allow all that the kernel does under write protection.
    unsafe { Cr0::update(|cr0| cr0.insert(Cr0Flags::WRITE_PROTECT)) };
    // SAFETY: the processor has each of these, and none changes what is mapped.
    unsafe { Cr4::update(|flags| flags.insert(cr4)) };
}

/// The time-stamp counter.
#[inline]
pub(super) fn tsc() -> u64 {
    // SAFETY: every processor with long mode has it.
    unsafe { _rdtsc() }
}
