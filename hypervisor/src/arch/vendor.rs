//! Which vendor's extension this machine has: found once, before anything of it is used.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::arch::exception::try_rdmsr;
use crate::arch::per_cpu::PerCpu;
use crate::arch::{cpu, svm, vmx};
use extension::refusal::Refusal;
use extension::svm::permission::msr;

static IS_VMX: AtomicBool = AtomicBool::new(false);

/// VT-x, not AMD-V.
#[inline]
pub fn is_vmx() -> bool {
    IS_VMX.load(Ordering::Relaxed)
}

/// Looks for either.
///
/// # Errors
/// Why the hypervisor can not run here.
pub fn find() -> Result<(), Refusal> {
    let cpuid = |leaf| cpu::cpuid(leaf, 0);
    match extension::svm::features::check(&cpuid, || try_rdmsr(msr::VM_CR)) {
        Err(Refusal::NoVirtualization) => {
            let found = extension::vmx::features::check(&cpuid, &try_rdmsr)?;
            vmx::enable::CAPABILITIES.call_once(|| found);
            IS_VMX.store(true, Ordering::Relaxed);
            Ok(())
        }
        found => {
            let found = found?;
            svm::enable::CAPABILITIES.call_once(|| found);
            Ok(())
        }
    }
}

/// Turns it on, on this processor.
pub fn on_this_processor(this: &PerCpu) {
    if is_vmx() { vmx::enable::on_this_processor(this) } else { svm::enable::on_this_processor(this) }
}

/// Whether it carries out what guests do with their local APICs.
pub fn has_apic_assist() -> bool {
    is_vmx() && vmx::enable::capabilities().delegation.is_some()
}

/// For the person at the console.
pub fn name() -> &'static str {
    match is_vmx() {
        true if has_apic_assist() => "VT-x, EPT, APICv",
        true => "VT-x, EPT",
        false => "AMD-V, nested paging",
    }
}

/// Whether second-level tables can map 1 GiB.
pub fn has_gigabyte_pages() -> bool {
    const GIGABYTE_PAGES: u32 = 1 << 26;
    if is_vmx() {
        return vmx::enable::capabilities().gigabyte_pages;
    }
    let [_, _, _, edx] = cpu::cpuid(0x8000_0001, 0);
    edx & GIGABYTE_PAGES != 0
}

/// Bits of a physical address.
pub fn physical_bits() -> u32 {
    extension::svm::features::physical_bits(&|leaf| cpu::cpuid(leaf, 0), try_rdmsr(msr::SYSCFG))
}
