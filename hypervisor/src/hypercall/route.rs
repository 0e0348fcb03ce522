//! The table of calls: code, what the caller must be allowed, function.

use hv_abi::CallCode;
use hv_abi::cpuid::HvPrivileges as Needs;
use hv_abi::hypercall::{HypercallInput, HypercallOutput};
use hv_abi::status::HvStatus;

use super::parse::{fast, reps, simple};
use super::processors::for_vps;
use super::{Caller, memory, partition, port, registers, send, start, vp};
use crate::backend::VirtualProcessorBackend;
use crate::machine::Machine;

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
        // Who dispatches the caller looks at the code too.
        CallCode::NOTIFY_LONG_SPIN_WAIT => fast(by, control, Needs::empty(), |_, _spins: u64| Ok(())),
        CallCode::SIGNAL_EVENT => fast(by, control, Needs::SIGNAL_EVENTS, send::signal_event),
        CallCode::POST_MESSAGE => simple(by, control, Needs::POST_MESSAGES, send::post_message),
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
    const MANAGE: Needs = Needs::CREATE_PARTITIONS;
    let result = match control.code() {
        CallCode::CREATE_PARTITION => simple(by, control, MANAGE, partition::create),
        CallCode::INITIALIZE_PARTITION => simple(by, control, MANAGE, partition::initialize),
        CallCode::FINALIZE_PARTITION => simple(by, control, MANAGE, partition::finalize),
        CallCode::DELETE_PARTITION => simple(by, control, MANAGE, partition::delete),
        CallCode::GET_PARTITION_PROPERTY => simple(by, control, MANAGE, partition::get_property),
        CallCode::SET_PARTITION_PROPERTY => simple(by, control, MANAGE, partition::set_property),
        CallCode::GET_PARTITION_ID => simple(by, control, Needs::ACCESS_PARTITION_ID, partition::get_id),
        CallCode::DEPOSIT_MEMORY => return reps(by, control, Needs::ACCESS_MEMORY_POOL, memory::deposit),
        CallCode::WITHDRAW_MEMORY => return reps(by, control, Needs::ACCESS_MEMORY_POOL, memory::withdraw),
        CallCode::MAP_GPA_PAGES => return reps(by, control, MANAGE, memory::map),
        CallCode::UNMAP_GPA_PAGES => return reps(by, control, MANAGE, memory::unmap),
        CallCode::INSTALL_INTERCEPT => simple(by, control, MANAGE, send::install_intercept),
        CallCode::START_VIRTUAL_PROCESSOR => {
            simple(by, control, Needs::START_VIRTUAL_PROCESSOR, start::start)
        }
        CallCode::CREATE_VP => simple(by, control, MANAGE, vp::create),
        CallCode::DELETE_VP => simple(by, control, MANAGE, vp::delete),
        CallCode::GET_VP_REGISTERS => return reps(by, control, Needs::ACCESS_VP_REGISTERS, registers::get),
        CallCode::SET_VP_REGISTERS => return reps(by, control, Needs::ACCESS_VP_REGISTERS, registers::set),
        CallCode::TRANSLATE_VIRTUAL_ADDRESS => simple(by, control, MANAGE, vp::translate),
        CallCode::CLEAR_VIRTUAL_INTERRUPT => simple(by, control, MANAGE, send::clear_interrupt),
        CallCode::DELETE_PORT => simple(by, control, Needs::CREATE_PORT, port::delete),
        CallCode::DISCONNECT_PORT => simple(by, control, Needs::CONNECT_PORT, port::disconnect),
        CallCode::MAP_STATS_PAGE => simple(by, control, Needs::ACCESS_STATS, vp::map_stats),
        CallCode::UNMAP_STATS_PAGE => simple(by, control, Needs::ACCESS_STATS, vp::unmap_stats),
        CallCode::ASSERT_VIRTUAL_INTERRUPT => simple(by, control, MANAGE, send::assert_interrupt),
        CallCode::CREATE_PORT => simple(by, control, Needs::CREATE_PORT, port::create),
        CallCode::CONNECT_PORT => simple(by, control, Needs::CONNECT_PORT, port::connect),
        CallCode::SIGNAL_EVENT_DIRECT => fast(by, control, MANAGE, send::signal_event_direct),
        CallCode::POST_MESSAGE_DIRECT => simple(by, control, MANAGE, send::post_message_direct),
        CallCode::MAP_VP_STATE_PAGE => simple(by, control, MANAGE, vp::map_state_page),
        CallCode::UNMAP_VP_STATE_PAGE => simple(by, control, MANAGE, vp::unmap_state_page),
        _ => Err(HvStatus::INVALID_HYPERCALL_CODE),
    };
    HypercallOutput::new().with_status(result.into())
}
