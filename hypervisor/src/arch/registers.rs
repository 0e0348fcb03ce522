//! Registers by their TLFS name, as far as they are alike on both vendors' extensions.

use hv_abi::Gva;
use hv_abi::registers::{HvPendingInterruption, HvRegisterName, HvRegisterValue, interruption_type};

use crate::arch::extended::Extended;
use crate::backend::{Event, Gprs};

use HvRegisterName as Name;

/// Bits 63:32 of CR0, CR4, DR6, DR7 and SFMASK are zero.
const HIGH: u64 = 0xFFFF_FFFF << 32;
/// RFLAGS: bit 1 is one, 3, 5, 15 and 22 up are zero.
const RFLAGS_ZERO: u64 = !0x3F_7FD7;

/// Whether a processor could have this value in the register.
pub fn is_acceptable(name: HvRegisterName, value: HvRegisterValue) -> bool {
    let v = value.as_u64();
    match name {
        Name::Cr0 | Name::Cr4 | Name::Dr6 | Name::Dr7 => v & HIGH == 0,
        Name::Rflags => v & RFLAGS_ZERO == 0,
        Name::Cr3 => v >> 52 == 0,
        Name::Cr8 => v <= 0xF,
        Name::Sfmask => v & HIGH == 0,
        // Each byte is one of UC, WC, WT, WP, WB, UC-.
        Name::Pat => v.to_le_bytes().iter().all(|memory_type| matches!(memory_type, 0 | 1 | 4..=7)),
        Name::SysenterEip | Name::SysenterEsp | Name::Lstar | Name::Cstar | Name::KernelGsBase => {
            Gva::new(v).is_some()
        }
        Name::Fs | Name::Gs | Name::Ldtr | Name::Tr => Gva::new(value.as_segment().base).is_some(),
        Name::Gdtr | Name::Idtr => Gva::new(value.as_table().base).is_some(),
        _ => true,
    }
}

fn number(name: HvRegisterName, first: HvRegisterName) -> usize {
    name.0.wrapping_sub(first.0) as usize
}

/// A general register, or one that an entry does not switch.
#[inline(always)]
pub fn read(name: HvRegisterName, gprs: &Gprs, extended: &Extended) -> Option<u64> {
    match name {
        Name::Xfem => Some(extended.xcr0()),
        Name::TscAux => Some(extended.tsc_aux()),
        Name::Dr0 | Name::Dr1 | Name::Dr2 | Name::Dr3 => {
            extended.debug_registers().get(number(name, Name::Dr0)).copied()
        }
        _ => gprs.as_array().get(number(name, Name::Rax)).copied(),
    }
}

/// Sets one. `None`: it is none of them; `Some(false)`: the value is refused.
pub fn write(name: HvRegisterName, v: u64, extended: &mut Extended) -> Option<bool> {
    match name {
        Name::Xfem => return Some(extended.set_xcr0(v)),
        Name::TscAux => extended.set_tsc_aux(v),
        Name::Dr0 | Name::Dr1 | Name::Dr2 | Name::Dr3 => {
            let mut all = extended.debug_registers();
            *all.get_mut(number(name, Name::Dr0))? = v;
            extended.set_debug_registers(all);
        }
        _ => return None,
    }
    Some(true)
}

/// Sets a general register; `false`: it is none.
pub fn write_general(name: HvRegisterName, v: u64, gprs: &mut Gprs) -> bool {
    gprs.as_array_mut().get_mut(number(name, Name::Rax)).map(|slot| *slot = v).is_some()
}

/// The event that the register of the TLFS asks for; `None` for what no processor would take.
pub fn event(pending: HvPendingInterruption) -> Option<Event> {
    let vector = u8::try_from(pending.interruption_vector()).ok()?;
    match pending.interruption_type() {
        interruption_type::INTERRUPT => Some(Event::Interrupt(vector)),
        interruption_type::NMI => Some(Event::Nmi),
        interruption_type::EXCEPTION if vector < 32 && vector != 2 => {
            let error_code = pending.deliver_error_code().then_some(pending.error_code());
            Some(Event::Exception { vector, error_code })
        }
        _ => None,
    }
}
