//! Clears what the processor keeps of those who ran on it before a guest runs.
#![expect(unsafe_code, reason = "commands to the processor")]

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};

use x86_64::instructions::segmentation::{SS, Segment};

use crate::arch::cpu;
use crate::arch::exception::try_rdmsr;
use crate::arch::vendor::is_vmx;
use extension::traces::{Traces, of_processor};

/// What there is to clear, found at boot.
static TRACES: AtomicU32 = AtomicU32::new(0);

/// Finds out.
pub fn find() {
    let traces = of_processor(&|leaf| cpu::cpuid(leaf, 0), try_rdmsr, !is_vmx());
    TRACES.store(traces.bits(), Ordering::Relaxed);
}

/// Clears `those`, where they are kept.
#[inline]
pub fn clear(those: Traces) {
    let traces = Traces::from_bits_retain(TRACES.load(Ordering::Relaxed)) & those;
    if !traces.is_empty() {
        clear_all(traces);
    }
}

#[cold]
fn clear_all(traces: Traces) {
    const IA32_PRED_CMD: u32 = 0x49;
    const IA32_FLUSH_CMD: u32 = 0x10B;
    if traces.contains(Traces::BRANCHES) {
        // SAFETY: the register is there; bit 0 is IBPB.
        unsafe { cpu::wrmsr(IA32_PRED_CMD, 1) };
    }
    if traces.contains(Traces::X87_POINTERS) {
        static ZERO: u32 = 0;
        // They then point to this instruction and to this word, whoever looks.
        // SAFETY: the registers are nobody's: they were saved, and are loaded next.
        unsafe { asm!("fnclex", "emms", "fild dword ptr [{}]", in(reg) &ZERO, options(nostack)) };
    }
    if traces.contains(Traces::DATA) {
        // SAFETY: the register is there; bit 0 is L1D_FLUSH.
        unsafe { cpu::wrmsr(IA32_FLUSH_CMD, 1) };
    }
    if traces.contains(Traces::BUFFERS) {
        let data = SS::get_reg().0;
        // SAFETY: changes the zero flag only.
        unsafe { asm!("verw word ptr [{}]", in(reg) &data, options(nostack, readonly)) };
    }
}
