//! Reading and writing a VP's registers.

use core::sync::atomic::Ordering;

use hv_abi::registers::{HvRegisterName, HvRegisterValue};
use hv_abi::vp::{HvRegisterAssoc, VpRegisters};
use hv_abi::{HvResult, HvStatus};

use super::vp::is_self;
use super::{Batch, Caller, Reps, reserved};
use crate::backend::VirtualProcessorBackend;
use crate::guest::Around;
use crate::machine::Machine;
use crate::platform::{Guest, Surroundings};
use crate::vp::Vp;

/// A guest's VP that does not run.
type Held<'a, M> = Guest<'a, <M as Machine>::Backend, Around<'a, M>>;

/// Does `f` for each item, with the VP that the header names.
fn each<M: Machine, T>(
    by: &Caller<'_, M>,
    header: &VpRegisters,
    items: impl IntoIterator<Item = T>,
    mut f: impl FnMut(&Vp<M>, &mut Held<'_, M>, T) -> HvResult<()>,
) -> Batch {
    let done = (|| {
        reserved(header.input_vtl == 0 && header.padding == [0; 3])?;
        let partition = by.named(header.partition_id)?;
        let around = Around::new(by.hv, &partition)?;
        let vp = partition.vp(by.hv.machine, header.vp_index.0)?;
        let mut state = vp.at_rest(by.hv.machine)?;
        let (mut guest, _) = vp.guest(&mut state, &around, around.tsc());
        Ok(Batch::each(items, |item| f(&vp, &mut guest, item)))
    })();
    done.unwrap_or_else(Batch::refused)
}

fn read<M: Machine>(vp: &Vp<M>, guest: &mut Held<'_, M>, name: HvRegisterName) -> HvResult<HvRegisterValue> {
    if name == HvRegisterName::ExplicitSuspend {
        return Ok(HvRegisterValue::from_u64(vp.suspended.load(Ordering::Acquire)));
    }
    let own = guest.vp.backend.read_register(name);
    own.or_else(|| guest.read_device(name)).ok_or(HvStatus::INVALID_PARAMETER)
}

fn write<M: Machine>(vp: &Vp<M>, guest: &mut Held<'_, M>, assoc: &HvRegisterAssoc) -> HvResult<()> {
    let (name, value) = (assoc.name, assoc.value);
    if name == HvRegisterName::ExplicitSuspend {
        vp.suspended.store(value.as_u64() & 1, Ordering::Release);
        return Ok(());
    }
    if guest.vp.backend.read_register(name).is_some() {
        return guest.vp.backend.write_register(name, value);
    }
    guest.write_device(name, value)
}

/// `GET_VP_REGISTERS`.
pub fn get<M: Machine>(
    by: &mut Caller<'_, M>,
    call: &VpRegisters,
    reps: Reps<'_, HvRegisterName, HvRegisterValue>,
) -> Batch {
    let pairs = reps.items.iter().zip(reps.results);
    if is_self(by, call.partition_id, call.vp_index) {
        return Batch::each(pairs, |(name, value)| {
            *value = by.backend.read_register(*name).ok_or(HvStatus::INVALID_PARAMETER)?;
            Ok(())
        });
    }
    each(by, call, pairs, |vp, guest, (name, value)| {
        *value = read(vp, guest, *name)?;
        Ok(())
    })
}

/// `SET_VP_REGISTERS`.
pub fn set<M: Machine>(
    by: &mut Caller<'_, M>,
    call: &VpRegisters,
    reps: Reps<'_, HvRegisterAssoc, ()>,
) -> Batch {
    if is_self(by, call.partition_id, call.vp_index) {
        return Batch::each(reps.items, |assoc| by.backend.write_register(assoc.name, assoc.value));
    }
    each(by, call, reps.items, write)
}
