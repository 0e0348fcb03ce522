//! Registers by their TLFS name.

use hv_abi::registers::{
    HvInterruptState, HvPendingInterruption, HvRegisterName, HvRegisterValue, HvSegmentRegister,
    HvTableRegister,
};
use hv_abi::status::{HvResult, HvStatus};
use hv_abi::{Gva, msr};

use crate::arch::cpu;
use crate::arch::vmx::event::{NMI_BLOCKED, SHADOW};
use crate::arch::vmx::field::{Field, Natural, SegmentFields, W32, control, guest};
use crate::arch::vmx::processor::VmxProcessor;
use crate::arch::vmx::segment::{attributes, rights_of};
use crate::backend::Gprs;

use HvRegisterName as Name;

/// EFER's bits that a guest may have: SCE, LME, LMA, NXE.
const EFER_BITS: u64 = 0xD01;
/// Bits 63:32 of CR0, DR6 and DR7 are zero.
const HIGH: u64 = 0xFFFF_FFFF << 32;
/// RFLAGS: bit 1 is one, 3, 5, 15 and 22 up are zero.
const RFLAGS_ZERO: u64 = !0x3F_7FD7;

/// The fields of a segment register.
const fn segment_fields(name: HvRegisterName) -> Option<SegmentFields> {
    Some(match name {
        Name::Es => guest::ES,
        Name::Cs => guest::CS,
        Name::Ss => guest::SS,
        Name::Ds => guest::DS,
        Name::Fs => guest::FS,
        Name::Gs => guest::GS,
        Name::Ldtr => guest::LDTR,
        Name::Tr => guest::TR,
        _ => return None,
    })
}

/// The fields of a table register.
const fn table_fields(name: HvRegisterName) -> Option<(Field<Natural>, Field<W32>)> {
    match name {
        Name::Gdtr => Some((guest::GDTR_BASE, guest::GDTR_LIMIT)),
        Name::Idtr => Some((guest::IDTR_BASE, guest::IDTR_LIMIT)),
        _ => None,
    }
}

/// The number of a register that is neither in the control structure nor switched by it.
const fn live_register(name: HvRegisterName) -> Option<u32> {
    Some(match name {
        Name::KernelGsBase => msr::KERNEL_GS_BASE,
        Name::Star => msr::STAR,
        Name::Lstar => msr::LSTAR,
        Name::Cstar => msr::CSTAR,
        Name::Sfmask => msr::SFMASK,
        _ => return None,
    })
}

impl VmxProcessor {
    /// Inlined, so that a name that is known comes to one VMREAD.
    #[inline(always)]
    pub(super) fn register(&self, name: HvRegisterName) -> Option<HvRegisterValue> {
        if let Some(fields) = segment_fields(name) {
            return Some(HvRegisterValue::from_segment(self.segment(&fields)));
        }
        let vmcs = &self.vmcs;
        if let Some((base, limit)) = table_fields(name) {
            let table =
                HvTableRegister { padding: [0; 3], limit: vmcs.read(limit) as u16, base: vmcs.read(base) };
            return Some(HvRegisterValue::from_table(table));
        }
        if let Some(number) = live_register(name) {
            return Some(HvRegisterValue::from_u64(self.live.register(number)));
        }
        Some(HvRegisterValue::from_u64(match name {
            Name::Rip => vmcs.read(guest::RIP),
            Name::Rflags => vmcs.read(guest::RFLAGS),
            Name::Cr0 => self.cr0(),
            Name::Cr2 => self.live.cr2(),
            Name::Cr3 => vmcs.read(guest::CR3),
            Name::Cr4 => self.cr4(),
            Name::Cr8 => u64::from(self.cr8),
            Name::Xfem => self.extended.xcr0(),
            Name::Dr0 | Name::Dr1 | Name::Dr2 | Name::Dr3 => self.breakpoint(name),
            Name::Dr6 => self.live.dr6(),
            Name::Dr7 => vmcs.read(guest::DR7),
            Name::Tsc => cpu::rdtsc().wrapping_add(vmcs.read(control::TSC_OFFSET)),
            Name::Efer => vmcs.read(guest::IA32_EFER),
            Name::Pat => vmcs.read(guest::IA32_PAT),
            Name::SysenterCs => u64::from(vmcs.read(guest::IA32_SYSENTER_CS)),
            Name::SysenterEip => vmcs.read(guest::IA32_SYSENTER_EIP),
            Name::SysenterEsp => vmcs.read(guest::IA32_SYSENTER_ESP),
            Name::TscAux => self.extended.tsc_aux(),
            Name::PendingInterruption => self.pending_interruption().into_bits(),
            Name::InterruptState => {
                let state = vmcs.read(guest::INTERRUPTIBILITY_STATE);
                HvInterruptState::new()
                    .with_interrupt_shadow(state & SHADOW != 0)
                    .with_nmi_masked(state & NMI_BLOCKED != 0)
                    .into_bits()
            }
            _ => return self.general(name),
        }))
    }

    #[inline(always)]
    fn general(&self, name: HvRegisterName) -> Option<HvRegisterValue> {
        let index = name.0.checked_sub(Name::Rax.0)?;
        self.gprs.to_array().get(index as usize).copied().map(HvRegisterValue::from_u64)
    }

