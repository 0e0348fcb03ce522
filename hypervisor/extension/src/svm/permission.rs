//! The permission maps of model-specific registers and ports (APM vol. 2, 15.10 and 15.11).

use hv_abi::msr::{APIC_BASE, TSC, TSC_ADJUST};

use crate::msr_map::{Access, GUESTS_OWN, MTRR_FIRST, MTRR_FIXED_LAST, MsrMap};
use crate::seam::FixedMsr;

/// A bit for each port, and three more so that a wide access at the end has its bits.
#[repr(C, align(4096))]
pub struct IoMap([u8; 12288]);

impl IoMap {
    /// Everything exits.
    pub const fn closed() -> Self {
        Self([0xFF; 12288])
    }
}

/// Registers by number.
pub mod msr {
    #![expect(missing_docs, reason = "the manual's names")]
    pub use hv_abi::msr::{EFER, MTRR_DEF_TYPE};
    pub const TSC_RATIO: u32 = 0xC000_0104;
    pub const SYSCFG: u32 = 0xC001_0010;
    pub const HWCR: u32 = 0xC001_0015;
    pub const NB_CFG: u32 = 0xC001_001F;
    pub const DE_CFG: u32 = 0xC001_1029;
    pub const PATCH_LOADER: u32 = 0xC001_0020;
    pub const MMIO_CFG_BASE: u32 = 0xC001_0058;
    pub const IORR_FIRST: u32 = 0xC001_0016;
    pub const TOP_MEM2: u32 = 0xC001_001D;
    pub const SMM_BASE: u32 = 0xC001_0111;
    pub const VM_CR: u32 = 0xC001_0114;
    pub const SMM_CTL: u32 = 0xC001_0116;
    pub const VM_HSAVE_PA: u32 = 0xC001_0117;
    pub const SVM_KEY: u32 = 0xC001_0118;
    pub const SMM_KEY: u32 = 0xC001_0119;
}

/// What guests reach.
pub static GUEST_MSRS: MsrMap<8192> = MsrMap::closed_but(&GUESTS_OWN);

/// What guests find beside those.
pub static FIXED_MSRS: [FixedMsr; 4] = [
    FixedMsr { number: msr::SYSCFG, value: 0, ignores_writes: true },
    // The time stamp counter counts at the rate of P0.
    FixedMsr { number: msr::HWCR, value: 1 << 24, ignores_writes: true },
    // Extended accesses through port 0xCF8 are on, which Linux sees to.
    FixedMsr { number: msr::NB_CFG, value: 1 << 46, ignores_writes: true },
    // LFENCE serializes.
    FixedMsr { number: msr::DE_CFG, value: 1 << 1, ignores_writes: true },
];

/// The root has all but what would reach the hypervisor: its use of SVM, where addresses lead (the APIC's, SMM's and PCI
/// configuration's windows, what is RAM and how it is cached), where SMM's code is, the time stamp counter, and the
/// processor's microcode.
pub static ROOT_MSRS: MsrMap<8192> = MsrMap::open_but(&[
    (msr::EFER, msr::EFER, Access::All),
    (TSC, TSC, Access::Writes),
    (APIC_BASE, APIC_BASE, Access::Writes),
    (TSC_ADJUST, TSC_ADJUST, Access::Writes),
    (msr::TSC_RATIO, msr::TSC_RATIO, Access::Writes),
    (MTRR_FIRST, MTRR_FIXED_LAST, Access::Writes),
    (msr::MTRR_DEF_TYPE, msr::MTRR_DEF_TYPE, Access::Writes),
    (msr::SYSCFG, msr::SYSCFG, Access::Writes),
    // IORRs and TOP_MEM.
    (msr::IORR_FIRST, msr::TOP_MEM2, Access::Writes),
    (msr::PATCH_LOADER, msr::PATCH_LOADER, Access::Writes),
    (msr::MMIO_CFG_BASE, msr::MMIO_CFG_BASE, Access::Writes),
    (msr::SMM_BASE, msr::SMM_CTL, Access::Writes),
    (msr::VM_HSAVE_PA, msr::SMM_KEY, Access::All),
]);

/// Guests have no port of the machine.
pub static GUEST_PORTS: IoMap = IoMap::closed();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_reaches_all_but_the_hypervisors() {
        for register in [msr::VM_HSAVE_PA, msr::SVM_KEY, msr::EFER] {
            assert_eq!(ROOT_MSRS.exits(register), (true, true), "{register:#x}");
        }
        for register in [
            TSC,
            TSC_ADJUST,
            msr::TSC_RATIO,
            APIC_BASE,
            msr::SMM_BASE,
            msr::MMIO_CFG_BASE,
            msr::PATCH_LOADER,
            msr::SYSCFG,
            msr::VM_CR,
            0x200,
            0x26F,
            0x2FF,
            0xC001_0018,
        ] {
            assert_eq!(ROOT_MSRS.exits(register), (false, true), "{register:#x}");
        }
        for register in [0x802, 0x277, 0xC000_0082, 0xC001_001B + 0x100] {
            assert_eq!(ROOT_MSRS.exits(register), (false, false), "{register:#x}");
        }
        assert!(IoMap::closed().0.iter().all(|&byte| byte == 0xFF));
    }
}
