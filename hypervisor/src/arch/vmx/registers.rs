//! Registers that are in the control structure, or stay on the processor, by their TLFS name.
//!
//! All of this is about the current structure.

use hv_abi::control::{efer, rflags};
use hv_abi::msr;
use hv_abi::registers::{
    HvInterruptState, HvRegisterName, HvRegisterValue, HvSegmentRegister, HvTableRegister,
};

use crate::arch::cpu;
use crate::arch::vmx::event::{NMI_BLOCKED, SHADOW};
use crate::arch::vmx::processor::VmxProcessor;
use crate::arch::vmx::vmcs::{read, write};
use extension::vmx::controls::Primary;
use extension::vmx::field::{Field, Natural, SegmentFields, W32, control, guest};
use extension::vmx::segment::{attributes, rights_of};

use HvRegisterName as Name;

/// EFER's bits that a guest may have.
const EFER_BITS: u64 = efer::SCE | efer::LME | efer::LMA | efer::NXE;

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

/// The field of a register that is that field.
const fn plain_field(name: HvRegisterName) -> Option<Field<Natural>> {
    Some(match name {
        Name::Rip => guest::RIP,
        Name::Rflags => guest::RFLAGS,
        Name::Cr3 => guest::CR3,
        Name::Dr7 => guest::DR7,
        Name::SysenterEip => guest::IA32_SYSENTER_EIP,
        Name::SysenterEsp => guest::IA32_SYSENTER_ESP,
        _ => return None,
    })
}

impl VmxProcessor {
    /// Inlined, so that a name that is known comes to one VMREAD.
    #[inline(always)]
    pub fn known_register(&self, name: HvRegisterName) -> Option<HvRegisterValue> {
        if let Some(fields) = segment_fields(name) {
            return Some(segment(&fields));
        }
        if let Some((base, limit)) = table_fields(name) {
            let table = HvTableRegister { padding: [0; 3], limit: read(limit) as u16, base: read(base) };
            return Some(HvRegisterValue::from_table(table));
        }
        let value = match (plain_field(name), live_register(name)) {
            (Some(field), _) => read(field),
            (_, Some(number)) => self.live.get().register(number).copied()?,
            _ => self.other(name)?,
        };
        Some(HvRegisterValue::from_u64(value))
    }

    #[inline(always)]
    fn other(&self, name: HvRegisterName) -> Option<u64> {
        Some(match name {
            Name::Cr0 => Self::cr0(),
            Name::Cr2 => self.live.get().cr2,
            Name::Cr4 => Self::cr4(),
            Name::Cr8 => u64::from(self.apic.cr8()),
            Name::Dr6 => self.live.get().dr6,
            Name::Tsc => cpu::rdtsc().wrapping_add(read(control::TSC_OFFSET)),
            Name::Efer => read(guest::IA32_EFER),
            Name::Pat => read(guest::IA32_PAT),
            Name::SysenterCs => u64::from(read(guest::IA32_SYSENTER_CS)),
            Name::InterruptState => {
                let state = read(guest::INTERRUPTIBILITY_STATE);
                HvInterruptState::new()
                    .with_interrupt_shadow(state & SHADOW != 0)
                    .with_nmi_masked(state & NMI_BLOCKED != 0)
                    .into_bits()
            }
            _ => return None,
        })
    }

    /// `false` for a name that is not here or a value that is refused.
    pub(super) fn set_current_register(&mut self, name: HvRegisterName, value: HvRegisterValue) -> bool {
        let v = value.as_u64();
        if let Some(fields) = segment_fields(name) {
            set_segment(&fields, &value.as_segment());
        } else if let Some((base, limit)) = table_fields(name) {
            let table = value.as_table();
            write(base, table.base);
            write(limit, u32::from(table.limit));
        } else if let Some(number) = live_register(name) {
            self.live.change(|live| {
                if let Some(register) = live.register(number) {
                    *register = v;
                }
            });
        } else if let Some(field) = plain_field(name) {
            /// DR7: always set.
            const DR7_ONE: u64 = 1 << 10;
            let one = match name {
                Name::Rflags => rflags::ONE,
                Name::Dr7 => DR7_ONE,
                _ => 0,
            };
            write(field, v | one);
            if name == Name::Cr3 {
                self.translations_changed();
            }
        } else {
            return self.set_other(name, v);
        }
        true
    }

    fn set_other(&mut self, name: HvRegisterName, v: u64) -> bool {
        match name {
            Name::Cr0 => self.set_cr0(v),
            Name::Cr2 => self.live.change(|live| live.cr2 = v),
            Name::Cr4 => self.set_cr4(v),
            Name::Cr8 => self.set_cr8(v as u8),
            Name::Dr6 => self.live.change(|live| live.dr6 = v),
            Name::Tsc => write(control::TSC_OFFSET, v.wrapping_sub(cpu::rdtsc())),
            Name::Efer if v & !EFER_BITS == 0 => self.set_efer(v),
            Name::Pat => write(guest::IA32_PAT, v),
            Name::SysenterCs => write(guest::IA32_SYSENTER_CS, v as u32),
            Name::InterruptState => {
                let state = HvInterruptState::from_bits(v);
                let shadow = if state.interrupt_shadow() { 1 } else { 0 };
                let nmi = if state.nmi_masked() { NMI_BLOCKED } else { 0 };
                write(guest::INTERRUPTIBILITY_STATE, shadow | nmi);
                write(guest::PENDING_DEBUG_EXCEPTIONS, 0);
                self.set_primary(Primary::NMI_WINDOW_EXITING, state.nmi_masked());
            }
            _ => return false,
        }
        true
    }
}

fn segment(fields: &SegmentFields) -> HvRegisterValue {
    HvRegisterValue::from_segment(HvSegmentRegister {
        base: read(fields.base),
        limit: read(fields.limit),
        selector: read(fields.selector),
        attributes: attributes(read(fields.access_rights)),
    })
}

pub(super) fn set_segment(fields: &SegmentFields, value: &HvSegmentRegister) {
    write(fields.selector, value.selector);
    write(fields.base, value.base);
    write(fields.limit, value.limit);
    write(fields.access_rights, rights_of(value));
}
