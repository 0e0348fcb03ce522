//! The virtual machine control block (APM vol. 2, appendix B): its layout, and what the fields mean.

use bitfield_struct::bitfield;
use hv_abi::registers::{HvSegmentAttributes, HvSegmentRegister};

/// Intercepts of the first vector (offset 00Ch), which bits 18 and up of this page name where they are used here.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct Intercepts {
    /// Physical maskable interrupts.
    pub intr: bool,
    /// NMIs.
    pub nmi: bool,
    /// SMIs.
    pub smi: bool,
    /// INIT.
    pub init: bool,
    /// The guest can take the virtual interrupt.
    pub vintr: bool,
    /// Writes of CR0 bits other than TS and MP, table registers, and RDTSC: not used.
    #[bits(10)]
    _unused: u16,
    /// RDPMC.
    pub rdpmc: bool,
    /// PUSHF, POPF: not used.
    #[bits(2)]
    _flags: u8,
    /// CPUID.
    pub cpuid: bool,
    /// RSM.
    pub rsm: bool,
    /// IRET.
    pub iret: bool,
    /// INTn.
    pub software_interrupt: bool,
    /// INVD.
    pub invd: bool,
    /// PAUSE.
    pub pause: bool,
    /// HLT.
    pub hlt: bool,
    /// INVLPG.
    pub invlpg: bool,
    /// INVLPGA.
    pub invlpga: bool,
    /// Ports, as the permission map says.
    pub ioio_prot: bool,
    /// Model-specific registers, as the permission map says.
    pub msr_prot: bool,
    /// Task switches.
    pub task_switch: bool,
    /// FERR.
    pub ferr_freeze: bool,
    /// Shutdown: a triple fault.
    pub shutdown: bool,
}

/// Intercepts of the second vector (offset 010h).
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct MoreIntercepts {
    /// VMRUN; must be set.
    pub vmrun: bool,
    /// VMMCALL.
    pub vmmcall: bool,
    /// VMLOAD.
    pub vmload: bool,
    /// VMSAVE.
    pub vmsave: bool,
    /// STGI.
    pub stgi: bool,
    /// CLGI.
    pub clgi: bool,
    /// SKINIT.
    pub skinit: bool,
    /// RDTSCP.
    pub rdtscp: bool,
    /// ICEBP.
    pub icebp: bool,
    /// WBINVD and WBNOINVD.
    pub wbinvd: bool,
    /// MONITOR.
    pub monitor: bool,
    /// MWAIT.
    pub mwait: bool,
    /// MWAIT when armed.
    pub mwait_armed: bool,
    /// XSETBV.
    pub xsetbv: bool,
    /// RDPRU.
    pub rdpru: bool,
    /// Writes of EFER and the control registers, after they are done: not used.
    #[bits(17)]
    _after: u32,
}

/// Virtual interrupt control (offset 060h).
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
pub struct InterruptControl {
    /// The guest's task priority: CR8.
    pub v_tpr: u8,
    /// A virtual interrupt is pending.
    pub v_irq: bool,
    /// Virtual GIF: not used.
    #[bits(7)]
    _vgif: u8,
    /// Its priority.
    #[bits(4)]
    pub v_intr_prio: u8,
    /// It ignores the task priority.
    pub v_ign_tpr: bool,
    #[bits(3)]
    _reserved: u8,
    /// RFLAGS.IF and CR8 are about virtual interrupts; physical ones follow the host's.
    pub v_intr_masking: bool,
    #[bits(7)]
    _avic: u8,
    /// Its vector.
    pub v_intr_vector: u8,
    #[bits(24)]
    _reserved2: u32,
}

/// An event that is delivered at VMRUN, or that an exit interrupted (offsets 0A8h and 088h).
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
pub struct EventInjection {
    /// Vector.
    pub vector: u8,
    /// One of [`event_type`].
    #[bits(3)]
    pub event_type: u8,
    /// It has an error code.
    pub error_code_valid: bool,
    #[bits(19)]
    _reserved: u32,
    /// There is one.
    pub valid: bool,
    /// Error code.
    pub error_code: u32,
}

impl EventInjection {
    /// An instruction raised it on purpose: INTn, INT3, INTO. RIP is still there when its delivery is interrupted.
    pub const fn is_of_instruction(self) -> bool {
        const BREAKPOINT: u8 = 3;
        const OVERFLOW: u8 = 4;
        match self.event_type() {
            event_type::SOFTWARE => true,
            event_type::EXCEPTION => matches!(self.vector(), BREAKPOINT | OVERFLOW),
            _ => false,
        }
    }
}

/// Types of events.
pub mod event_type {
    /// External or virtual interrupt.
    pub const INTERRUPT: u8 = 0;
    /// NMI.
    pub const NMI: u8 = 2;
    /// Exception.
    pub const EXCEPTION: u8 = 3;
    /// INTn.
    pub const SOFTWARE: u8 = 4;
}

