//! Turning SVM on, on each processor.
#![expect(unsafe_code, reason = "model-specific registers and VMSAVE")]

use core::arch::asm;

use hv_abi::control::efer;
use spin::Once;

use crate::arch::cpu;
use crate::arch::exception::{try_rdmsr, try_wrmsr};
use crate::arch::per_cpu::PerCpu;
use extension::svm::features::Capabilities;
use extension::svm::permission::msr;

/// What the processors have, found on the first.
pub static CAPABILITIES: Once<Capabilities> = Once::new();

/// What was found; nothing before that.
pub fn capabilities() -> Capabilities {
    CAPABILITIES.get().copied().unwrap_or_default()
}

/// Turns it on, on this processor, and saves the state that a VMLOAD after each exit gives back.
pub fn on_this_processor(this: &PerCpu) {
    this.asids.init(capabilities().asids);
    // SAFETY: EFER exists.
    let efer = unsafe { cpu::rdmsr(cpu::EFER) };
    // SAFETY: the processor has SVM, which was checked.
    unsafe { cpu::wrmsr(cpu::EFER, efer | efer::SVME) };
    // SAFETY: a page of the hypervisor's own that nothing else touches.
    unsafe { cpu::wrmsr(msr::VM_HSAVE_PA, this.host_save.base().get()) };
    // SAFETY: writes to a page of the hypervisor's own that nothing else touches.
    unsafe { asm!("vmsave rax", in("rax") this.host_state.base().get(), options(nostack)) };
    redirect_init();
}

/// From here on an INIT that comes to this processor is #SX, which is ignored (APM vol. 2, 15.28 and 15.30.1): the root
/// has the local APIC, and a processor that it started over would run what it likes outside of any partition.
///
/// Emulators know nothing of it: there the root is trusted not to.
fn redirect_init() {
    const R_INIT: u64 = 1 << 1;
    if let Some(value) = try_rdmsr(msr::VM_CR) {
        try_wrmsr(msr::VM_CR, value | R_INIT);
    }
}
