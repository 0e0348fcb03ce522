//! The virtual machine control block (APM vol. 2, appendix B): its layout, and what the fields mean.

use bitfield_struct::bitfield;
use bitflags::bitflags;
use hv_abi::registers::{HvSegmentAttributes, HvSegmentRegister, HvTableRegister};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, transmute_mut, transmute_ref};

use crate::event::PendingEvent;

bitflags! {
    /// Intercepts of the first vector (offset 00Ch), those that are used here.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[repr(transparent)]
    pub struct Intercepts: u32 {
        /// Physical maskable interrupts.
        const INTR = 1 << 0;
        /// NMIs.
        const NMI = 1 << 1;
        /// INIT.
        const INIT = 1 << 3;
        /// The guest can take the virtual interrupt.
        const VINTR = 1 << 4;
        /// RDPMC.
        const RDPMC = 1 << 15;
        /// CPUID.
        const CPUID = 1 << 18;
        /// IRET.
        const IRET = 1 << 20;
        /// INVD.
        const INVD = 1 << 22;
        /// PAUSE.
        const PAUSE = 1 << 23;
        /// HLT.
        const HLT = 1 << 24;
        /// INVLPGA.
        const INVLPGA = 1 << 26;
        /// Ports, as the permission map says.
        const IOIO_PROT = 1 << 27;
        /// Model-specific registers, as the permission map says.
        const MSR_PROT = 1 << 28;
        /// Shutdown: a triple fault.
        const SHUTDOWN = 1 << 31;
    }

    /// Intercepts of the second vector (offset 010h), those that are used here.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[repr(transparent)]
    pub struct MoreIntercepts: u32 {
        /// VMRUN, which must be set, VMMCALL, VMLOAD, VMSAVE, STGI, CLGI, SKINIT.
        const SVM = 0x7F;
        /// WBINVD and WBNOINVD.
        const WBINVD = 1 << 9;
        /// MONITOR, and MWAIT, armed or not.
        const MONITOR_MWAIT = 0b111 << 10;
        /// XSETBV.
        const XSETBV = 1 << 13;
        /// RDPRU, which no guest's CPUID names.
        const RDPRU = 1 << 14;
    }

    /// Groups of fields that the processor may keep in a cache between runs (offset 0C0h): a bit that is set says that
    /// nothing in the group was changed. Those that are used here.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[repr(transparent)]
    pub struct CleanBits: u32 {
        /// Intercepts, TSC offset.
        const INTERCEPTS = 1 << 0;
        /// Virtual interrupts.
        const INTERRUPTS = 1 << 3;
        /// Nested paging: nested CR3, PAT.
        const NESTED_PAGING = 1 << 4;
        /// CR0, CR3, CR4, EFER.
        const CONTROL_REGISTERS = 1 << 5;
        /// DR6, DR7.
        const DEBUG_REGISTERS = 1 << 6;
        /// All, the others too.
        const ALL = u32::MAX;
    }
}

/// Virtual interrupt control (offset 060h).
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
pub struct InterruptControl {
    /// The guest's task priority: CR8.
    pub v_tpr: u8,
    /// A virtual interrupt is pending.
    pub v_irq: bool,
    #[bits(7)]
    _vgif: u8,
    /// Its priority.
    #[bits(4)]
    pub v_intr_prio: u8,
    #[bits(4)]
    _v_ign_tpr: u8,
    /// RFLAGS.IF and CR8 are about virtual interrupts; physical ones follow the host's.
    pub v_intr_masking: bool,
    #[bits(7)]
    _avic: u8,
    /// Its vector.
    pub v_intr_vector: u8,
    #[bits(24)]
    _reserved2: u32,
}

/// What TLB_CONTROL asks for at VMRUN (offset 05Ch).
pub mod tlb_control {
    /// Nothing.
    pub const NOTHING: u8 = 0;
    /// Forget everything, of all ASIDs.
    pub const FLUSH_ALL: u8 = 1;
    /// Forget this guest's ASID.
    pub const FLUSH_ASID: u8 = 3;
}

