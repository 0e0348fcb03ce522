//! The permission maps of model-specific registers and ports (APM vol. 2, 15.10 and 15.11).
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "evaluated when it is compiled"
)]

use crate::backend::FixedMsr;

/// Two bits for each of 3 × 8192 registers: read, write. Registers outside those ranges always exit.
#[repr(C, align(4096))]
pub struct MsrMap([u8; 8192]);

/// A bit for each port, and three more so that a wide access at the end has its bits.
#[repr(C, align(4096))]
pub struct IoMap([u8; 12288]);

/// What a guest may do to a register without an exit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direct {
    /// Read.
    Read,
    /// Read and write.
    Both,
}

impl MsrMap {
    /// Everything exits.
    pub const fn closed() -> Self {
        Self([0xFF; 8192])
    }
    /// Nothing exits.
    pub const fn open() -> Self {
        Self([0; 8192])
    }

    /// Byte and bit of a register's first bit.
    const fn place(register: u32) -> Option<(usize, u32)> {
        let (range, number) = match register {
            0..=0x1FFF => (0, register),
            0xC000_0000..=0xC000_1FFF => (1, register & 0x1FFF),
            0xC001_0000..=0xC001_1FFF => (2, register & 0x1FFF),
            _ => return None,
        };
        Some((range * 0x800 + (number / 4) as usize, number % 4 * 2))
    }

    /// This map, in which `register` is direct.
    pub const fn allow(mut self, register: u32, direct: Direct) -> Self {
        let Some((byte, bit)) = Self::place(register) else { panic!("outside of the map") };
        let bits = match direct {
            Direct::Read => 1,
            Direct::Both => 3,
        };
        self.0[byte] &= !(bits << bit);
        self
    }

    /// This map, in which every access to `register` exits.
    pub const fn forbid(mut self, register: u32) -> Self {
        let Some((byte, bit)) = Self::place(register) else { panic!("outside of the map") };
        self.0[byte] |= 3 << bit;
        self
    }

    /// This map, in which writes of `register` exit.
    pub const fn forbid_writes(self, register: u32) -> Self {
        self.forbid_writes_to(register, register)
    }

    /// This map, in which writes of `first` to `last` exit.
    pub const fn forbid_writes_to(mut self, first: u32, last: u32) -> Self {
        let mut register = first;
        while register <= last {
            let Some((byte, bit)) = Self::place(register) else { panic!("outside of the map") };
            self.0[byte] |= 2 << bit;
            register += 1;
        }
        self
    }
}

impl IoMap {
    /// Everything exits.
    pub const fn closed() -> Self {
        Self([0xFF; 12288])
    }
}

/// Registers by number.
pub mod msr {
    #![expect(missing_docs, reason = "the manual's names")]
    pub const TSC: u32 = 0x10;
    pub const APIC_BASE: u32 = 0x1B;
    pub const SYSENTER_CS: u32 = 0x174;
    pub const SYSENTER_ESP: u32 = 0x175;
    pub const SYSENTER_EIP: u32 = 0x176;
    pub const MTRR_FIRST: u32 = 0x200;
    pub const MTRR_FIXED_LAST: u32 = 0x26F;
    pub const PAT: u32 = 0x277;
    pub const MTRR_DEFAULT: u32 = 0x2FF;
    pub const EFER: u32 = 0xC000_0080;
    pub const STAR: u32 = 0xC000_0081;
    pub const LSTAR: u32 = 0xC000_0082;
    pub const CSTAR: u32 = 0xC000_0083;
    pub const SFMASK: u32 = 0xC000_0084;
    pub const FS_BASE: u32 = 0xC000_0100;
    pub const GS_BASE: u32 = 0xC000_0101;
    pub const KERNEL_GS_BASE: u32 = 0xC000_0102;
    pub const TSC_AUX: u32 = 0xC000_0103;
    pub const SYSCFG: u32 = 0xC001_0010;
    pub const HWCR: u32 = 0xC001_0015;
    pub const NB_CFG: u32 = 0xC001_001F;
    pub const DE_CFG: u32 = 0xC001_1029;
    pub const PATCH_LOADER: u32 = 0xC001_0020;
    pub const MMIO_CFG_BASE: u32 = 0xC001_0058;
    pub const IORR_FIRST: u32 = 0xC001_0016;
    pub const IORR_LAST: u32 = 0xC001_0019;
    pub const TOP_MEM: u32 = 0xC001_001A;
    pub const TOP_MEM2: u32 = 0xC001_001D;
    pub const SMM_BASE: u32 = 0xC001_0111;
    pub const SMM_ADDR: u32 = 0xC001_0112;
    pub const SMM_MASK: u32 = 0xC001_0113;
    pub const VM_CR: u32 = 0xC001_0114;
    pub const IGNNE: u32 = 0xC001_0115;
    pub const SMM_CTL: u32 = 0xC001_0116;
    pub const VM_HSAVE_PA: u32 = 0xC001_0117;
    pub const SVM_KEY: u32 = 0xC001_0118;
    pub const SMM_KEY: u32 = 0xC001_0119;
}

