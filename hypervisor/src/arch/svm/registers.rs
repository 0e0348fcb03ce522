//! Registers that are in the control block, by their TLFS name.

use core::mem::offset_of;

use hv_abi::control::{cr0, efer, rflags};
use hv_abi::registers::{HvInterruptState, HvRegisterName, HvRegisterValue};

use crate::arch::cpu;
use crate::arch::svm::event::NmiState;
use crate::arch::svm::processor::SvmProcessor;
use extension::svm::vmcb::{CleanBits, Intercepts, Save, Segment};

use HvRegisterName as Name;

/// EFER's bits that a guest may have.
const EFER_BITS: u64 = efer::SCE | efer::LME | efer::LMA | efer::NXE | efer::LMSLE | efer::FFXSR | efer::TCE;

/// Where a segment register is among those of the block.
const fn segment_number(name: Name) -> Option<usize> {
    Some(match name {
        Name::Es => 0,
        Name::Cs => 1,
        Name::Ss => 2,
        Name::Ds => 3,
        Name::Fs => 4,
        Name::Gs => 5,
        Name::Gdtr => 6,
        Name::Ldtr => 7,
        Name::Idtr => 8,
        Name::Tr => 9,
        _ => return None,
    })
}

/// The word of the block that is a register.
const fn word(name: Name) -> Option<usize> {
    let offset = match name {
        Name::Rip => offset_of!(Save, rip),
        Name::Rflags => offset_of!(Save, rflags),
        Name::Cr0 => offset_of!(Save, cr0),
        Name::Cr2 => offset_of!(Save, cr2),
        Name::Cr3 => offset_of!(Save, cr3),
        Name::Cr4 => offset_of!(Save, cr4),
        Name::Dr6 => offset_of!(Save, dr6),
        Name::Dr7 => offset_of!(Save, dr7),
        Name::KernelGsBase => offset_of!(Save, kernel_gs_base),
        Name::Pat => offset_of!(Save, g_pat),
        Name::SysenterCs => offset_of!(Save, sysenter_cs),
        Name::SysenterEip => offset_of!(Save, sysenter_eip),
        Name::SysenterEsp => offset_of!(Save, sysenter_esp),
        Name::Star => offset_of!(Save, star),
        Name::Lstar => offset_of!(Save, lstar),
        Name::Cstar => offset_of!(Save, cstar),
        Name::Sfmask => offset_of!(Save, sfmask),
        _ => return None,
    };
    Some(offset / 8)
}

impl SvmProcessor {
    /// Inlined, so that a name that is known comes to one load.
    #[inline(always)]
    pub fn known_register(&self, name: HvRegisterName) -> Option<HvRegisterValue> {
        let save = &self.vmcb.save;
        if let Some(number) = segment_number(name) {
            let segment = save.segments.get(number)?;
            return Some(match name {
                Name::Gdtr | Name::Idtr => HvRegisterValue::from_table(segment.to_table()),
                _ => HvRegisterValue::from_segment(segment.to_hv()),
            });
        }
        let value = match word(name) {
            Some(word) => *save.words().get(word)?,
            None => self.other(name)?,
        };
        Some(HvRegisterValue::from_u64(value))
    }

    #[inline(always)]
    fn other(&self, name: HvRegisterName) -> Option<u64> {
        let (control, save) = (&self.vmcb.control, &self.vmcb.save);
        Some(match name {
            Name::Cr8 => u64::from(control.interrupt_control.v_tpr() & 0xF),
            Name::Tsc => cpu::rdtsc().wrapping_add(control.tsc_offset),
            Name::Efer => save.efer & !efer::SVME,
            Name::InterruptState => HvInterruptState::new()
                .with_interrupt_shadow(control.interrupt_shadow & 1 != 0)
                .with_nmi_masked(!self.nmi.is_open(save.rip))
                .into_bits(),
            _ => return None,
        })
    }

    /// Sets one, whose value is acceptable ([`crate::arch::registers`]); `false`: it is not here, or SVM refuses the value.
    pub fn set_register(&mut self, name: HvRegisterName, value: HvRegisterValue) -> bool {
        self.vmcb.control.clean = CleanBits::empty();
        if matches!(name, Name::Cr0 | Name::Cr3 | Name::Cr4 | Name::Efer) {
            // Translations by other tables, or in another mode: a VMRUN keeps those of its ASID.
            self.flush_second_level();
        }
        let v = value.as_u64();
        let save = &mut self.vmcb.save;
        if let Some(segment) = segment_number(name).and_then(|number| save.segments.get_mut(number)) {
            *segment = match name {
                Name::Gdtr | Name::Idtr => Segment::from_table(value.as_table()),
                _ => Segment::from_hv(value.as_segment()),
            };
            if name == Name::Ss {
                // The privilege level is that of the stack segment (APM vol. 2, 15.5.1).
                save.cpl = (segment.attributes >> 5 & 3) as u8;
            }
            return true;
        }
        if let Some(word) = word(name).and_then(|word| save.words_mut().get_mut(word)) {
            *word = match name {
                Name::Rflags => v | rflags::ONE,
                Name::Cr0 => v | cr0::ET,
                _ => v,
            };
            return true;
        }
        match name {
            Name::Cr8 => self.vmcb.control.interrupt_control.set_v_tpr(v as u8),
            Name::Tsc => self.vmcb.control.tsc_offset = v.wrapping_sub(cpu::rdtsc()),
            Name::Efer if v & !EFER_BITS == 0 => save.efer = v | efer::SVME,
            Name::InterruptState => self.set_interrupt_state(HvInterruptState::from_bits(v)),
            _ => return false,
        }
        true
    }

    fn set_interrupt_state(&mut self, state: HvInterruptState) {
        self.vmcb.control.interrupt_shadow = u64::from(state.interrupt_shadow());
        let masked = state.nmi_masked();
        self.nmi = if masked { NmiState::InHandler } else { NmiState::Open };
        self.vmcb.control.intercepts.set(Intercepts::IRET, masked);
    }
}
