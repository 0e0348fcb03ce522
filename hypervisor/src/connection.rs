//! Connections: through what a partition sends.

use hv_abi::HvStatus;
use hv_abi::port::{HvConnectionId, HvPortId, HvPortType};

use crate::layout::CONNECTION_TABLE_PAGES;
use crate::table::Table;

/// A connection to a port of the root's.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// The port.
    pub port: HvPortId,
    /// What the port takes.
    pub kind: HvPortType,
}

/// A partition's connections, 128 a page.
pub type Connections = Table<Connection, 128, { CONNECTION_TABLE_PAGES as usize }>;

impl Connections {
    /// The connection for sending `kind` through.
    #[inline]
    pub fn lookup(&mut self, id: HvConnectionId, kind: HvPortType) -> Result<Connection, HvStatus> {
        let (_, connection) = self.find(id.0).ok_or(HvStatus::INVALID_CONNECTION_ID)?;
        if connection.kind == kind { Ok(*connection) } else { Err(HvStatus::INVALID_CONNECTION_ID) }
    }
}
