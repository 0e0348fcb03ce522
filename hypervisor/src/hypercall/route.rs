//! From a call's code to its type.

use hv_abi::CallCode;
use hv_abi::cpuid::HvPrivileges;
use hv_abi::hypercall::{HypercallInput, HypercallOutput};
use hv_abi::interrupt::{AssertVirtualInterrupt, ClearVirtualInterrupt, InstallIntercept};
use hv_abi::memory::{DepositMemory, MapGpaPages, UnmapGpaPages, WithdrawMemory};
use hv_abi::partition::{CreatePartition, GetPartitionProperty, SetPartitionProperty};
use hv_abi::port::{
    ConnectPort, CreatePort, DeletePort, DisconnectPort, PostMessage, PostMessageDirect, SignalEvent,
    SignalEventDirect,
};
use hv_abi::status::{HvResult, HvStatus};
use hv_abi::vp::{CreateVp, DeleteVp, MapVpStatePage, TranslateVirtualAddress, UnmapVpStatePage};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::parse::{reps, simple};
use super::partition::{Delete, Finalize, GetPartitionId, Initialize};
use super::processors::for_vps;
use super::registers::{GetRegisters, SetRegisters};
use super::vp::{MapStats, UnmapStats};
use super::{Caller, SimpleCall};
use crate::backend::VirtualProcessorBackend;
use crate::machine::Machine;

/// `NOTIFY_LONG_SPIN_WAIT`: the empty call.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct NotifyLongSpinWait {
    spin_info: u64,
}

impl<M: Machine> SimpleCall<M> for NotifyLongSpinWait {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::empty();
    const FAST: bool = true;
    fn call(self, _: &mut Caller<'_, M>) -> HvResult<()> {
        Ok(())
    }
}

/// Does the call that the caller's registers ask for and writes its result to them. RIP is the caller's affair.
#[inline]
pub fn hypercall<M: Machine>(by: &mut Caller<'_, M>) -> HvStatus {
    let control = HypercallInput::from(by.backend.gprs().rcx);
    let output = route(by, control);
    by.backend.gprs_mut().rax = output.into();
    output.status()
}

#[inline]
fn route<M: Machine>(by: &mut Caller<'_, M>, control: HypercallInput) -> HypercallOutput {
    let result = match control.code() {
        CallCode::NOTIFY_LONG_SPIN_WAIT => simple::<M, NotifyLongSpinWait>(by, control),
        CallCode::SIGNAL_EVENT => simple::<M, SignalEvent>(by, control),
        CallCode::POST_MESSAGE => simple::<M, PostMessage>(by, control),
        CallCode::FLUSH_VIRTUAL_ADDRESS_SPACE
        | CallCode::FLUSH_VIRTUAL_ADDRESS_LIST
        | CallCode::SEND_SYNTHETIC_CLUSTER_IPI
        | CallCode::FLUSH_VIRTUAL_ADDRESS_SPACE_EX
        | CallCode::FLUSH_VIRTUAL_ADDRESS_LIST_EX
        | CallCode::SEND_SYNTHETIC_CLUSTER_IPI_EX => return for_vps(by, control),
        _ => return route_root(by, control),
    };
    HypercallOutput::new().with_status(result.into())
}

/// What only the root may call (each says so itself); apart from the guests' calls, to keep these short.
#[inline(never)]
fn route_root<M: Machine>(by: &mut Caller<'_, M>, control: HypercallInput) -> HypercallOutput {
    let result = match control.code() {
        CallCode::CREATE_PARTITION => simple::<M, CreatePartition>(by, control),
        CallCode::INITIALIZE_PARTITION => simple::<M, Initialize>(by, control),
        CallCode::FINALIZE_PARTITION => simple::<M, Finalize>(by, control),
        CallCode::DELETE_PARTITION => simple::<M, Delete>(by, control),
        CallCode::GET_PARTITION_PROPERTY => simple::<M, GetPartitionProperty>(by, control),
        CallCode::SET_PARTITION_PROPERTY => simple::<M, SetPartitionProperty>(by, control),
        CallCode::GET_PARTITION_ID => simple::<M, GetPartitionId>(by, control),
        CallCode::DEPOSIT_MEMORY => return reps::<M, DepositMemory>(by, control),
        CallCode::WITHDRAW_MEMORY => return reps::<M, WithdrawMemory>(by, control),
        CallCode::MAP_GPA_PAGES => return reps::<M, MapGpaPages>(by, control),
        CallCode::UNMAP_GPA_PAGES => return reps::<M, UnmapGpaPages>(by, control),
        CallCode::INSTALL_INTERCEPT => simple::<M, InstallIntercept>(by, control),
        CallCode::CREATE_VP => simple::<M, CreateVp>(by, control),
        CallCode::DELETE_VP => simple::<M, DeleteVp>(by, control),
        CallCode::GET_VP_REGISTERS => return reps::<M, GetRegisters>(by, control),
        CallCode::SET_VP_REGISTERS => return reps::<M, SetRegisters>(by, control),
        CallCode::TRANSLATE_VIRTUAL_ADDRESS => simple::<M, TranslateVirtualAddress>(by, control),
        CallCode::CLEAR_VIRTUAL_INTERRUPT => simple::<M, ClearVirtualInterrupt>(by, control),
        CallCode::DELETE_PORT => simple::<M, DeletePort>(by, control),
        CallCode::DISCONNECT_PORT => simple::<M, DisconnectPort>(by, control),
        CallCode::MAP_STATS_PAGE => simple::<M, MapStats>(by, control),
        CallCode::UNMAP_STATS_PAGE => simple::<M, UnmapStats>(by, control),
        CallCode::ASSERT_VIRTUAL_INTERRUPT => simple::<M, AssertVirtualInterrupt>(by, control),
        CallCode::CREATE_PORT => simple::<M, CreatePort>(by, control),
        CallCode::CONNECT_PORT => simple::<M, ConnectPort>(by, control),
        CallCode::SIGNAL_EVENT_DIRECT => simple::<M, SignalEventDirect>(by, control),
        CallCode::POST_MESSAGE_DIRECT => simple::<M, PostMessageDirect>(by, control),
        CallCode::MAP_VP_STATE_PAGE => simple::<M, MapVpStatePage>(by, control),
        CallCode::UNMAP_VP_STATE_PAGE => simple::<M, UnmapVpStatePage>(by, control),
        _ => Err(HvStatus::INVALID_HYPERCALL_CODE),
    };
    HypercallOutput::new().with_status(result.into())
}
