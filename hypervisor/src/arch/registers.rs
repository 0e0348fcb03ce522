//! Registers by their TLFS name, as far as they are alike on both vendors' extensions.

use hv_abi::registers::{HvPendingInterruption, HvRegisterName, interruption_type};

use crate::arch::extended::Extended;
use crate::backend::{Event, Gprs};

use HvRegisterName as Name;

fn number(name: HvRegisterName, first: HvRegisterName) -> usize {
    name.0.wrapping_sub(first.0) as usize
}

/// A general register, or one that an entry does not switch.
#[inline(always)]
pub fn read(name: HvRegisterName, gprs: &Gprs, extended: &Extended) -> Option<u64> {
    match name {
        Name::Xfem => Some(extended.xcr0()),
        Name::TscAux => Some(extended.registers.get().tsc_aux),
        Name::Dr0 | Name::Dr1 | Name::Dr2 | Name::Dr3 => {
            extended.registers.get().dr.get(number(name, Name::Dr0)).copied()
        }
        _ => gprs.as_array().get(number(name, Name::Rax)).copied(),
    }
}

/// Sets one. `None`: it is none of them; `Some(false)`: the value is refused.
pub fn write(name: HvRegisterName, v: u64, extended: &mut Extended) -> Option<bool> {
    match name {
        Name::Xfem => return Some(extended.set_xcr0(v)),
        Name::TscAux => extended.registers.change(|registers| registers.tsc_aux = v),
        Name::Dr0 | Name::Dr1 | Name::Dr2 | Name::Dr3 => {
            extended.registers.change(|registers| {
                if let Some(dr) = registers.dr.get_mut(number(name, Name::Dr0)) {
                    *dr = v;
                }
            });
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
