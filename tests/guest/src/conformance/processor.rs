//! Instructions of the processor, one function each.
#![expect(unsafe_code, reason = "instructions")]

use core::arch::asm;

use super::body;
use super::catch::attempt;
use super::event::{Event, Outcome};

/// EAX, EBX, ECX, EDX.
pub fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let (eax, ebx, ecx, edx);
    // SAFETY: CPUID has no effect but on registers; RBX is kept.
    unsafe {
        asm!("mov {kept:r}, rbx", "cpuid", "xchg {kept:r}, rbx", kept = out(reg) ebx,
             inlateout("eax") leaf => eax, inlateout("ecx") subleaf => ecx, out("edx") edx);
    }
    [eax, ebx, ecx, edx]
}

/// RDMSR: the value, or the exception.
pub fn rdmsr(msr: u32) -> Result<u64, Event> {
    let mut words = [u64::from(msr), 0];
    let outcome = attempt(
        body!("mov rcx, [rdi]", "rdmsr", "shl rdx, 32", "mov eax, eax", "or rax, rdx", "mov [rdi + 8], rax"),
        &mut words,
    );
    if outcome.is_none() { Ok(words[1]) } else { Err(outcome.first()) }
}

/// WRMSR.
pub fn wrmsr(msr: u32, value: u64) -> Outcome {
    attempt(
        body!("mov rcx, [rdi]", "mov eax, [rdi + 8]", "mov edx, [rdi + 12]", "wrmsr"),
        &mut [u64::from(msr), value],
    )
}

/// A control register as it is.
pub fn cr0() -> u64 {
    let value;
    // SAFETY: reads.
    unsafe { asm!("mov {}, cr0", out(reg) value) };
    value
}

/// A control register as it is.
pub fn cr4() -> u64 {
    let value;
    // SAFETY: reads.
    unsafe { asm!("mov {}, cr4", out(reg) value) };
    value
}

/// MOV to CR0.
pub fn set_cr0(value: u64) -> Outcome {
    attempt(body!("mov rax, [rdi]", "mov cr0, rax"), &mut [value])
}

/// MOV to CR4.
pub fn set_cr4(value: u64) -> Outcome {
    attempt(body!("mov rax, [rdi]", "mov cr4, rax"), &mut [value])
}

/// The time stamp counter.
pub fn rdtsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high) };
    u64::from(high) << 32 | u64::from(low)
}

/// CLTS.
pub fn clear_task_switched() {
    // SAFETY: x87 and vector instructions work again.
    unsafe { asm!("clts") };
}

/// RDMSR where no probe can be run: it must not fault.
pub fn rdmsr_now(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: a register that this guest has.
    unsafe { asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high) };
    u64::from(high) << 32 | u64::from(low)
}

/// WRMSR where no probe can be run: it must not fault.
pub fn wrmsr_now(msr: u32, value: u64) {
    // SAFETY: a register that this guest has.
    unsafe { asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32) };
}