/// Exit codes (APM vol. 2, appendix C).
pub mod exit_code {
    #![expect(missing_docs, reason = "the manual's names")]
    pub const EXCEPTION: u64 = 0x40;
    pub const EXCEPTION_LAST: u64 = 0x5F;
    pub const INTR: u64 = 0x60;
    pub const NMI: u64 = 0x61;
    pub const INIT: u64 = 0x63;
    pub const VINTR: u64 = 0x64;
    pub const RDPMC: u64 = 0x6F;
    pub const CPUID: u64 = 0x72;
    pub const IRET: u64 = 0x74;
    pub const INVD: u64 = 0x76;
    pub const PAUSE: u64 = 0x77;
    pub const HLT: u64 = 0x78;
    pub const INVLPGA: u64 = 0x7A;
    pub const IOIO: u64 = 0x7B;
    pub const MSR: u64 = 0x7C;
    pub const SHUTDOWN: u64 = 0x7F;
    pub const VMRUN: u64 = 0x80;
    pub const VMMCALL: u64 = 0x81;
    pub const WBINVD: u64 = 0x89;
    pub const XSETBV: u64 = 0x8D;
    pub const NPF: u64 = 0x400;
}

/// A segment register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Segment {
    /// Selector.
    pub selector: u16,
    /// Bits 55:52 and 47:40 of the descriptor.
    pub attributes: u16,
    /// Limit in bytes.
    pub limit: u32,
    /// Base.
    pub base: u64,
}

impl Segment {
    /// From the form of the TLFS, whose attributes are a descriptor's bits 55:40.
    pub fn from_hv(segment: HvSegmentRegister) -> Self {
        let bits = segment.attributes.into_bits();
        Self {
            selector: segment.selector,
            attributes: bits & 0xFF | (bits >> 4) & 0xF00,
            limit: segment.limit,
            base: segment.base,
        }
    }
    /// From a table register, which has base and limit only.
    pub fn from_table(table: HvTableRegister) -> Self {
        Self { limit: u32::from(table.limit), base: table.base, ..Self::default() }
    }
    /// The table register in the form of the TLFS.
    pub const fn to_table(self) -> HvTableRegister {
        HvTableRegister { padding: [0; 3], limit: self.limit as u16, base: self.base }
    }
    /// In the form of the TLFS.
    pub fn to_hv(self) -> HvSegmentRegister {
        let bits = self.attributes & 0xFF | (self.attributes & 0xF00) << 4;
        HvSegmentRegister {
            base: self.base,
            limit: self.limit,
            selector: self.selector,
            attributes: HvSegmentAttributes::from_bits(bits),
        }
    }
}

/// The control area.
#[derive(Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the manual's names")]
pub struct Control {
    pub intercept_cr: u32,
    pub intercept_dr: u32,
    pub intercept_exceptions: u32,
    pub intercepts: Intercepts,
    pub more_intercepts: MoreIntercepts,
    _reserved: [u32; 10],
    _pause_filter: u32,
    pub iopm_base_pa: u64,
    pub msrpm_base_pa: u64,
    pub tsc_offset: u64,
    pub guest_asid: u32,
    pub tlb_control: u8,
    _reserved2: [u8; 3],
    pub interrupt_control: InterruptControl,
    /// Bit 0: interrupt shadow.
    pub interrupt_shadow: u64,
    pub exitcode: u64,
    pub exitinfo1: u64,
    pub exitinfo2: u64,
    pub exitintinfo: PendingEvent,
    /// Bit 0: nested paging.
    pub nested_control: u64,
    _avic_bar: u64,
    _ghcb: u64,
    pub eventinj: PendingEvent,
    pub n_cr3: u64,
    _lbr_virtualization: u64,
    pub clean: CleanBits,
    _reserved3: u32,
    pub nrip: u64,
    pub bytes_fetched: u8,
    pub instruction: [u8; 15],
    _reserved4: [u64; 100],
}

