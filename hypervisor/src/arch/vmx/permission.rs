//! The MSR bitmaps (SDM vol. 3C, 26.6.9).
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "evaluated when it is compiled"
)]

use hv_abi::msr;

use crate::arch::vmx::features::msr as vmx;
use crate::backend::FixedMsr;

/// A bit for reads of each of 2 × 8192 registers, then a bit for writes. Registers outside those ranges always exit.
#[repr(C, align(4096))]
pub struct MsrBitmap([u8; 4096]);

/// Bytes from a register's bit for reads to its bit for writes.
const WRITES: usize = 2048;

impl MsrBitmap {
    /// Everything exits.
    pub const fn closed() -> Self {
        Self([0xFF; 4096])
    }
    /// Nothing exits.
    pub const fn open() -> Self {
        Self([0; 4096])
    }

    /// Byte and mask of a register's bit for reads.
    const fn place(register: u32) -> Option<(usize, u8)> {
        let (range, number) = match register {
            0..=0x1FFF => (0, register),
            0xC000_0000..=0xC000_1FFF => (1024, register & 0x1FFF),
            _ => return None,
        };
        Some((range + (number / 8) as usize, 1 << (number % 8)))
    }

    /// This bitmap, in which `register` can be read.
    pub const fn allow_reads(mut self, register: u32) -> Self {
        let Some((byte, mask)) = Self::place(register) else { panic!("outside of the bitmap") };
        self.0[byte] &= !mask;
        self
    }
    /// This bitmap, in which `register` is direct.
    pub const fn allow(self, register: u32) -> Self {
        let mut this = self.allow_reads(register);
        let Some((byte, mask)) = Self::place(register) else { panic!("outside of the bitmap") };
        this.0[byte + WRITES] &= !mask;
        this
    }
    /// This bitmap, in which writes of `first` to `last` exit.
    pub const fn forbid_writes(mut self, first: u32, last: u32) -> Self {
        let mut register = first;
        while register <= last {
            let Some((byte, mask)) = Self::place(register) else { panic!("outside of the bitmap") };
            self.0[byte + WRITES] |= mask;
            register += 1;
        }
        self
    }
    /// This bitmap, in which every access to `first` to `last` exits.
    pub const fn forbid(self, first: u32, last: u32) -> Self {
        let mut this = self.forbid_writes(first, last);
        let mut register = first;
        while register <= last {
            let Some((byte, mask)) = Self::place(register) else { panic!("outside of the bitmap") };
            this.0[byte] |= mask;
            register += 1;
        }
        this
    }
}

/// What guests have for their own: what an entry and an exit switch, or what is switched when a VP is loaded.
pub static GUEST_MSRS: MsrBitmap = MsrBitmap::closed()
    .allow_reads(msr::TSC)
    .allow(msr::SYSENTER_CS)
    .allow(msr::SYSENTER_ESP)
    .allow(msr::SYSENTER_EIP)
    .allow(msr::PAT)
    .allow(msr::STAR)
    .allow(msr::LSTAR)
    .allow(msr::CSTAR)
    .allow(msr::SFMASK)
    .allow(msr::FS_BASE)
    .allow(msr::GS_BASE)
    .allow(msr::KERNEL_GS_BASE)
    .allow(msr::TSC_AUX);

/// What guests find beside those.
pub static FIXED_MSRS: [FixedMsr; 2] = [
    // Locked, nothing enabled.
    FixedMsr { number: vmx::IA32_FEATURE_CONTROL, value: 1, ignores_writes: false },
    // Fast strings; no branch trace store, no precise event sampling.
    FixedMsr { number: msr::MISC_ENABLE, value: 1 | 1 << 11 | 1 << 12, ignores_writes: true },
];

const TSC_ADJUST: u32 = 0x3B;
const MICROCODE_UPDATE: u32 = 0x79;
const SMM_MONITOR_CTL: u32 = 0x9B;
const SMRR_FIRST: u32 = 0x1F2;
const SMRR_LAST: u32 = 0x1F3;
const MTRR_FIRST: u32 = 0x200;
const MTRR_FIXED_LAST: u32 = 0x26F;
const PEBS_ENABLE: u32 = 0x3F1;
const RTIT_FIRST: u32 = 0x560;
const RTIT_LAST: u32 = 0x587;
const DS_AREA: u32 = 0x600;

