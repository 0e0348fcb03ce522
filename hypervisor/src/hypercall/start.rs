//! `START_VIRTUAL_PROCESSOR`: a VP of the caller's that has not begun begins with these registers.

use hv_abi::registers::{HvRegisterName as Name, HvRegisterValue};
use hv_abi::vp::StartVirtualProcessor;
use hv_abi::{HvPartitionId, HvResult, HvStatus};

use super::Caller;
use crate::apic::hazard;
use crate::backend::VirtualProcessorBackend;
use crate::guest::Around;
use crate::machine::Machine;
use crate::platform::Activity;
use crate::root::start_vp;

/// What [`InitialVpContext::rest`](hv_abi::vp::InitialVpContext) begins with, 16 bytes each.
const TABLES: [Name; 10] = [
    Name::Cs,
    Name::Ds,
    Name::Es,
    Name::Fs,
    Name::Gs,
    Name::Ss,
    Name::Tr,
    Name::Ldtr,
    Name::Idtr,
    Name::Gdtr,
];

/// For the root and for guests.
pub fn start<M: Machine>(by: &mut Caller<'_, M>, call: StartVirtualProcessor) -> HvResult<()> {
    let own = call.partition_id == HvPartitionId::SELF || call.partition_id == by.partition.id;
    if !own || call.target_vtl != [0; 4] {
        return Err(HvStatus::INVALID_PARAMETER);
    }
    if by.partition.is_root() {
        return start_vp::start(by.hv, &call);
    }
    let around = Around::new(by.hv, by.partition)?.dispatched();
    let vp = by.partition.vp(by.hv.machine, call.vp_index.0)?;
    {
        // Who calls and who runs are held.
        let mut state = vp.state.try_lock().ok_or(HvStatus::INVALID_VP_STATE)?;
        if state.platform.activity != Activity::WaitForStartup {
            return Err(HvStatus::INVALID_VP_STATE);
        }
        set(&mut state.backend, &call)?;
        // An INIT that it has not seen would undo this.
        vp.inbox.posted.forget(hazard::INIT | hazard::STARTUP);
        state.platform.activity = Activity::Running;
    }
    vp.inbox.posted.raise(hazard::INTERRUPT);
    around.wake(&vp);
    Ok(())
}

/// A register that is refused leaves the VP waiting.
fn set<B: VirtualProcessorBackend>(backend: &mut B, call: &StartVirtualProcessor) -> HvResult<()> {
    let context = &call.vp_context;
    let [.., efer, cr0] = context.rest;
    let [cr4, pat] = context.end;
    let words = [
        (Name::Pat, pat),
        (Name::Efer, efer),
        (Name::Cr4, cr4),
        (Name::Cr3, context.cr3),
        (Name::Cr0, cr0),
        (Name::Rip, context.rip),
        (Name::Rsp, context.rsp),
        (Name::Rflags, context.rflags),
    ];
    for (name, value) in words {
        backend.write_register(name, HvRegisterValue::from_u64(value))?;
    }
    for (name, words) in TABLES.into_iter().zip(context.rest.as_chunks().0) {
        let [low, high] = *words;
        backend.write_register(name, HvRegisterValue { low, high })?;
    }
    Ok(())
}
