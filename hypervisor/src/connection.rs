//! Connections: through what a partition sends.

use hv_abi::port::{HvConnectionId, HvPortId, HvPortType};
use hv_abi::{HvPartitionId, HvResult, HvStatus};

use crate::layout::CONNECTION_TABLE_PAGES;
use crate::port::{Port, Ports};
use crate::table::Table;

/// A connection to a port of the root's.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// The port.
    pub port: HvPortId,
    /// Its place in the table, where another may be by now.
    pub number: u32,
    /// What the port takes.
    pub kind: HvPortType,
}

impl Connection {
    /// The port, for `from`, whose connection it is; the port may be gone, and another be in its place.
    #[inline]
    pub fn find<'a>(&self, ports: &'a mut Ports, from: HvPartitionId) -> HvResult<&'a mut Port> {
        let found = ports
            .by_number(self.number)
            .filter(|(id, port)| *id == self.port.0 && port.connection_partition == from);
        found.map(|(_, port)| port).ok_or(HvStatus::INVALID_PORT_ID)
    }
}

/// A partition's connections, 128 a page.
pub type Connections = Table<Connection, 128, { CONNECTION_TABLE_PAGES as usize }>;

impl Connections {
    /// The connection for sending `kind` through.
    #[inline]
    pub fn lookup(&mut self, id: HvConnectionId, kind: HvPortType) -> HvResult<Connection> {
        let (_, connection) = self.find(id.0).ok_or(HvStatus::INVALID_CONNECTION_ID)?;
        if connection.kind == kind { Ok(*connection) } else { Err(HvStatus::INVALID_CONNECTION_ID) }
    }
}
