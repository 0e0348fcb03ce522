//! Registers by their TLFS name.

use hv_abi::registers::{
    HvInterruptState, HvPendingInterruption, HvRegisterName, HvRegisterValue, HvTableRegister,
};
use hv_abi::status::{HvResult, HvStatus};

use crate::arch::svm::enable::SVME;
use crate::arch::svm::event::NmiState;
use crate::arch::svm::exit::host_tsc;
use crate::arch::svm::processor::SvmProcessor;
use crate::arch::svm::vmcb::{CleanBits, Segment};
use crate::backend::VirtualProcessorBackend;

use HvRegisterName as Name;

/// EFER's bits that a guest may have: SCE, LME, LMA, NXE, LMSLE, FFXSR, TCE.
const EFER_BITS: u64 = 0x0000_ED01;
/// Bits 63:32 of CR0, DR6 and DR7 are zero.
const HIGH: u64 = 0xFFFF_FFFF << 32;
/// RFLAGS: bit 1 is one, 3, 5, 15 and 22 up are zero.
const RFLAGS_ZERO: u64 = !0x3F_7FD7;

impl SvmProcessor {
    pub(super) fn extended_is_off(&self) -> bool {
        !self.extended.is_loaded()
    }

    /// Inlined, so that a name that is known comes to one load.
    #[inline(always)]
    pub(super) fn register(&self, name: HvRegisterName) -> Option<HvRegisterValue> {
        if let Some(value) = self.segment(name) {
            return Some(value);
        }
        let save = &self.vmcb.save;
        let [dr0, dr1, dr2, dr3] = match name {
            Name::Dr0 | Name::Dr1 | Name::Dr2 | Name::Dr3 => self.extended.debug_registers(),
            _ => [0; 4],
        };
        Some(HvRegisterValue::from_u64(match name {
            Name::Rip => save.rip,
            Name::Rflags => save.rflags,
            Name::Cr0 => save.cr0,
            Name::Cr2 => save.cr2,
            Name::Cr3 => save.cr3,
            Name::Cr4 => save.cr4,
            Name::Cr8 => u64::from(self.vmcb.control.interrupt_control.v_tpr() & 0xF),
            Name::Xfem => self.extended.xcr0(),
            Name::Dr0 => dr0,
            Name::Dr1 => dr1,
            Name::Dr2 => dr2,
            Name::Dr3 => dr3,
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
            Name::TscAux => self.extended.tsc_aux(),
            Name::PendingInterruption => self.pending_interruption().into_bits(),
            Name::InterruptState => HvInterruptState::new()
                .with_interrupt_shadow(self.vmcb.control.interrupt_shadow & 1 != 0)
                .with_nmi_masked(!self.nmi.is_open(save.rip))
                .into_bits(),
            _ => return self.general(name),
        }))
    }

    #[inline(always)]
    fn general(&self, name: HvRegisterName) -> Option<HvRegisterValue> {
        let index = name.0.checked_sub(Name::Rax.0)?;
        self.gprs.to_array().get(index as usize).copied().map(HvRegisterValue::from_u64)
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

    pub(super) fn set_register(&mut self, name: HvRegisterName, value: HvRegisterValue) -> HvResult<()> {
        self.control().clean = CleanBits::new();
        if self.set_segment(name, value) {
            return Ok(());
        }
        let refused = Err(HvStatus::INVALID_PARAMETER);
        let v = value.as_u64();
        if matches!(name, Name::Cr0 | Name::Cr3 | Name::Cr4 | Name::Efer) {
            // Translations by other tables, or in another mode: a VMRUN keeps those of its ASID.
            self.flush_second_level();
        }
        let save = &mut self.vmcb.save;
        match name {
            Name::Rip => save.rip = v,
            Name::Rflags if v & RFLAGS_ZERO == 0 => save.rflags = v | 2,
            Name::Cr0 if v & HIGH == 0 => save.cr0 = v | 0x10,
            Name::Cr2 => save.cr2 = v,
            Name::Cr3 if v >> 52 == 0 => save.cr3 = v,
            Name::Cr4 if v & HIGH == 0 => save.cr4 = v,
            Name::Cr8 if v <= 0xF => self.vmcb.control.interrupt_control.set_v_tpr(v as u8),
            Name::Xfem if self.extended.set_xcr0(v) => (),
            Name::Dr0 | Name::Dr1 | Name::Dr2 | Name::Dr3 => self.set_breakpoint(name, v),
            Name::Dr6 if v & HIGH == 0 => save.dr6 = v,
            Name::Dr7 if v & HIGH == 0 => save.dr7 = v,
            Name::Tsc => self.vmcb.control.tsc_offset = v.wrapping_sub(host_tsc()),
            Name::Efer if v & !EFER_BITS == 0 => save.efer = v | SVME,
            Name::KernelGsBase => save.kernel_gs_base = v,
            Name::Pat if is_valid_pat(v) => save.g_pat = v,
            Name::SysenterCs => save.sysenter_cs = v,
            Name::SysenterEip => save.sysenter_eip = v,
            Name::SysenterEsp => save.sysenter_esp = v,
            Name::Star => save.star = v,
            Name::Lstar => save.lstar = v,
            Name::Cstar => save.cstar = v,
            Name::Sfmask => save.sfmask = v,
            Name::TscAux => self.extended.set_tsc_aux(v),
            Name::PendingInterruption => {
                if !self.set_pending_interruption(HvPendingInterruption::from_bits(v)) {
                    return refused;
                }
            }
            Name::InterruptState => self.set_interrupt_state(HvInterruptState::from_bits(v)),
            _ => return self.set_general(name, v),
        }
        Ok(())
    }

    fn set_general(&mut self, name: HvRegisterName, value: u64) -> HvResult<()> {
        let index = name.0.wrapping_sub(Name::Rax.0) as usize;
        let mut all = self.gprs.to_array();
        *all.get_mut(index).ok_or(HvStatus::INVALID_PARAMETER)? = value;
        self.gprs = crate::backend::Gprs::from_array(all);
        Ok(())
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

    fn set_breakpoint(&mut self, name: HvRegisterName, value: u64) {
        let mut all = self.extended.debug_registers();
        if let Some(slot) = all.get_mut(name.0.wrapping_sub(Name::Dr0.0) as usize) {
            *slot = value;
        }
        self.extended.set_debug_registers(all);
    }

    fn set_interrupt_state(&mut self, state: HvInterruptState) {
        self.control().interrupt_shadow = u64::from(state.interrupt_shadow());
        let masked = state.nmi_masked();
        self.nmi = if masked { NmiState::InHandler } else { NmiState::Open };
        self.control().intercepts.set_iret(masked);
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

/// Each byte is one of UC, WC, WT, WP, WB, UC- (APM vol. 2, 7.8.1).
fn is_valid_pat(value: u64) -> bool {
    value.to_le_bytes().iter().all(|memory_type| matches!(memory_type, 0 | 1 | 4..=7))
}