/// Groups of fields that the processor may keep in a cache between runs (offset 0C0h): a bit that is set says that
/// nothing in the group was changed.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct CleanBits {
    /// Intercepts, TSC offset.
    pub intercepts: bool,
    /// Permission maps.
    pub permission_maps: bool,
    /// ASID.
    pub asid: bool,
    /// Virtual interrupts.
    pub interrupts: bool,
    /// Nested paging: nested CR3, PAT.
    pub nested_paging: bool,
    /// CR0, CR3, CR4, EFER.
    pub control_registers: bool,
    /// DR6, DR7.
    pub debug_registers: bool,
    /// GDTR, IDTR.
    pub descriptor_tables: bool,
    /// CS, DS, SS, ES, CPL.
    pub segments: bool,
    /// CR2.
    pub cr2: bool,
    /// Last branches.
    pub last_branches: bool,
    #[bits(21)]
    _reserved: u32,
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
    pub const SMI: u64 = 0x62;
    pub const INIT: u64 = 0x63;
    pub const VINTR: u64 = 0x64;
    pub const RDPMC: u64 = 0x6F;
    pub const CPUID: u64 = 0x72;
    pub const IRET: u64 = 0x74;
    pub const INVD: u64 = 0x76;
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
    pub const INVALID: u64 = u64::MAX;
}

/// A segment register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    pub exitintinfo: EventInjection,
    /// Bit 0: nested paging.
    pub nested_control: u64,
    _avic_bar: u64,
    _ghcb: u64,
    pub eventinj: EventInjection,
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
#[derive(Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the manual's names")]
pub struct Save {
    pub es: Segment,
    pub cs: Segment,
    pub ss: Segment,
    pub ds: Segment,
    pub fs: Segment,
    pub gs: Segment,
    pub gdtr: Segment,
    pub ldtr: Segment,
    pub idtr: Segment,
    pub tr: Segment,
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
    assert!(offset_of!(Control, intercepts) == 0x00C);
    assert!(offset_of!(Control, iopm_base_pa) == 0x040);
    assert!(offset_of!(Control, guest_asid) == 0x058);
    assert!(offset_of!(Control, interrupt_control) == 0x060);
    assert!(offset_of!(Control, exitcode) == 0x070);
    assert!(offset_of!(Control, exitintinfo) == 0x088);
    assert!(offset_of!(Control, nested_control) == 0x090);
    assert!(offset_of!(Control, eventinj) == 0x0A8);
    assert!(offset_of!(Control, n_cr3) == 0x0B0);
    assert!(offset_of!(Control, clean) == 0x0C0);
    assert!(offset_of!(Control, nrip) == 0x0C8);
    assert!(offset_of!(Control, bytes_fetched) == 0x0D0);
    assert!(offset_of!(Save, tr) == 0x090);
    assert!(offset_of!(Save, cpl) == 0x0CB);
    assert!(offset_of!(Save, efer) == 0x0D0);
    assert!(offset_of!(Save, cr4) == 0x148);
    assert!(offset_of!(Save, dr6) == 0x168);
    assert!(offset_of!(Save, rip) == 0x178);
    assert!(offset_of!(Save, rsp) == 0x1D8);
    assert!(offset_of!(Save, rax) == 0x1F8);
    assert!(offset_of!(Save, sfmask) == 0x218);
    assert!(offset_of!(Save, sysenter_cs) == 0x228);
    assert!(offset_of!(Save, cr2) == 0x240);
    assert!(offset_of!(Save, g_pat) == 0x268);
    assert!(offset_of!(Save, spec_ctrl) == 0x2E0);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_where_the_manual_has_them() {
        assert_eq!(Intercepts::new().with_cpuid(true).into_bits(), 1 << 18);
        assert_eq!(Intercepts::new().with_hlt(true).with_shutdown(true).into_bits(), 1 << 24 | 1 << 31);
        assert_eq!(Intercepts::new().with_ioio_prot(true).with_msr_prot(true).into_bits(), 3 << 27);
        assert_eq!(MoreIntercepts::new().with_xsetbv(true).with_wbinvd(true).into_bits(), 1 << 13 | 1 << 9);
        let control =
            InterruptControl::new().with_v_irq(true).with_v_intr_prio(0xF).with_v_intr_masking(true);
        assert_eq!(control.into_bits(), 1 << 8 | 0xF << 16 | 1 << 24);
        assert_eq!(InterruptControl::new().with_v_ign_tpr(true).into_bits(), 1 << 20);
        assert_eq!(InterruptControl::new().with_v_intr_vector(0x51).into_bits(), 0x51 << 32);
        let event = EventInjection::new().with_vector(13).with_event_type(event_type::EXCEPTION);
        let event = event.with_error_code_valid(true).with_valid(true).with_error_code(5);
        assert_eq!(event.into_bits(), 13 | 3 << 8 | 1 << 11 | 1 << 31 | 5 << 32);
        assert_eq!(CleanBits::new().with_cr2(true).into_bits(), 1 << 9);
    }

    #[test]
    fn what_an_instruction_raises_is_told_apart() {
        let event =
            |event_type, vector| EventInjection::new().with_event_type(event_type).with_vector(vector);
        for of_instruction in [event(event_type::SOFTWARE, 0x80), event(event_type::EXCEPTION, 3)] {
            assert!(of_instruction.is_of_instruction());
        }
        for other in [(event_type::INTERRUPT, 3), (event_type::NMI, 2), (event_type::EXCEPTION, 14)] {
            assert!(!event(other.0, other.1).is_of_instruction());
        }
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
