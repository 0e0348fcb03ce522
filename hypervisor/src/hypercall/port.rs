//! Ports and connections.

use hv_abi::cpuid::HvPrivileges;
use hv_abi::port::{
    ConnectPort, CreatePort, DeletePort, DisconnectPort, HvConnectionId, HvPortId, HvPortInfo, HvPortType,
    ID_MASK,
};
use hv_abi::synic::{EVENT_FLAGS_PER_SINT, SINT_COUNT};
use hv_abi::{HvResult, HvStatus};

use super::{Caller, SimpleCall};
use crate::connection::Connection;
use crate::layout::{ROOT_SLOT, connection_table, port_table, queue};
use crate::machine::Machine;
use crate::object::Object;
use crate::partition::State;
use crate::port::{MessageQueue, Port};
use crate::root::synic::MAX_MESSAGE_PORTS;

fn check_port(info: &HvPortInfo, processors: u32) -> HvResult<()> {
    let sint = (info.target_sint as usize) < SINT_COUNT;
    let flags = match info.port_type {
        HvPortType::MESSAGE => info.base_flag_number == 0 && info.flag_count == 0,
        HvPortType::EVENT => {
            let end = info.base_flag_number.checked_add(info.flag_count);
            info.flag_count != 0 && end.is_some_and(|end| end <= EVENT_FLAGS_PER_SINT)
        }
        _ => false,
    };
    if !sint || !flags || info.padding != 0 || info.reserved != 0 {
        return Err(HvStatus::INVALID_PARAMETER);
    }
    if info.target_vp.0 < processors { Ok(()) } else { Err(HvStatus::INVALID_VP_INDEX) }
}

fn check_port_id(id: HvPortId) -> HvResult<()> {
    if id.0 & !ID_MASK == 0 { Ok(()) } else { Err(HvStatus::INVALID_PORT_ID) }
}

fn check_connection_id(id: HvConnectionId) -> HvResult<()> {
    if id.0 & !ID_MASK == 0 { Ok(()) } else { Err(HvStatus::INVALID_CONNECTION_ID) }
}

impl<M: Machine> SimpleCall<M> for CreatePort {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PORT;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        let hv = by.hv;
        check_port_id(self.port_id)?;
        check_port(&self.port_info, hv.processor_count())?;
        if self.vtls != 0 || self.proximity_domain_info != 0 {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        // Ports are the root's; a guest is reached directly.
        if !hv.partition(by.partition, self.port_partition_id)?.is_root() {
            return Err(HvStatus::OPERATION_DENIED);
        }
        let connection_partition = hv.partition(by.partition, self.connection_partition_id)?.id;
        let is_message = self.port_info.port_type == HvPortType::MESSAGE;
        let mut ports = hv.ports.lock(hv.machine);
        if is_message && ports.count(|port| port.queue.is_some()) >= MAX_MESSAGE_PORTS {
            return Err(HvStatus::INSUFFICIENT_BUFFERS);
        }
        let mut pool = hv.root.pool.lock();
        let make = |pool: &mut _, number| {
            let at = queue(ROOT_SLOT, number);
            let queue = if is_message {
                Some(Object::place(hv.machine, pool, at, MessageQueue::new())?)
            } else {
                None
            };
            let (id, info) = (self.port_id, self.port_info);
            Ok(Port { id, info, connection_partition, queue, waiting: false })
        };
        let place = |page| port_table(ROOT_SLOT, page);
        let made = ports.insert(hv.machine, &mut pool, place, self.port_id.0, make);
        if made.is_err() {
            // The table may have taken a page for it.
            ports.trim(hv.machine, &mut pool);
        }
        made
    }
}

impl<M: Machine> SimpleCall<M> for DeletePort {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PORT;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        let hv = by.hv;
        if self.reserved != 0 {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        if !hv.partition(by.partition, self.port_partition_id)?.is_root() {
            return Err(HvStatus::OPERATION_DENIED);
        }
        let mut ports = hv.ports.lock(hv.machine);
        let (number, port) = ports.find(self.port_id.0).ok_or(HvStatus::INVALID_PORT_ID)?;
        if let Some(synic) = hv.root_synic(port.info.target_vp.0) {
            synic.forget(hv.machine, number);
        }
        let removed = ports.remove(self.port_id.0).and_then(|port| port.queue);
        let mut pool = hv.root.pool.lock();
        if let Some(queue) = removed {
            queue.remove(hv.machine, &mut pool);
        }
        ports.trim(hv.machine, &mut pool);
        Ok(())
    }
}

impl<M: Machine> SimpleCall<M> for ConnectPort {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::CONNECT_PORT;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        let hv = by.hv;
        check_connection_id(self.connection_id)?;
        let reserved = self.connection_vtl != 0
            || self.reserved != 0
            || self.padding != 0
            || self.connection_info != [0; 3]
            || self.proximity_domain_info != 0;
        if reserved {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        if !hv.partition(by.partition, self.port_partition_id)?.is_root() {
            return Err(HvStatus::OPERATION_DENIED);
        }
        let from = hv.partition(by.partition, self.connection_partition_id)?;
        {
            let mut ports = hv.ports.lock(hv.machine);
            let (_, port) = ports.find(self.port_id.0).ok_or(HvStatus::INVALID_PORT_ID)?;
            if port.info.port_type != self.port_type || port.connection_partition != from.id {
                return Err(HvStatus::INVALID_PORT_ID);
            }
        }
        let slot = from.slot;
        let mut connections = from.connections.lock(by.hv.machine);
        if from.state() != State::Active {
            return Err(HvStatus::INVALID_PARTITION_STATE);
        }
        let connection = Connection { id: self.connection_id, port: self.port_id, kind: self.port_type };
        let mut pool = from.pool.lock();
        let place = |page| connection_table(slot, page);
        connections.insert(hv.machine, &mut pool, place, self.connection_id.0, |_, _| Ok(connection))
    }
}

impl<M: Machine> SimpleCall<M> for DisconnectPort {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::CONNECT_PORT;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        if self.is_doorbell != 0 {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let from = by.hv.partition(by.partition, self.connection_partition_id)?;
        let mut connections = from.connections.lock(by.hv.machine);
        connections.remove(self.connection_id.0).ok_or(HvStatus::INVALID_CONNECTION_ID)?;
        connections.trim(by.hv.machine, &mut from.pool.lock());
        Ok(())
    }
}
