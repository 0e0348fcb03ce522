//! Ports: where messages and events for the root arrive. All ports are the root's.
//!
//! Lock order: the table of ports, then a root VP's SynIC ([`crate::root::synic`]), which guards the queues of the ports
//! that lead to that VP.

use heapless::Deque;
use hv_abi::HvPartitionId;
use hv_abi::message::HvMessage;
use hv_abi::port::HvPortInfo;

use crate::layout::{PORT_TABLE_PAGES, PORTS_PER_PAGE};
use crate::object::Object;
use crate::table::Table;

/// Messages that wait at a port at most: what fits its page.
pub const QUEUE_DEPTH: usize = 15;

/// The messages that wait at a port, first in, first out.
pub type MessageQueue = Deque<HvMessage, QUEUE_DEPTH>;
const _: () = assert!(size_of::<MessageQueue>() <= crate::machine::PAGE_BYTES);

/// A port.
#[derive(Debug)]
pub struct Port {
    /// Where it leads.
    pub info: HvPortInfo,
    /// Who may connect.
    pub connection_partition: HvPartitionId,
    /// What waits (message ports).
    pub queue: Option<Object<MessageQueue>>,
    /// It is in its VP's list of ports at which messages wait.
    pub waiting: bool,
}

/// The table of ports.
pub type Ports = Table<Port, { PORTS_PER_PAGE as usize }, { PORT_TABLE_PAGES as usize }>;
