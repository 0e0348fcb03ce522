//! Which model-specific registers are direct (SDM vol. 3C, 26.6.9).

use hv_abi::msr;

use crate::msr_map::{Access, GUESTS_OWN, MTRR_FIRST, MTRR_FIXED_LAST, MsrMap};
use crate::seam::FixedMsr;
use crate::vmx::features::msr as vmx;

/// What guests reach.
pub static GUEST_MSRS: MsrMap<4096> = MsrMap::closed_but(&GUESTS_OWN);

/// What guests reach while the processor completes TPR and EOI.
pub static DELEGATED_MSRS: MsrMap<4096> = MsrMap::closed_but(&GUESTS_OWN).flip(&[
    (msr::X2APIC_TPR, msr::X2APIC_TPR, Access::All),
    (msr::X2APIC_EOI, msr::X2APIC_EOI, Access::Writes),
]);

/// What guests find beside those.
pub static FIXED_MSRS: [FixedMsr; 2] = [
    // Locked, nothing enabled.
    FixedMsr { number: vmx::IA32_FEATURE_CONTROL, value: 1, ignores_writes: false },
    // Fast strings; no branch trace store, no precise event sampling.
    FixedMsr { number: msr::MISC_ENABLE, value: 1 | 1 << 11 | 1 << 12, ignores_writes: true },
];

const MICROCODE_UPDATE: u32 = 0x79;
const SMM_MONITOR_CTL: u32 = 0x9B;
const SMRR_FIRST: u32 = 0x1F2;
const SMRR_LAST: u32 = 0x1F3;
const PEBS_ENABLE: u32 = 0x3F1;
const RTIT_FIRST: u32 = 0x560;
const RTIT_LAST: u32 = 0x587;
const DS_AREA: u32 = 0x600;
const XSS: u32 = 0xDA0;
const HW_FEEDBACK_PTR: u32 = 0x17D0;
const HW_FEEDBACK_CONFIG: u32 = 0x17D1;

/// The root has all but what would reach the hypervisor: its use of VT-x, where addresses lead (the APIC's, what is
/// RAM and how it is cached), where SMM's code is, the time stamp counter, the processor's microcode, and what writes to
/// memory past EPT: samples go to the linear address DS_AREA on whatever tables are in use, traces (which XSS lets
/// XRSTORS begin) and the hardware's feedback to a physical address.
pub static ROOT_MSRS: MsrMap<4096> = MsrMap::open_but(&[
    (msr::TSC, msr::TSC, Access::Writes),
    (msr::APIC_BASE, msr::APIC_BASE, Access::Writes),
    (vmx::IA32_FEATURE_CONTROL, vmx::IA32_FEATURE_CONTROL, Access::All),
    (msr::TSC_ADJUST, msr::TSC_ADJUST, Access::Writes),
    (MICROCODE_UPDATE, MICROCODE_UPDATE, Access::Writes),
    (SMM_MONITOR_CTL, SMM_MONITOR_CTL, Access::Writes),
    (SMRR_FIRST, SMRR_LAST, Access::Writes),
    (MTRR_FIRST, MTRR_FIXED_LAST, Access::Writes),
    (msr::MTRR_DEF_TYPE, msr::MTRR_DEF_TYPE, Access::Writes),
    (PEBS_ENABLE, PEBS_ENABLE, Access::Writes),
    (vmx::IA32_VMX_BASIC, vmx::IA32_VMX_LAST, Access::All),
    (RTIT_FIRST, RTIT_LAST, Access::Writes),
    (DS_AREA, DS_AREA, Access::Writes),
    (XSS, XSS, Access::Writes),
    (HW_FEEDBACK_PTR, HW_FEEDBACK_CONFIG, Access::Writes),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delegated_apic_has_these_registers() {
        assert_eq!(
            (DELEGATED_MSRS.exits(0x808), DELEGATED_MSRS.exits(0x80B)),
            ((false, false), (true, false))
        );
        for register in [0x802, 0x80A, 0x80F, 0x810, 0x820, 0x830, 0x838, 0x83F, msr::APIC_BASE] {
            assert_eq!(DELEGATED_MSRS.exits(register), (true, true), "{register:#x}");
        }
        assert_eq!(DELEGATED_MSRS.exits(msr::LSTAR), (false, false), "as ever");
    }

    #[test]
    fn the_root_reaches_all_but_the_hypervisors() {
        for register in [vmx::IA32_FEATURE_CONTROL, vmx::IA32_VMX_BASIC, vmx::IA32_VMX_EPT_VPID_CAP] {
            assert_eq!(ROOT_MSRS.exits(register), (true, true), "{register:#x}");
        }
        let where_memory_is = [msr::APIC_BASE, 0x200, 0x26F, 0x2FF, 0x1F2];
        let past_it = [0x560, 0x570, 0x3F1, 0x600, 0xDA0, 0x17D0, 0x17D1];
        let others = [msr::TSC, msr::TSC_ADJUST, MICROCODE_UPDATE];
        for register in where_memory_is.into_iter().chain(past_it).chain(others) {
            assert_eq!(ROOT_MSRS.exits(register), (false, true), "{register:#x}");
        }
        for register in [msr::EFER, msr::PAT, msr::LSTAR, 0x802, 0x1A0] {
            assert_eq!(ROOT_MSRS.exits(register), (false, false), "{register:#x}");
        }
    }
}