/// What guests have for their own: what VMLOAD and VMRUN switch, or what is switched when a VP is loaded.
pub static GUEST_MSRS: MsrMap = MsrMap::closed()
    .allow(msr::TSC, Direct::Read)
    .allow(msr::SYSENTER_CS, Direct::Both)
    .allow(msr::SYSENTER_ESP, Direct::Both)
    .allow(msr::SYSENTER_EIP, Direct::Both)
    .allow(msr::PAT, Direct::Both)
    .allow(msr::STAR, Direct::Both)
    .allow(msr::LSTAR, Direct::Both)
    .allow(msr::CSTAR, Direct::Both)
    .allow(msr::SFMASK, Direct::Both)
    .allow(msr::FS_BASE, Direct::Both)
    .allow(msr::GS_BASE, Direct::Both)
    .allow(msr::KERNEL_GS_BASE, Direct::Both)
    .allow(msr::TSC_AUX, Direct::Both);

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
/// configuration's windows, what is RAM and how it is cached), where SMM's code is, and the processor's microcode.
pub static ROOT_MSRS: MsrMap = MsrMap::open()
    .forbid(msr::EFER)
    .forbid_writes(msr::APIC_BASE)
    .forbid_writes_to(msr::MTRR_FIRST, msr::MTRR_FIXED_LAST)
    .forbid_writes(msr::MTRR_DEFAULT)
    .forbid_writes(msr::SYSCFG)
    .forbid_writes_to(msr::IORR_FIRST, msr::IORR_LAST)
    .forbid_writes(msr::TOP_MEM)
    .forbid_writes(msr::TOP_MEM2)
    .forbid_writes(msr::PATCH_LOADER)
    .forbid_writes(msr::MMIO_CFG_BASE)
    .forbid_writes(msr::SMM_BASE)
    .forbid_writes(msr::SMM_ADDR)
    .forbid_writes(msr::SMM_MASK)
    .forbid_writes(msr::VM_CR)
    .forbid_writes(msr::IGNNE)
    .forbid_writes(msr::SMM_CTL)
    .forbid(msr::VM_HSAVE_PA)
    .forbid(msr::SVM_KEY)
    .forbid(msr::SMM_KEY);

/// Guests have no port of the machine.
pub static GUEST_PORTS: IoMap = IoMap::closed();

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(map: &MsrMap, register: u32) -> u8 {
        let (byte, bit) = MsrMap::place(register).unwrap();
        map.0[byte] >> bit & 3
    }

    #[test]
    fn guests_reach_only_what_is_switched() {
        assert_eq!(bits(&GUEST_MSRS, msr::LSTAR), 0);
        assert_eq!(bits(&GUEST_MSRS, msr::TSC), 2);
        for register in [msr::EFER, msr::APIC_BASE, msr::VM_CR, msr::VM_HSAVE_PA, 0x1D9, 0x2FF, 0x802] {
            assert_eq!(bits(&GUEST_MSRS, register), 3, "{register:#x}");
        }
        let open = GUEST_MSRS.0.iter().map(|byte| byte.count_zeros()).sum::<u32>();
        assert_eq!(open, 12 * 2 + 1);
    }

    #[test]
    fn the_root_reaches_all_but_the_hypervisors() {
        assert_eq!(bits(&ROOT_MSRS, msr::VM_HSAVE_PA), 3);
        assert_eq!(bits(&ROOT_MSRS, msr::EFER), 3);
        for register in [
            msr::APIC_BASE,
            msr::SMM_BASE,
            msr::MMIO_CFG_BASE,
            msr::PATCH_LOADER,
            msr::SYSCFG,
            0x200,
            0x26F,
            0x2FF,
            0xC001_0018,
        ] {
            assert_eq!(bits(&ROOT_MSRS, register), 2, "{register:#x}");
        }
        assert_eq!((bits(&ROOT_MSRS, 0x802), bits(&ROOT_MSRS, msr::PAT)), (0, 0));
        assert_eq!(bits(&ROOT_MSRS, msr::LSTAR), 0);
    }

    #[test]
    fn places_are_those_of_the_manual() {
        assert_eq!(MsrMap::place(0x1FFF), Some((0x7FF, 6)));
        assert_eq!(MsrMap::place(0xC000_0080), Some((0x820, 0)));
        assert_eq!(MsrMap::place(0xC001_0117), Some((0x1045, 6)));
        assert_eq!(MsrMap::place(0x4000_0000), None);
        assert!(IoMap::closed().0.iter().all(|&byte| byte == 0xFF));
    }
}
