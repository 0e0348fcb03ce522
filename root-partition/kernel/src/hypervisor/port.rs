//! Ports of the root, and connections of guests to them. Messages come to SINT 2 of one of the root's VPs, which the guest's
//! partition decides; signals to the VP on whose processor the guest runs.

use super::call;
use super::flags::FlagPlace;
use super::partition::Partition;
use super::pool::{with_deposits, withdraw_own};
use crate::arch::processor;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use hv_abi::port::{
    ConnectPort, CreatePort, DeletePort, DisconnectPort, HvConnectionId, HvPortId, HvPortInfo, HvPortType,
    ID_MASK,
};
use hv_abi::synic::VMBUS_SINT;
use hv_abi::{CallCode, HvPartitionId, HvVpIndex};
use syscall::Error;

/// The next id of a port.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A port with a guest's connection to it; both go when it is dropped.
#[derive(Debug)]
pub struct Port {
    id: HvPortId,
    connection: HvConnectionId,
    /// The guest's connection is this port's; before that it may be another's.
    is_connected: bool,
    partition: Arc<Partition>,
}

impl Port {
    /// A port for messages.
    ///
    /// # Errors
    /// `OutOfMemory`, `Io`.
    pub fn for_messages(partition: &Arc<Partition>, connection: HvConnectionId) -> Result<Self, Error> {
        // All of a guest's come to one processor, or they would not stay in order; those of guests spread.
        let target = partition.id().0 % u64::from(processor::count());
        let info = HvPortInfo {
            port_type: HvPortType::MESSAGE,
            target_sint: VMBUS_SINT,
            target_vp: HvVpIndex(target as u32),
            ..HvPortInfo::default()
        };
        Self::create(partition, connection, info)
    }

    /// A port for `count` event flags, the first of which is the root's at `first`.
    ///
    /// # Errors
    /// `OutOfMemory`, `Io`.
    pub fn for_events(
        partition: &Arc<Partition>,
        connection: HvConnectionId,
        first: FlagPlace,
        count: u16,
    ) -> Result<Self, Error> {
        let info = HvPortInfo {
            port_type: HvPortType::EVENT,
            target_sint: first.sint,
            // The processor that brings a signal serves it: no other has to be disturbed.
            target_vp: HvVpIndex::ANY,
            base_flag_number: first.flag,
            flag_count: count,
            ..HvPortInfo::default()
        };
        Self::create(partition, connection, info)
    }

    /// Its id: the sender of the messages that arrive at it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id.0
    }

    fn create(
        partition: &Arc<Partition>,
        connection: HvConnectionId,
        info: HvPortInfo,
    ) -> Result<Self, Error> {
        let id = HvPortId(NEXT.fetch_add(1, Ordering::Relaxed) & ID_MASK);
        let create = CreatePort {
            port_partition_id: HvPartitionId::SELF,
            port_id: id,
            connection_partition_id: partition.id(),
            port_info: info,
            ..CreatePort::default()
        };
        with_deposits(HvPartitionId::SELF, "create port", || call::simple(CallCode::CREATE_PORT, &create))?;
        let mut port = Self { id, connection, is_connected: false, partition: Arc::clone(partition) };
        let connect = ConnectPort {
            connection_partition_id: partition.id(),
            connection_id: connection,
            port_partition_id: HvPartitionId::SELF,
            port_id: id,
            port_type: info.port_type,
            ..ConnectPort::default()
        };
        partition.with_deposits("connect port", || call::simple(CallCode::CONNECT_PORT, &connect))?;
        port.is_connected = true;
        Ok(port)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let disconnect = DisconnectPort {
            connection_partition_id: self.partition.id(),
            connection_id: self.connection,
            is_doorbell: 0,
        };
        if self.is_connected
            && let Err(status) = call::simple(CallCode::DISCONNECT_PORT, &disconnect)
        {
            log::error!("port {} stays connected: {status:?}", self.id.0);
        }
        let delete = DeletePort { port_partition_id: HvPartitionId::SELF, port_id: self.id, reserved: 0 };
        if let Err(status) = call::simple(CallCode::DELETE_PORT, &delete) {
            log::error!("port {} is not gone: {status:?}", self.id.0);
        }
        withdraw_own();
    }
}
