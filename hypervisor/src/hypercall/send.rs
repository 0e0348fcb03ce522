//! Messages, events and interrupts.

use hv_abi::cpuid::HvPrivileges;
use hv_abi::interrupt::{AssertVirtualInterrupt, ClearVirtualInterrupt, InstallIntercept};
use hv_abi::message::{HvMessage, HvMessageType, MESSAGE_PAYLOAD_MAX};
use hv_abi::port::{PostMessage, PostMessageDirect, SignalEvent, SignalEventDirect, SignalEventDirectOutput};
use hv_abi::{HvResult, HvStatus};

use super::{Caller, SimpleCall};
use crate::guest::Around;
use crate::machine::Machine;
use crate::platform::Surroundings;

/// Set in the types that only the hypervisor sends.
const FROM_HYPERVISOR: u32 = 1 << 31;

impl<M: Machine> SimpleCall<M> for PostMessage {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::POST_MESSAGES;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        let kind = self.message_type;
        let size = usize::try_from(self.payload_size).unwrap_or(usize::MAX);
        if kind == HvMessageType::NONE || kind.0 & FROM_HYPERVISOR != 0 || self.reserved != 0 {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let payload = self.payload.get(..size).ok_or(HvStatus::INVALID_PARAMETER)?;
        by.hv.post_through(by.partition, self.connection_id, HvMessage::new(kind, 0, payload))
    }
}

impl<M: Machine> SimpleCall<M> for SignalEvent {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::SIGNAL_EVENTS;
    const FAST: bool = true;
    #[inline]
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        if self.reserved != 0 {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        by.hv.signal_through(by.partition, self.connection_id, self.flag_number)
    }
}

impl<M: Machine> SimpleCall<M> for SignalEventDirect {
    type Output = SignalEventDirectOutput;
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    const FAST: bool = true;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<SignalEventDirectOutput> {
        if self.target_vtl != 0 {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let partition = by.hv.partition(by.partition, self.target_partition)?;
        let around = Around::new(by.hv, &partition)?;
        let vp = partition.vp(by.hv.machine, self.target_vp.0)?;
        let (newly, wake) = vp.inbox.signal_event(self.target_sint.into(), self.flag_number, &around)?;
        if wake {
            around.wake(&vp);
        }
        Ok(SignalEventDirectOutput { newly_signaled: newly.into(), reserved: [0; 7] })
    }
}

impl<M: Machine> SimpleCall<M> for PostMessageDirect {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        let header = &self.message.header;
        let kind = header.message_type;
        let fits = usize::from(header.payload_size) <= MESSAGE_PAYLOAD_MAX;
        if self.vtl != 0 || self.padding != 0 || kind == HvMessageType::NONE || !fits {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let partition = by.hv.partition(by.partition, self.partition_id)?;
        let around = Around::new(by.hv, &partition)?;
        let vp = partition.vp(by.hv.machine, self.vp_index.0)?;
        if vp.inbox.post_message(self.sint_index, &self.message, &around)? {
            around.wake(&vp);
        }
        Ok(())
    }
}

impl<M: Machine> SimpleCall<M> for InstallIntercept {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        let partition = by.hv.partition(by.partition, self.partition_id)?;
        let around = Around::new(by.hv, &partition)?;
        let _lifecycle = partition.lifecycle.lock();
        let intercepts = &around.platform().intercepts;
        intercepts.install(self.intercept_type, self.intercept_parameter, self.access_type)
    }
}

impl<M: Machine> SimpleCall<M> for AssertVirtualInterrupt {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        if self.target_vtl != 0 || self.reserved != [0; 3] {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let partition = by.hv.partition(by.partition, self.partition_id)?;
        let around = Around::new(by.hv, &partition)?;
        let (control, address, vector) =
            (self.interrupt_control, self.destination_address, self.requested_vector);
        let ipi = crate::apic::Ipi::from_assert(control, address, vector);
        crate::exit::deliver(ipi.ok_or(HvStatus::INVALID_PARAMETER)?, None, &around);
        Ok(())
    }
}

impl<M: Machine> SimpleCall<M> for ClearVirtualInterrupt {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    /// There is never one to take back: external interrupts of a legacy controller are not offered.
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        let partition = by.hv.partition(by.partition, self.partition_id)?;
        Around::new(by.hv, &partition).map(|_| ())
    }
}
