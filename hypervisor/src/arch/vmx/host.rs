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
use crate::arch::vmx::vmcs::write_all;
use crate::arch::vmx::world_switch;
use extension::vmx::field::host;

/// Writes this processor's into the current control structure.
pub fn write_state(this: &PerCpu) {
    let [cs, ss, tr] = selectors();
    let address = |part: *const u8| part.addr() as u64;
    write_all(&[
        (host::CS_SELECTOR.encoding(), cs),
        (host::SS_SELECTOR.encoding(), ss),
        (host::DS_SELECTOR.encoding(), ss),
        (host::ES_SELECTOR.encoding(), ss),
        (host::FS_SELECTOR.encoding(), 0),
        (host::GS_SELECTOR.encoding(), 0),
        (host::TR_SELECTOR.encoding(), tr),
        (host::CR0.encoding(), Cr0::read_raw()),
        (host::CR3.encoding(), Cr3::read().0.start_address().as_u64()),
        (host::CR4.encoding(), Cr4::read_raw()),
        (host::FS_BASE.encoding(), 0),
        (host::GS_BASE.encoding(), address((&raw const *this).cast())),
        (host::TR_BASE.encoding(), address((&raw const this.tss).cast())),
        (host::GDTR_BASE.encoding(), sgdt().base.as_u64()),
        (host::IDTR_BASE.encoding(), sidt().base.as_u64()),
        (host::IA32_SYSENTER_CS.encoding(), 0),
        (host::IA32_SYSENTER_ESP.encoding(), 0),
        (host::IA32_SYSENTER_EIP.encoding(), 0),
        (host::IA32_PAT.encoding(), read_msr(msr::PAT)),
        (host::IA32_EFER.encoding(), read_msr(msr::EFER)),
        (host::RIP.encoding(), world_switch::exit_address()),
    ]);
}

/// CS, SS, TR.
fn selectors() -> [u64; 3] {
    let (cs, ss, tr): (u64, u64, u64);
    // SAFETY: reads three selectors.
    unsafe {
        asm!("mov {:e}, cs", "mov {:e}, ss", "str {:e}", out(reg) cs, out(reg) ss, out(reg) tr,
            options(nomem, nostack));
    }
    [cs, ss, tr]
}

fn read_msr(register: u32) -> u64 {
    // SAFETY: the register exists on every processor with 64-bit mode.
    unsafe { cpu::rdmsr(register) }
}