    fn segment(&self, fields: &SegmentFields) -> HvSegmentRegister {
        HvSegmentRegister {
            base: self.vmcs.read(fields.base),
            limit: self.vmcs.read(fields.limit),
            selector: self.vmcs.read(fields.selector),
            attributes: attributes(self.vmcs.read(fields.access_rights)),
        }
    }

    pub(super) fn set_segment(&mut self, fields: &SegmentFields, value: &HvSegmentRegister) {
        self.vmcs.write(fields.selector, value.selector);
        self.vmcs.write(fields.base, value.base);
        self.vmcs.write(fields.limit, value.limit);
        self.vmcs.write(fields.access_rights, rights_of(value));
    }

    pub(super) fn set_register(&mut self, name: HvRegisterName, value: HvRegisterValue) -> HvResult<()> {
        let v = value.as_u64();
        if let Some(fields) = segment_fields(name) {
            let segment = value.as_segment();
            if Gva::new(segment.base).is_none() {
                return Err(HvStatus::INVALID_PARAMETER);
            }
            self.set_segment(&fields, &segment);
        } else if let Some((base, limit)) = table_fields(name) {
            let table = value.as_table();
            if Gva::new(table.base).is_none() {
                return Err(HvStatus::INVALID_PARAMETER);
            }
            self.vmcs.write(base, table.base);
            self.vmcs.write(limit, u32::from(table.limit));
        } else if let Some(number) = live_register(name) {
            if !self.live.set_register(number, v) {
                return Err(HvStatus::INVALID_PARAMETER);
            }
        } else if !self.set_other(name, v) {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        Ok(())
    }

    /// `false` for a name that is not here or a value that the processor would refuse.
    fn set_other(&mut self, name: HvRegisterName, v: u64) -> bool {
        let vmcs = &self.vmcs;
        match name {
            Name::Rip => vmcs.write(guest::RIP, v),
            Name::Rflags if v & RFLAGS_ZERO == 0 => vmcs.write(guest::RFLAGS, v | 2),
            Name::Cr0 if v & HIGH == 0 => self.set_cr0(v),
            Name::Cr2 => self.live.set_cr2(v),
            Name::Cr3 if v >> 52 == 0 => {
                vmcs.write(guest::CR3, v);
                self.translations_changed();
            }
            Name::Cr4 if v & HIGH == 0 => self.set_cr4(v),
            Name::Cr8 if v <= 0xF => {
                self.cr8 = v as u8;
                self.set_window(self.window);
            }
            Name::Xfem => return self.extended.set_xcr0(v),
            Name::Dr0 | Name::Dr1 | Name::Dr2 | Name::Dr3 => self.set_breakpoint(name, v),
            Name::Dr6 if v & HIGH == 0 => self.live.set_dr6(v),
            Name::Dr7 if v & HIGH == 0 => vmcs.write(guest::DR7, v | 0x400),
            Name::Tsc => vmcs.write(control::TSC_OFFSET, v.wrapping_sub(cpu::rdtsc())),
            Name::Efer if v & !EFER_BITS == 0 => self.set_efer(v),
            Name::Pat if is_valid_pat(v) => vmcs.write(guest::IA32_PAT, v),
            Name::SysenterCs => vmcs.write(guest::IA32_SYSENTER_CS, v as u32),
            Name::SysenterEip if Gva::new(v).is_some() => vmcs.write(guest::IA32_SYSENTER_EIP, v),
            Name::SysenterEsp if Gva::new(v).is_some() => vmcs.write(guest::IA32_SYSENTER_ESP, v),
            Name::TscAux => self.extended.set_tsc_aux(v),
            Name::PendingInterruption => {
                return self.set_pending_interruption(HvPendingInterruption::from_bits(v));
            }
            Name::InterruptState => {
                let state = HvInterruptState::from_bits(v);
                self.set_blocking(SHADOW, false);
                self.set_blocking(1, state.interrupt_shadow());
                self.set_blocking(NMI_BLOCKED, state.nmi_masked());
            }
            _ => return self.set_general(name, v),
        }
        true
    }

    fn set_general(&mut self, name: HvRegisterName, value: u64) -> bool {
        let index = name.0.wrapping_sub(Name::Rax.0) as usize;
        let mut all = self.gprs.to_array();
        let Some(slot) = all.get_mut(index) else { return false };
        *slot = value;
        self.gprs = Gprs::from_array(all);
        true
    }

    fn breakpoint(&self, name: HvRegisterName) -> u64 {
        let index = name.0.wrapping_sub(Name::Dr0.0) as usize;
        self.extended.debug_registers().get(index).copied().unwrap_or(0)
    }

    fn set_breakpoint(&mut self, name: HvRegisterName, value: u64) {
        let mut all = self.extended.debug_registers();
        if let Some(slot) = all.get_mut(name.0.wrapping_sub(Name::Dr0.0) as usize) {
            *slot = value;
        }
        self.extended.set_debug_registers(all);
    }
}

/// Each byte is one of UC, WC, WT, WP, WB, UC- (SDM vol. 3A, 13.12.2).
fn is_valid_pat(value: u64) -> bool {
    value.to_le_bytes().iter().all(|memory_type| matches!(memory_type, 0 | 1 | 4..=7))
}
