//! Ports: where messages and events for the root arrive. All ports are the root's.
//!
//! Lock order: the table of ports, then a root VP's SynIC ([`crate::root::synic`]), which guards the queues of the ports
//! that lead to that VP.

use hv_abi::message::HvMessage;
use hv_abi::port::{HvPortId, HvPortInfo};
use hv_abi::{HvPartitionId, HvStatus};

use crate::layout::{PORT_TABLE_PAGES, PORTS_PER_PAGE};
use crate::object::Object;
use crate::table::{Entry, Table};

/// Messages that wait at a port at most: what fits its page.
pub const QUEUE_DEPTH: usize = 15;

/// The messages that wait at a port, first in, first out.
#[derive(Debug)]
pub struct MessageQueue {
    messages: [HvMessage; QUEUE_DEPTH],
    first: usize,
    count: usize,
}
const _: () = assert!(size_of::<MessageQueue>() <= crate::machine::PAGE_BYTES);

impl MessageQueue {
    /// Nothing waits.
    pub const EMPTY: Self = Self { messages: [HvMessage::EMPTY; QUEUE_DEPTH], first: 0, count: 0 };

    /// Does nothing wait?
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Does more than one wait?
    pub const fn has_more(&self) -> bool {
        self.count > 1
    }

    /// Adds one; `INSUFFICIENT_BUFFERS` when it is full.
    pub fn push(&mut self, message: &HvMessage) -> Result<(), HvStatus> {
        if self.count >= QUEUE_DEPTH {
            return Err(HvStatus::INSUFFICIENT_BUFFERS);
        }
        let index = self.first.wrapping_add(self.count) % QUEUE_DEPTH;
        if let Some(slot) = self.messages.get_mut(index) {
            *slot = *message;
        }
        self.count = self.count.wrapping_add(1);
        Ok(())
    }

    /// The one that waits longest.
    pub fn first(&self) -> Option<&HvMessage> {
        self.messages.get(self.first).filter(|_| self.count != 0)
    }

    /// Drops it.
    pub fn pop(&mut self) {
        if let Some(count) = self.count.checked_sub(1) {
            self.count = count;
            self.first = self.first.wrapping_add(1) % QUEUE_DEPTH;
        }
    }
}

/// A port.
#[derive(Debug)]
pub struct Port {
    /// Its id.
    pub id: HvPortId,
    /// Where it leads.
    pub info: HvPortInfo,
    /// Who may connect.
    pub connection_partition: HvPartitionId,
    /// What waits (message ports).
    pub queue: Option<Object<MessageQueue>>,
    /// It is in its VP's list of ports at which messages wait.
    pub waiting: bool,
}

impl Entry for Port {
    fn id(&self) -> u32 {
        self.id.0
    }
}

/// The table of ports.
pub type Ports = Table<Port, { PORTS_PER_PAGE as usize }, { PORT_TABLE_PAGES as usize }>;

#[cfg(test)]
mod tests {
    use super::*;
    use hv_abi::message::HvMessageType;

    #[test]
    fn queue_keeps_the_order_and_its_bound() {
        let mut queue = MessageQueue::EMPTY;
        for round in 0..3_u64 {
            for n in 0..QUEUE_DEPTH as u64 {
                queue.push(&HvMessage::new(HvMessageType::VMBUS, round * 100 + n, &[])).unwrap();
            }
            assert_eq!(queue.push(&HvMessage::EMPTY), Err(HvStatus::INSUFFICIENT_BUFFERS));
            for n in 0..QUEUE_DEPTH as u64 {
                assert_eq!(queue.first().unwrap().header.sender, round * 100 + n);
                queue.pop();
            }
            assert!(queue.is_empty() && queue.first().is_none());
            queue.push(&HvMessage::EMPTY).unwrap();
            queue.pop();
        }
    }
}
