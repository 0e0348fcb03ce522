//! Ports and connections.

use hv_abi::port::{ConnectPort, CreatePort, DeletePort, DisconnectPort, HvPortInfo, HvPortType, ID_MASK};
use hv_abi::synic::{EVENT_FLAGS_PER_SINT, SINT_COUNT};
use hv_abi::{HvPartitionId, HvResult, HvStatus, HvVpIndex};

use super::{Caller, reserved};
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
    let any = info.target_vp == HvVpIndex::ANY && info.port_type == HvPortType::EVENT;
    if any || info.target_vp.0 < processors { Ok(()) } else { Err(HvStatus::INVALID_VP_INDEX) }
}

/// All ports are the root's.
fn check_owner<M: Machine>(by: &Caller<'_, M>, id: HvPartitionId) -> HvResult<()> {
    if by.named(id)?.is_root() { Ok(()) } else { Err(HvStatus::OPERATION_DENIED) }
}

fn check_id(id: u32, status: HvStatus) -> HvResult<()> {
    if id & !ID_MASK == 0 { Ok(()) } else { Err(status) }
}

/// `CREATE_PORT`.
pub fn create<M: Machine>(by: &mut Caller<'_, M>, call: CreatePort) -> HvResult<()> {
    let hv = by.hv;
    check_id(call.port_id.0, HvStatus::INVALID_PORT_ID)?;
    check_port(&call.port_info, hv.processors.count())?;
    reserved(call.vtls == 0 && call.proximity_domain_info == 0)?;
    // Ports are the root's; a guest is reached directly.
    check_owner(by, call.port_partition_id)?;
    let connection_partition = by.named(call.connection_partition_id)?.id;
    let is_message = call.port_info.port_type == HvPortType::MESSAGE;
    let mut ports = hv.ports.lock(hv.machine);
    if is_message && ports.count(|port| port.queue.is_some()) >= MAX_MESSAGE_PORTS {
        return Err(HvStatus::NO_RESOURCES);
    }
    let mut pool = hv.root.pool.lock();
    let make = |pool: &mut _, number| {
        let at = queue(ROOT_SLOT, number);
        let queue =
            if is_message { Some(Object::place(hv.machine, pool, at, MessageQueue::new())?) } else { None };
        Ok(Port { info: call.port_info, connection_partition, queue, waiting: false })
    };
    let place = |page| port_table(ROOT_SLOT, page);
    let made = ports.insert(hv.machine, &mut pool, place, call.port_id.0, make);
    if made.is_err() {
        // The table may have taken a page for it.
        ports.trim(hv.machine, &mut pool);
    }
    made
}

/// `DELETE_PORT`.
pub fn delete<M: Machine>(by: &mut Caller<'_, M>, call: DeletePort) -> HvResult<()> {
    let hv = by.hv;
    reserved(call.reserved == 0)?;
    check_owner(by, call.port_partition_id)?;
    let mut ports = hv.ports.lock(hv.machine);
    let (number, port) = ports.find(call.port_id.0).ok_or(HvStatus::INVALID_PORT_ID)?;
    if let Some(synic) = hv.root_synic(port.info.target_vp.0) {
        synic.forget(hv.machine, number);
    }
    let removed = ports.remove(call.port_id.0).and_then(|port| port.queue);
    let mut pool = hv.root.pool.lock();
    if let Some(queue) = removed {
        queue.remove(hv.machine, &mut pool);
    }
    ports.trim(hv.machine, &mut pool);
    Ok(())
}

/// `CONNECT_PORT`.
pub fn connect<M: Machine>(by: &mut Caller<'_, M>, call: ConnectPort) -> HvResult<()> {
    let hv = by.hv;
    check_id(call.connection_id.0, HvStatus::INVALID_CONNECTION_ID)?;
    let rest = call.connection_vtl | call.reserved | call.padding;
    reserved(rest == 0 && call.proximity_domain_info == 0 && call.connection_info == [0; 3])?;
    check_owner(by, call.port_partition_id)?;
    let from = by.named(call.connection_partition_id)?;
    let number = {
        let mut ports = hv.ports.lock(hv.machine);
        let (number, port) = ports.find(call.port_id.0).ok_or(HvStatus::INVALID_PORT_ID)?;
        if port.info.port_type != call.port_type || port.connection_partition != from.id {
            return Err(HvStatus::INVALID_PORT_ID);
        }
        number
    };
    let slot = from.slot;
    let mut connections = from.connections.lock(by.hv.machine);
    from.must_be(State::Active)?;
    let connection = Connection { port: call.port_id, number, kind: call.port_type };
    let mut pool = from.pool.lock();
    let place = |page| connection_table(slot, page);
    connections.insert(hv.machine, &mut pool, place, call.connection_id.0, |_, _| Ok(connection))
}

/// `DISCONNECT_PORT`.
pub fn disconnect<M: Machine>(by: &mut Caller<'_, M>, call: DisconnectPort) -> HvResult<()> {
    reserved(call.is_doorbell == 0)?;
    let from = by.named(call.connection_partition_id)?;
    let mut connections = from.connections.lock(by.hv.machine);
    connections.remove(call.connection_id.0).ok_or(HvStatus::INVALID_CONNECTION_ID)?;
    connections.trim(by.hv.machine, &mut from.pool.lock());
    Ok(())
}
