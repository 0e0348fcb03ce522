//! The SynIC of a root VP: message slots, event flags, and the ports at which messages wait.
//!
//! Lock order: the table of ports, then [`RootSynic::pages`]. The pages are pinned: they are mapped here as long as SIMP
//! and SIEFP name them, and the share count in the root's table keeps them from being deposited.

use heapless::Deque;
use hv_abi::message::HvMessage;
use hv_abi::synic::{EVENT_FLAGS_PER_SINT, SINT_COUNT};
use hv_abi::{HvResult, HvStatus};

use crate::layout::MAX_PARTITIONS;
use crate::machine::Machine;
use crate::object::Window;
use crate::object_lock::ObjectLock;
use crate::port::{Port, Ports};
use crate::synic::Registers;
use crate::synic::slot::{Slot, set_flag};

/// Message ports of the whole system at most: two for each partition.
pub const MAX_MESSAGE_PORTS: usize = 2 * MAX_PARTITIONS as usize;
/// What the lock guards.
#[derive(Debug, Default)]
pub struct RootPages {
    /// Message page.
    pub messages: Option<Window>,
    /// Event-flags page.
    pub event_flags: Option<Window>,
    /// Numbers of the ports at which messages wait, in the order in which they are served.
    waiting: Deque<u16, MAX_MESSAGE_PORTS>,
}

impl RootPages {
    fn slot(&self, sint: usize) -> Option<Slot<'_>> {
        self.messages.as_ref().map(|page| Slot::new(page, sint))
    }
}

/// A root VP's SynIC.
#[derive(Debug, Default)]
pub struct RootSynic {
    /// SIMP and SIEFP say where the pages are; whoever places a page writes them.
    pub registers: Registers,
    /// The pages and the waiting ports.
    pub pages: ObjectLock<RootPages>,
}

impl RootSynic {
    /// Puts a message into the port's SINT's slot, or behind those that wait. `Ok`: the vector to raise, if any.
    pub fn post<M: Machine>(
        &self,
        machine: &M,
        number: u32,
        port: &mut Port,
        message: &HvMessage,
    ) -> HvResult<Option<u8>> {
        let sint = port.info.target_sint as usize;
        let number = u16::try_from(number).map_err(|_| HvStatus::INVALID_PORT_ID)?;
        let queue = port.queue.as_mut().ok_or(HvStatus::INVALID_PORT_ID)?;
        let mut pages = self.pages.lock(machine);
        let more = !pages.waiting.is_empty();
        if queue.is_empty() && pages.slot(sint).is_some_and(|slot| slot.put(message, more)) {
            return Ok(self.registers.vector(sint));
        }
        queue.push_back(*message).map_err(|_| HvStatus::INSUFFICIENT_BUFFERS)?;
        if !port.waiting {
            port.waiting = pages.waiting.push_back(number).is_ok();
        }
        Ok(if Self::serve_port(&pages, port, true) { self.registers.vector(sint) } else { None })
    }

    /// Moves the first message of a port that waits into its slot, when that is free; says in a taken one that more waits.
    /// So does the message, where more does, or where `others` may: its reader looks once, and an EOM too many does no harm.
    fn serve_port(pages: &RootPages, port: &mut Port, others: bool) -> bool {
        let Some(queue) = port.queue.as_mut() else { return false };
        let more = others || queue.len() > 1;
        let slot = pages.slot(port.info.target_sint as usize);
        let moved = slot.zip(queue.front()).is_some_and(|(slot, message)| slot.put(message, more));
        if moved {
            queue.pop_front();
        }
        moved
    }

    /// EOM: fills the free slots from the ports that wait, each port in its turn. Returns the vectors to raise.
    pub fn serve<M: Machine>(&self, machine: &M, ports: &mut Ports) -> [Option<u8>; SINT_COUNT] {
        let mut vectors = [None; SINT_COUNT];
        // Ports that were served and still wait: they go behind the others. A SINT has one slot, so one a SINT.
        let mut served = [None; SINT_COUNT];
        let mut pages = self.pages.lock(machine);
        let waiting = pages.waiting.len();
        for _ in 0..waiting {
            let Some(number) = pages.waiting.pop_front() else { break };
            let Some((_, port)) = ports.by_number(number.into()) else { continue };
            let sint = port.info.target_sint as usize;
            let moved = Self::serve_port(&pages, port, waiting > 1);
            port.waiting = port.queue.as_ref().is_some_and(|queue| !queue.is_empty());
            match (moved, served.get_mut(sint), vectors.get_mut(sint)) {
                (true, Some(served), Some(vector)) => {
                    *vector = self.registers.vector(sint);
                    // The slot may have become free again meanwhile, and another port have been served before.
                    if port.waiting
                        && let Some(before) = served.replace(number)
                    {
                        let _ = pages.waiting.push_back(before);
                    }
                }
                // There is room: one was just taken out.
                _ => port.waiting = port.waiting && pages.waiting.push_back(number).is_ok(),
            }
        }
        for number in served.into_iter().flatten() {
            let _ = pages.waiting.push_back(number);
        }
        vectors
    }

    /// Forgets a port that goes.
    pub fn forget<M: Machine>(&self, machine: &M, number: u32) {
        let mut pages = self.pages.lock(machine);
        for _ in 0..pages.waiting.len() {
            if let Some(other) = pages.waiting.pop_front().filter(|n| u32::from(*n) != number) {
                // There is room: one was just taken out.
                let _ = pages.waiting.push_back(other);
            }
        }
    }

    /// Sets an event flag. `Ok`: the vector to raise, if the flag was clear and the SINT is not masked.
    pub fn signal<M: Machine>(&self, machine: &M, sint: u32, flag: u16) -> HvResult<Option<u8>> {
        if flag >= EVENT_FLAGS_PER_SINT {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let pages = self.pages.lock(machine);
        let page = pages.event_flags.as_ref().ok_or(HvStatus::INVALID_SYNIC_STATE)?;
        let newly = set_flag(page, sint as usize, flag);
        Ok(if newly { self.registers.vector(sint as usize) } else { None })
    }
}