/// The root has all but what would reach the hypervisor: its use of VT-x, where addresses lead (the APIC's, what is
/// RAM and how it is cached), where SMM's code is, the time stamp counter, the processor's microcode, and what writes to
/// memory past EPT: samples go to the linear address DS_AREA on whatever tables are in use, traces to a physical address.
pub static ROOT_MSRS: MsrBitmap = MsrBitmap::open()
    .forbid_writes(msr::TSC, msr::TSC)
    .forbid_writes(TSC_ADJUST, TSC_ADJUST)
    .forbid_writes(PEBS_ENABLE, PEBS_ENABLE)
    .forbid_writes(RTIT_FIRST, RTIT_LAST)
    .forbid_writes(DS_AREA, DS_AREA)
    .forbid_writes(msr::APIC_BASE, msr::APIC_BASE)
    .forbid(vmx::IA32_FEATURE_CONTROL, vmx::IA32_FEATURE_CONTROL)
    .forbid_writes(MICROCODE_UPDATE, MICROCODE_UPDATE)
    .forbid_writes(SMM_MONITOR_CTL, SMM_MONITOR_CTL)
    .forbid_writes(SMRR_FIRST, SMRR_LAST)
    .forbid_writes(MTRR_FIRST, MTRR_FIXED_LAST)
    .forbid_writes(msr::MTRR_DEF_TYPE, msr::MTRR_DEF_TYPE)
    .forbid(vmx::IA32_VMX_BASIC, vmx::IA32_VMX_LAST);

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads exit, writes exit.
    fn exits(map: &MsrBitmap, register: u32) -> (bool, bool) {
        let (byte, mask) = MsrBitmap::place(register).unwrap();
        (map.0[byte] & mask != 0, map.0[byte + WRITES] & mask != 0)
    }

    #[test]
    fn guests_reach_only_what_is_switched() {
        assert_eq!(exits(&GUEST_MSRS, msr::LSTAR), (false, false));
        assert_eq!(exits(&GUEST_MSRS, msr::TSC), (false, true));
        for register in [msr::EFER, msr::APIC_BASE, vmx::IA32_VMX_BASIC, 0x1D9, 0x2FF, 0x802, 0x1A0] {
            assert_eq!(exits(&GUEST_MSRS, register), (true, true), "{register:#x}");
        }
        let open = GUEST_MSRS.0.iter().map(|byte| byte.count_zeros()).sum::<u32>();
        assert_eq!(open, 12 * 2 + 1);
    }

    #[test]
    fn the_root_reaches_all_but_the_hypervisors() {
        for register in [vmx::IA32_FEATURE_CONTROL, vmx::IA32_VMX_BASIC, vmx::IA32_VMX_EPT_VPID_CAP] {
            assert_eq!(exits(&ROOT_MSRS, register), (true, true), "{register:#x}");
        }
        let where_memory_is = [msr::APIC_BASE, 0x200, 0x26F, 0x2FF, 0x1F2, 0x560, 0x570, 0x3F1, 0x600];
        for register in where_memory_is.into_iter().chain([msr::TSC, TSC_ADJUST, MICROCODE_UPDATE]) {
            assert_eq!(exits(&ROOT_MSRS, register), (false, true), "{register:#x}");
        }
        for register in [msr::EFER, msr::PAT, msr::LSTAR, 0x802, 0x1A0] {
            assert_eq!(exits(&ROOT_MSRS, register), (false, false), "{register:#x}");
        }
    }

    #[test]
    fn places_are_those_of_the_manual() {
        assert_eq!(MsrBitmap::place(0x1FFF), Some((0x3FF, 0x80)));
        assert_eq!(MsrBitmap::place(0xC000_0080), Some((0x410, 1)));
        assert_eq!(MsrBitmap::place(0x4000_0000), None);
        assert_eq!(MsrBitmap::place(0xC001_0000), None);
    }
}
