//! Registers that are in the control block, by their TLFS name.

use hv_abi::registers::{HvInterruptState, HvRegisterName, HvRegisterValue, HvTableRegister};

use crate::arch::svm::enable::SVME;
use crate::arch::svm::event::NmiState;
use crate::arch::svm::exit::host_tsc;
use crate::arch::svm::processor::SvmProcessor;
use crate::arch::svm::vmcb::{CleanBits, Intercepts, Segment};

use HvRegisterName as Name;

/// EFER's bits that a guest may have: SCE, LME, LMA, NXE, LMSLE, FFXSR, TCE.
const EFER_BITS: u64 = 0x0000_ED01;

impl SvmProcessor {
    /// Inlined, so that a name that is known comes to one load.
    #[inline(always)]
    pub fn known_register(&self, name: HvRegisterName) -> Option<HvRegisterValue> {
        if let Some(value) = self.segment(name) {
            return Some(value);
        }
        let save = &self.vmcb.save;
        Some(HvRegisterValue::from_u64(match name {
            Name::Rip => save.rip,
            Name::Rflags => save.rflags,
            Name::Cr0 => save.cr0,
            Name::Cr2 => save.cr2,
            Name::Cr3 => save.cr3,
            Name::Cr4 => save.cr4,
            Name::Cr8 => u64::from(self.vmcb.control.interrupt_control.v_tpr() & 0xF),
            Name::Dr6 => save.dr6,
            Name::Dr7 => save.dr7,
            Name::Tsc => host_tsc().wrapping_add(self.vmcb.control.tsc_offset),
            Name::Efer => save.efer & !SVME,
            Name::KernelGsBase => save.kernel_gs_base,
            Name::Pat => save.g_pat,
            Name::SysenterCs => save.sysenter_cs,
            Name::SysenterEip => save.sysenter_eip,
            Name::SysenterEsp => save.sysenter_esp,
            Name::Star => save.star,
            Name::Lstar => save.lstar,
            Name::Cstar => save.cstar,
            Name::Sfmask => save.sfmask,
            Name::InterruptState => HvInterruptState::new()
                .with_interrupt_shadow(self.vmcb.control.interrupt_shadow & 1 != 0)
                .with_nmi_masked(!self.nmi.is_open(save.rip))
                .into_bits(),
            _ => return None,
        }))
    }

    #[inline(always)]
    fn segment(&self, name: HvRegisterName) -> Option<HvRegisterValue> {
        let save = &self.vmcb.save;
        let segment = match name {
            Name::Es => save.es,
            Name::Cs => save.cs,
            Name::Ss => save.ss,
            Name::Ds => save.ds,
            Name::Fs => save.fs,
            Name::Gs => save.gs,
            Name::Ldtr => save.ldtr,
            Name::Tr => save.tr,
            Name::Gdtr => return Some(table(save.gdtr)),
            Name::Idtr => return Some(table(save.idtr)),
            _ => return None,
        };
        Some(HvRegisterValue::from_segment(segment.to_hv()))
    }

    /// Sets one, whose value is acceptable ([`crate::arch::registers`]); `false`: it is not here, or SVM refuses the value.
    pub fn set_register(&mut self, name: HvRegisterName, value: HvRegisterValue) -> bool {
        self.control().clean = CleanBits::empty();
        if self.set_segment(name, value) {
            return true;
        }
        let v = value.as_u64();
        if matches!(name, Name::Cr0 | Name::Cr3 | Name::Cr4 | Name::Efer) {
            // Translations by other tables, or in another mode: a VMRUN keeps those of its ASID.
            self.flush_second_level();
        }
        let save = &mut self.vmcb.save;
        match name {
            Name::Rip => save.rip = v,
            Name::Rflags => save.rflags = v | 2,
            Name::Cr0 => save.cr0 = v | 0x10,
            Name::Cr2 => save.cr2 = v,
            Name::Cr3 => save.cr3 = v,
            Name::Cr4 => save.cr4 = v,
            Name::Cr8 => self.vmcb.control.interrupt_control.set_v_tpr(v as u8),
            Name::Dr6 => save.dr6 = v,
            Name::Dr7 => save.dr7 = v,
            Name::Tsc => self.vmcb.control.tsc_offset = v.wrapping_sub(host_tsc()),
            Name::Efer if v & !EFER_BITS == 0 => save.efer = v | SVME,
            Name::KernelGsBase => save.kernel_gs_base = v,
            Name::Pat => save.g_pat = v,
            Name::SysenterCs => save.sysenter_cs = v,
            Name::SysenterEip => save.sysenter_eip = v,
            Name::SysenterEsp => save.sysenter_esp = v,
            Name::Star => save.star = v,
            Name::Lstar => save.lstar = v,
            Name::Cstar => save.cstar = v,
            Name::Sfmask => save.sfmask = v,
            Name::InterruptState => self.set_interrupt_state(HvInterruptState::from_bits(v)),
            _ => return false,
        }
        true
    }

    fn set_segment(&mut self, name: HvRegisterName, value: HvRegisterValue) -> bool {
        let segment = Segment::from_hv(value.as_segment());
        let save = &mut self.vmcb.save;
        match name {
            Name::Es => save.es = segment,
            Name::Cs => save.cs = segment,
            Name::Ss => {
                save.ss = segment;
                // The privilege level is that of the stack segment (APM vol. 2, 15.5.1).
                save.cpl = (segment.attributes >> 5 & 3) as u8;
            }
            Name::Ds => save.ds = segment,
            Name::Fs => save.fs = segment,
            Name::Gs => save.gs = segment,
            Name::Ldtr => save.ldtr = segment,
            Name::Tr => save.tr = segment,
            Name::Gdtr => save.gdtr = from_table(value.as_table()),
            Name::Idtr => save.idtr = from_table(value.as_table()),
            _ => return false,
        }
        true
    }

    fn set_interrupt_state(&mut self, state: HvInterruptState) {
        self.control().interrupt_shadow = u64::from(state.interrupt_shadow());
        let masked = state.nmi_masked();
        self.nmi = if masked { NmiState::InHandler } else { NmiState::Open };
        self.control().intercepts.set(Intercepts::IRET, masked);
    }
}

fn table(segment: Segment) -> HvRegisterValue {
    HvRegisterValue::from_table(HvTableRegister {
        padding: [0; 3],
        limit: segment.limit as u16,
        base: segment.base,
    })
}

fn from_table(table: HvTableRegister) -> Segment {
    Segment { selector: 0, attributes: 0, limit: u32::from(table.limit), base: table.base }
}
