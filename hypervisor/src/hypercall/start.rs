//! `START_VIRTUAL_PROCESSOR`: a VP of the caller's that has not begun begins with these registers.

use hv_abi::vp::StartVirtualProcessor;
use hv_abi::{HvResult, HvStatus, HvVpIndex};

use super::vp::is_self;
use super::{Caller, reserved};
use crate::apic::hazard;
use crate::backend::VirtualProcessorBackend;
use crate::guest::Around;
use crate::machine::Machine;
use crate::platform::Activity;
use crate::root::start_vp;

/// For the root and for guests.
pub fn start<M: Machine>(by: &mut Caller<'_, M>, call: StartVirtualProcessor) -> HvResult<()> {
    reserved(is_self(by, call.partition_id, HvVpIndex::SELF) && call.target_vtl == [0; 4])?;
    if by.partition.is_root() {
        return start_vp::start(by.hv, &call);
    }
    let around = Around::new(by.hv, by.partition)?.dispatched();
    let vp = by.partition.vp(by.hv.machine, call.vp_index.0)?;
    let mut state = vp.at_rest(by.hv.machine)?;
    if state.platform.activity != Activity::WaitForStartup {
        return Err(HvStatus::INVALID_VP_STATE);
    }
    // A register that is refused leaves the VP waiting.
    for (name, value) in call.vp_context.registers() {
        state.backend.write_register(name, value)?;
    }
    // An INIT that it has not seen would undo this.
    vp.inbox.posted.forget(hazard::INIT | hazard::STARTUP);
    state.platform.activity = Activity::Running;
    drop(state);
    vp.inbox.posted.raise(hazard::INTERRUPT);
    around.wake(&vp);
    Ok(())
}
