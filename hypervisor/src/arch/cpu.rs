//! Single instructions.
#![expect(unsafe_code, reason = "each is one privileged instruction")]

use core::arch::asm;

pub use hv_abi::msr::{APIC_BASE, EFER, GS_BASE, TSC_AUX};
use x86_64::registers::model_specific::Msr;

/// CPUID: EAX, EBX, ECX, EDX.
#[inline]
pub fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let r = core::arch::x86_64::__cpuid_count(leaf, subleaf);
    [r.eax, r.ebx, r.ecx, r.edx]
}

/// RDTSC.
#[inline]
pub fn rdtsc() -> u64 {
    // SAFETY: reads the time stamp counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// RDMSR of a register that exists.
///
/// # Safety
/// The register must exist, and reading it must have no side effect.
#[inline]
pub unsafe fn rdmsr(register: u32) -> u64 {
    let register = Msr::new(register);
    // SAFETY: the caller's contract.
    unsafe { register.read() }
}

/// WRMSR.
///
/// # Safety
/// The register must exist, take the value, and nothing that Rust relies on may change.
#[inline]
pub unsafe fn wrmsr(register: u32, value: u64) {
    let mut register = Msr::new(register);
    // SAFETY: the caller's contract.
    unsafe { register.write(value) };
}

/// Forgets the translation of the page at `address`.
#[inline]
pub fn invlpg(address: u64) {
    // SAFETY: forgetting a translation changes nothing but time.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) };
}

/// Forgets every translation that is not global.
pub fn flush_tlb() {
    // SAFETY: writes the value that CR3 has.
    unsafe { asm!("mov {t}, cr3", "mov cr3, {t}", t = out(reg) _, options(nostack, preserves_flags)) };
}

/// Markers that a counting emulator sees; to a processor each is one NOP.
pub mod marker {
    /// A guest's VP was put on the processor.
    pub const GUEST: u8 = 0x10;
    /// A root VP was put on the processor.
    pub const ROOT: u8 = 0x11;
    /// The hypervisor was entered.
    pub const ENTRY: u8 = 0x20;
}

/// Executes the marker `NUMBER`.
#[inline(always)]
pub fn mark<const NUMBER: u8>() {
    // SAFETY: NOP with an operand that is not accessed.
    unsafe {
        asm!(".byte 0x0F, 0x1F, 0x80, {}, 0x52, 0x4B, 0x4D", const NUMBER,
            options(nomem, nostack, preserves_flags));
    }
}

/// Waits a moment in a loop.
#[inline]
pub fn pause() {
    core::hint::spin_loop();
}

/// Stops this processor for good.
pub fn stop() -> ! {
    loop {
        // SAFETY: nothing is left to do; an NMI ends one HLT only.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Waits for an NMI, interrupts off.
pub fn wait() {
    // SAFETY: an NMI returns here.
    unsafe { asm!("hlt", options(nostack)) };
}
