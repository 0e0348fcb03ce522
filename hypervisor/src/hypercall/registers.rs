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
use crate::msr;
use crate::platform::{Running, Surroundings};
use crate::vp::Vp;

/// A guest's VP that does not run, while its registers are read or written.
struct Target<'a, M: Machine> {
    around: Around<'a, M>,
    vp: &'a Vp<M>,
}

impl<M: Machine> Target<'_, M> {
    fn each<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        mut f: impl FnMut(&mut Running<'_, M::Backend>, T) -> HvResult<()>,
    ) -> Batch {
        let Some(mut state) = self.vp.state.try_lock() else {
            return Batch::refused(HvStatus::INVALID_VP_STATE);
        };
        let state = &mut *state;
        let mut running = Running {
            index: self.vp.index,
            backend: &mut state.backend,
            platform: &mut state.platform,
            inbox: &self.vp.inbox,
            message_page: &state.message.window,
            stats_page: &self.vp.stats.0.window,
            since: self.around.tsc(),
        };
        Batch::each(items, |item| f(&mut running, item))
    }

    fn read(&self, vp: &mut Running<'_, M::Backend>, name: HvRegisterName) -> HvResult<HvRegisterValue> {
        if name == HvRegisterName::ExplicitSuspend {
            return Ok(HvRegisterValue::from_u64(self.vp.suspended.load(Ordering::Acquire)));
        }
        let own = vp.backend.read_register(name);
        own.or_else(|| msr::read_register(vp, &self.around, name)).ok_or(HvStatus::INVALID_PARAMETER)
    }

    fn write(&self, vp: &mut Running<'_, M::Backend>, assoc: &HvRegisterAssoc) -> HvResult<()> {
        let (name, value) = (assoc.name, assoc.value);
        if name == HvRegisterName::ExplicitSuspend {
            self.vp.suspended.store(value.as_u64() & 1, Ordering::Release);
            return Ok(());
        }
        if vp.backend.read_register(name).is_some() {
            return vp.backend.write_register(name, value);
        }
        msr::write_register(vp, &self.around, name, value)
    }
}

/// Does `f` with the VP that the header names.
fn with_target<M: Machine>(
    by: &Caller<'_, M>,
    header: &VpRegisters,
    f: impl FnOnce(&Target<'_, M>) -> Batch,
) -> Batch {
    let found = (|| {
        reserved(header.input_vtl == 0 && header.padding == [0; 3])?;
        let partition = by.named(header.partition_id)?;
        let around = Around::new(by.hv, &partition)?;
        let vp = partition.vp(by.hv.machine, header.vp_index.0)?;
        Ok(f(&Target { around, vp: &vp }))
    })();
    found.unwrap_or_else(Batch::refused)
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
    with_target(by, call, |target| {
        target.each(pairs, |vp, (name, value)| {
            *value = target.read(vp, *name)?;
            Ok(())
        })
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
    with_target(by, call, |target| target.each(reps.items, |vp, assoc| target.write(vp, assoc)))
}
