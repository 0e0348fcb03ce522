//! The host's state in a control structure: what an exit loads (SDM vol. 3C, 26.5).
//!
//! An exit sets the limits of GDTR and IDTR to FFFFh and that of TR to 67h. They stay so: nobody but the hypervisor runs
//! on these tables, and it loads no selector and raises no vector beyond their ends.
#![expect(unsafe_code, reason = "reads control and segment registers")]

use core::arch::asm;

use hv_abi::msr;
use x86_64::instructions::tables::{sgdt, sidt};
use x86_64::registers::control::{Cr0, Cr3, Cr4};

use crate::arch::cpu;
use crate::arch::per_cpu::PerCpu;
use crate::arch::vmx::field::host;
use crate::arch::vmx::vmcs::Vmcs;
use crate::arch::vmx::world_switch;

/// Writes this processor's.
pub fn write_state(vmcs: &Vmcs, this: &PerCpu) {
    let [cs, ss, tr] = selectors();
    vmcs.write(host::CS_SELECTOR, cs);
    for field in [host::ES_SELECTOR, host::SS_SELECTOR, host::DS_SELECTOR] {
        vmcs.write(field, ss);
    }
    vmcs.write(host::FS_SELECTOR, 0);
    vmcs.write(host::GS_SELECTOR, 0);
    vmcs.write(host::TR_SELECTOR, tr);
    vmcs.write(host::CR0, Cr0::read_raw());
    vmcs.write(host::CR3, Cr3::read().0.start_address().as_u64());
    vmcs.write(host::CR4, Cr4::read_raw());
    vmcs.write(host::FS_BASE, 0);
    vmcs.write(host::GS_BASE, core::ptr::from_ref(this).addr() as u64);
    vmcs.write(host::TR_BASE, (&raw const this.tss).addr() as u64);
    vmcs.write(host::GDTR_BASE, sgdt().base.as_u64());
    vmcs.write(host::IDTR_BASE, sidt().base.as_u64());
    vmcs.write(host::IA32_SYSENTER_CS, 0);
    vmcs.write(host::IA32_SYSENTER_ESP, 0);
    vmcs.write(host::IA32_SYSENTER_EIP, 0);
    vmcs.write(host::IA32_PAT, read_msr(msr::PAT));
    vmcs.write(host::IA32_EFER, read_msr(msr::EFER));
    vmcs.write(host::RIP, world_switch::exit_address());
}

/// CS, SS, TR.
fn selectors() -> [u16; 3] {
    let (cs, ss, tr): (u16, u16, u16);
    // SAFETY: reads three selectors.
    unsafe {
        asm!("mov {:x}, cs", "mov {:x}, ss", "str {:x}", out(reg) cs, out(reg) ss, out(reg) tr,
            options(nomem, nostack));
    }
    [cs, ss, tr]
}

fn read_msr(register: u32) -> u64 {
    // SAFETY: the register exists on every processor with 64-bit mode.
    unsafe { cpu::rdmsr(register) }
}
