//! Messages, events and interrupts.

use hv_abi::interrupt::{AssertVirtualInterrupt, ClearVirtualInterrupt, InstallIntercept};
use hv_abi::message::{HvMessage, HvMessageType, MESSAGE_PAYLOAD_MAX};
use hv_abi::port::{PostMessage, PostMessageDirect, SignalEvent, SignalEventDirect, SignalEventDirectOutput};
use hv_abi::{HvResult, HvStatus};

use super::{Caller, reserved};
use crate::guest::Around;
use crate::machine::Machine;
use crate::platform::Surroundings;

/// Set in the types that only the hypervisor sends.
const FROM_HYPERVISOR: u32 = 1 << 31;

/// `POST_MESSAGE`.
pub fn post_message<M: Machine>(by: &mut Caller<'_, M>, call: PostMessage) -> HvResult<()> {
    let kind = call.message_type;
    let size = usize::try_from(call.payload_size).unwrap_or(usize::MAX);
    if kind == HvMessageType::NONE || kind.0 & FROM_HYPERVISOR != 0 || call.reserved != 0 {
        return Err(HvStatus::INVALID_PARAMETER);
    }
    let payload = call.payload.get(..size).ok_or(HvStatus::INVALID_PARAMETER)?;
    by.hv.post_through(by.partition, call.connection_id, HvMessage::new(kind, 0, payload))
}

/// `SIGNAL_EVENT`.
#[inline]
pub fn signal_event<M: Machine>(by: &mut Caller<'_, M>, call: SignalEvent) -> HvResult<()> {
    reserved(call.reserved == 0)?;
    by.hv.signal_through(by.partition, call.connection_id, call.flag_number)
}

/// `SIGNAL_EVENT_DIRECT`.
pub fn signal_event_direct<M: Machine>(
    by: &mut Caller<'_, M>,
    call: SignalEventDirect,
) -> HvResult<SignalEventDirectOutput> {
    reserved(call.target_vtl == 0)?;
    let partition = by.named(call.target_partition)?;
    let around = Around::new(by.hv, &partition)?;
    let vp = partition.vp(by.hv.machine, call.target_vp.0)?;
    let (newly, wake) = vp.inbox.signal_event(call.target_sint.into(), call.flag_number, &around)?;
    if wake {
        around.wake(&vp);
    }
    Ok(SignalEventDirectOutput { newly_signaled: newly.into(), reserved: [0; 7] })
}

/// `POST_MESSAGE_DIRECT`.
pub fn post_message_direct<M: Machine>(by: &mut Caller<'_, M>, call: PostMessageDirect) -> HvResult<()> {
    let header = &call.message.header;
    let kind = header.message_type;
    let fits = usize::from(header.payload_size) <= MESSAGE_PAYLOAD_MAX;
    if call.vtl != 0 || call.padding != 0 || kind == HvMessageType::NONE || !fits {
        return Err(HvStatus::INVALID_PARAMETER);
    }
    let partition = by.named(call.partition_id)?;
    let around = Around::new(by.hv, &partition)?;
    let vp = partition.vp(by.hv.machine, call.vp_index.0)?;
    if vp.inbox.post_message(call.sint_index, &call.message, &around)? {
        around.wake(&vp);
    }
    Ok(())
}

/// `INSTALL_INTERCEPT`.
pub fn install_intercept<M: Machine>(by: &mut Caller<'_, M>, call: InstallIntercept) -> HvResult<()> {
    let partition = by.named(call.partition_id)?;
    let around = Around::new(by.hv, &partition)?;
    let _lifecycle = partition.lifecycle.lock();
    let intercepts = &around.platform().intercepts;
    intercepts.install(call.intercept_type, call.intercept_parameter, call.access_type)
}

/// `ASSERT_VIRTUAL_INTERRUPT`.
pub fn assert_interrupt<M: Machine>(by: &mut Caller<'_, M>, call: AssertVirtualInterrupt) -> HvResult<()> {
    reserved(call.target_vtl == 0 && call.reserved == [0; 3])?;
    let partition = by.named(call.partition_id)?;
    let around = Around::new(by.hv, &partition)?;
    let (control, address, vector) =
        (call.interrupt_control, call.destination_address, call.requested_vector);
    let ipi = crate::apic::Ipi::from_assert(control, address, vector);
    crate::exit::deliver(ipi.ok_or(HvStatus::INVALID_PARAMETER)?, None, &around);
    Ok(())
}

/// `CLEAR_VIRTUAL_INTERRUPT`.
/// There is never one to take back: external interrupts of a legacy controller are not offered.
pub fn clear_interrupt<M: Machine>(by: &mut Caller<'_, M>, call: ClearVirtualInterrupt) -> HvResult<()> {
    let partition = by.named(call.partition_id)?;
    Around::new(by.hv, &partition).map(|_| ())
}
