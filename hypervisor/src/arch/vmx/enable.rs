//! Turning VT-x on, on each processor.
#![expect(unsafe_code, reason = "control registers and VMXON")]

use core::arch::asm;

use spin::Once;
use x86_64::registers::control::{Cr0, Cr4};

use hv_abi::control::cr4;

use crate::arch::exception::{try_rdmsr, try_wrmsr};
use crate::arch::memory::window::with_page;
use crate::arch::per_cpu::PerCpu;
use extension::vmx::features::{Capabilities, LOCK, VMX_OUTSIDE_SMX, msr};

/// Identifiers of translations: VPIDs have 16 bits.
const VPIDS: u32 = 1 << 16;

/// What the processors have, found on the first.
pub static CAPABILITIES: Once<Capabilities> = Once::new();

/// What was found.
pub fn capabilities() -> &'static Capabilities {
    CAPABILITIES.get().expect("found before any processor is set up")
}

/// Turns it on, on this processor, for good. From here on an INIT that comes here is held back (SDM vol. 3C, 25.8).
pub fn on_this_processor(this: &PerCpu) {
    this.asids.init(VPIDS);
    unlock();
    let fixed = |register| try_rdmsr(register).unwrap_or(0);
    // SAFETY: bits that VT-x wants set: PE, NE, PG, which are.
    unsafe { Cr0::write_raw(Cr0::read_raw() | fixed(msr::IA32_VMX_CR0_FIXED0)) };
    // SAFETY: bits that VT-x wants set: VMXE.
    unsafe { Cr4::write_raw(Cr4::read_raw() | cr4::VMXE | fixed(msr::IA32_VMX_CR4_FIXED0)) };
    with_page(this.host_save, |page| page.write(0, u64::from(capabilities().revision)));
    let failed: u8;
    // SAFETY: the region is a page of the hypervisor's own with the revision in it that nothing else touches.
    unsafe {
        asm!("vmxon [{}]", "setbe {}", in(reg) &this.host_save.base().get(), out(reg_byte) failed,
            options(nostack));
    }
    assert!(failed == 0, "VMXON is refused on processor {}", this.index);
}

/// Firmware may have left the register open: it is set once, and locked.
fn unlock() {
    if let Some(value) = try_rdmsr(msr::IA32_FEATURE_CONTROL)
        && value & LOCK == 0
    {
        try_wrmsr(msr::IA32_FEATURE_CONTROL, value | LOCK | VMX_OUTSIDE_SMX);
    }
}