/// The state save area.
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[expect(missing_docs, reason = "the manual's names")]
pub struct Save {
    /// ES, CS, SS, DS, FS, GS, GDTR, LDTR, IDTR, TR.
    pub segments: [Segment; 10],
    _reserved: [u8; 43],
    pub cpl: u8,
    _reserved2: u32,
    pub efer: u64,
    _reserved3: [u64; 14],
    pub cr4: u64,
    pub cr3: u64,
    pub cr0: u64,
    pub dr7: u64,
    pub dr6: u64,
    pub rflags: u64,
    pub rip: u64,
    _reserved4: [u64; 11],
    pub rsp: u64,
    _shadow_stack: [u64; 3],
    pub rax: u64,
    pub star: u64,
    pub lstar: u64,
    pub cstar: u64,
    pub sfmask: u64,
    pub kernel_gs_base: u64,
    pub sysenter_cs: u64,
    pub sysenter_esp: u64,
    pub sysenter_eip: u64,
    pub cr2: u64,
    _reserved5: [u64; 4],
    pub g_pat: u64,
    pub dbgctl: u64,
    _last_branches: [u64; 4],
    _reserved6: [u64; 9],
    pub spec_ctrl: u64,
}

impl Save {
    const WORDS: usize = size_of::<Self>() / 8;

    /// CS.
    pub const fn cs(&self) -> &Segment {
        &self.segments[1]
    }
    /// All of it as words.
    #[inline(always)]
    pub const fn words(&self) -> &[u64; Self::WORDS] {
        transmute_ref!(self)
    }
    /// All of it as words.
    #[inline(always)]
    pub fn words_mut(&mut self) -> &mut [u64; Self::WORDS] {
        transmute_mut!(self)
    }
}

/// The whole block: a page of its own.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Vmcb {
    /// Control area.
    pub control: Control,
    /// State save area.
    pub save: Save,
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<Vmcb>() == 4096 && offset_of!(Vmcb, save) == 0x400);
    macro_rules! at {
        ($block:ident: $($field:ident $offset:literal),*) => {
            $(assert!(offset_of!($block, $field) == $offset);)*
        };
    }
    at!(Control: intercepts 0x00C, iopm_base_pa 0x040, guest_asid 0x058, interrupt_control 0x060, exitcode 0x070,
        exitintinfo 0x088, nested_control 0x090, eventinj 0x0A8, n_cr3 0x0B0, clean 0x0C0, nrip 0x0C8,
        bytes_fetched 0x0D0);
    at!(Save: cpl 0x0CB, efer 0x0D0, cr4 0x148, dr6 0x168, rip 0x178, rsp 0x1D8, rax 0x1F8, sfmask 0x218,
        sysenter_cs 0x228, cr2 0x240, g_pat 0x268, spec_ctrl 0x2E0);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_where_the_manual_has_them() {
        // No RDTSCP, no ICEBP, no trap behind a write.
        assert_eq!(MoreIntercepts::all().bits(), 0x7E7F);
        let control =
            InterruptControl::new().with_v_irq(true).with_v_intr_prio(0xF).with_v_intr_masking(true);
        assert_eq!(control.into_bits(), 1 << 8 | 0xF << 16 | 1 << 24);
        assert_eq!(InterruptControl::new().with_v_intr_vector(0x51).into_bits(), 0x51 << 32);
    }

    #[test]
    fn segments_survive_both_ways() {
        let code = HvSegmentRegister {
            base: 0x1234,
            limit: 0xFFFF_FFFF,
            selector: 8,
            attributes: HvSegmentAttributes::from_bits(0xA09B),
        };
        assert_eq!(Segment::from_hv(code).attributes, 0xA9B);
        assert_eq!(Segment::from_hv(code).to_hv(), code);
    }
}
