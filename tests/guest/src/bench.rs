//! What exits cost, in ticks of the TSC: with QEMU's `-icount shift=0` a tick is an instruction.
//!
//! Each line is `BENCH name minimum median`. The cost of reading the counter is taken off.
#![expect(unsafe_code, reason = "the measured things are instructions")]

pub mod vps;

use core::arch::asm;
use core::sync::atomic::Ordering;

use hv_abi::hypercall::{CallCode, HypercallInput};
use hv_abi::msr::HV_X64_MSR_VP_INDEX;

use crate::hypercall;
use crate::serial::{LINE_STATUS, inb};
use crate::trap::{COUNTED_VECTOR, INTERRUPT_TSC, INTERRUPTS, attempt};
use crate::{power_off, say};

/// Samples of each figure.
const SAMPLES: usize = 101;
/// Where an IOAPIC is; its first register selects another and has no other effect.
const IOAPIC: usize = 0xFEC0_0000;

#[inline(always)]
fn rdtsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
#[inline(always)]
pub fn wrmsr(msr: u32, value: u64) {
    // SAFETY: this program owns its machine.
    unsafe { asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32) };
}

/// Reads a model-specific register.
#[inline(always)]
pub fn rdmsr(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: this program owns its machine.
    unsafe { asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high) };
    u64::from(high) << 32 | u64::from(low)
}

/// Measures `body` and prints its line.
fn measure(name: &str, mut body: impl FnMut()) {
    sample(name, || {
        let start = rdtsc();
        body();
        rdtsc() - start
    });
}

/// Takes samples of `ticks` and prints minimum and median, less the cost of an empty measurement.
fn sample(name: &str, mut ticks: impl FnMut() -> u64) {
    let mut samples = [0_u64; SAMPLES];
    for sample in &mut samples {
        *sample = ticks();
    }
    samples.sort_unstable();
    let empty = {
        let start = rdtsc();
        rdtsc() - start
    };
    say!("BENCH {name} {} {}", samples[0].saturating_sub(empty), samples[SAMPLES / 2].saturating_sub(empty));
}

/// CPUID, as cheaply as it can be called (RBX is kept).
#[inline(always)]
fn cpuid(leaf: u32) {
    // SAFETY: CPUID has no effect but on registers.
    unsafe {
        asm!("push rbx", "cpuid", "pop rbx", inlateout("eax") leaf => _, out("ecx") _, out("edx") _);
    }
}

/// Enables the local APIC, in x2APIC mode.
pub extern "C" fn enable_x2apic(_: *mut u64) {
    wrmsr(0x1B, rdmsr(0x1B) | 0xC00);
    wrmsr(0x80F, 0x1FF);
}

/// Sends itself an interrupt with `send`; ticks until that returns (interrupts off), or until the handler has run.
fn self_ipi(handled: bool, send: impl FnOnce()) -> u64 {
    let before = INTERRUPTS.load(Ordering::Relaxed);
    if handled {
        // SAFETY: the interrupt table is installed.
        unsafe { asm!("sti") };
    }
    let start = rdtsc();
    send();
    let returned = rdtsc();
    // SAFETY: as above; the interrupt is taken here at the latest.
    unsafe { asm!("sti", "nop", "nop", "cli") };
    while INTERRUPTS.load(Ordering::Relaxed) == before {}
    if handled { INTERRUPT_TSC.load(Ordering::Relaxed) - start } else { returned - start }
}

/// Measures everything this machine has.
pub fn run() -> ! {
    measure("cpuid", || cpuid(0));
    measure("port-read", || {
        inb(LINE_STATUS);
    });
    measure("port-read-absent", || {
        inb(0x510);
    });
    measure("mmio-write", || {
        // SAFETY: the select register of an IOAPIC.
        unsafe { core::ptr::with_exposed_provenance_mut::<u32>(IOAPIC).write_volatile(0) };
    });
    measure("wbinvd", || {
        // SAFETY: writes caches back.
        unsafe { asm!("wbinvd") };
    });
    if attempt(hypercall::enable, &mut []).is_none() {
        measure("hypercall", || {
            hypercall::call(HypercallInput::fast_call(CallCode::NOTIFY_LONG_SPIN_WAIT), 0, 0);
        });
        measure("msr-read", || {
            rdmsr(HV_X64_MSR_VP_INDEX);
        });
    }
    if attempt(enable_x2apic, &mut []).is_none() {
        let icr = || wrmsr(0x830, 0x4_0000 | u64::from(COUNTED_VECTOR));
        sample("self-ipi-write", || self_ipi(false, icr));
        sample("self-ipi-handled", || self_ipi(true, icr));
        sample("self-ipi-register-handled", || self_ipi(true, || wrmsr(0x83F, u64::from(COUNTED_VECTOR))));
        measure("eoi", || wrmsr(0x80B, 0));
        measure("cr8-write", || {
            // SAFETY: no interrupt is held back.
            unsafe { asm!("mov cr8, {}", in(reg) 0_u64) };
        });
    }
    say!("BENCH DONE");
    power_off()
}
