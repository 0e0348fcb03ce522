//! An I/O queue pair that serves one namespace.

use super::command::{Command, CompletionEntry, DEALLOCATE, FUA, Range};
use super::identify::Namespace;
use super::prp;
use crate::block::dma::DmaBuffer;
use crate::block::{Completion, Error, Operation, Request};
use crate::drivers::Condition;
use crate::drivers::backlog::{Done, Slots, Waiter, complete_all, slots_max};
use crate::executor::pending::Pending;
use crate::memory::mmio::Registers;
use crate::pci::StartError;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};
use core::task::Waker;
use spin::Mutex;

/// Entries of a queue, where the controller has room for as many.
const DEPTH_MAX: u16 = 256;
/// Bytes of a slot's page.
const PAGE: usize = 4096;

/// The doorbells of a queue pair.
#[derive(Clone, Copy)]
pub struct Doorbells {
    /// The controller's registers.
    pub registers: Registers,
    /// Offset of the submission queue's tail doorbell.
    pub tail: usize,
    /// Offset of the completion queue's head doorbell.
    pub head: usize,
}

impl Doorbells {
    /// Those of queue pair `id`, with doorbells `stride` bytes apart (3.1.20).
    pub fn new(registers: Registers, id: u16, stride: usize) -> Self {
        let tail = 0x1000 + usize::from(id) * 2 * stride;
        Self { registers, tail, head: tail + stride }
    }
}

/// The queue pair.
pub struct IoQueue {
    doorbells: Doorbells,
    nsid: u32,
    block_shift: u8,
    depth: u16,
    /// Guards the rings; never held while a completion is called.
    pub(super) state: Mutex<State>,
}

/// What changes.
pub(super) struct State {
    pub(super) submission: DmaBuffer,
    pub(super) completion: DmaBuffer,
    /// A page for each slot.
    lists: DmaBuffer,
    pub(super) tail: u16,
    pub(super) head: u16,
    /// The phase tag of entries that are new.
    pub(super) phase: bool,
    pub(super) slots: Slots<InFlight>,
    pub(super) condition: Condition,
    /// Who is woken when a command is submitted.
    pub(super) watcher: Option<Waker>,
}

/// A command in its slot.
pub(super) struct InFlight {
    pub(super) waiter: Waiter,
    /// It may take longer than a transfer.
    pub(super) is_slow: bool,
    /// Since when the watcher knows it.
    pub(super) since: Option<u64>,
}

impl IoQueue {
    /// A queue pair of at most `entries_max` entries for `namespace`, one of so many `queues`, which is served where `pending`
    /// is counted.
    pub fn new(
        doorbells: Doorbells,
        (nsid, namespace): (u32, &Namespace),
        entries_max: u32,
        queues: usize,
        pending: Pending,
    ) -> Result<Self, StartError> {
        let depth = entries_max.min(u32::from(DEPTH_MAX)) as u16;
        if depth < 2 {
            return Err(StartError::Missing("I/O queue"));
        }
        let slots = slots_max(queues).min(depth - 1);
        let allocate = |length| DmaBuffer::allocate(length).ok_or(StartError::OutOfMemory);
        let state = State {
            submission: allocate(usize::from(depth) * size_of::<Command>())?,
            completion: allocate(usize::from(depth) * size_of::<CompletionEntry>())?,
            lists: allocate(usize::from(slots) * PAGE)?,
            tail: 0,
            head: 0,
            phase: true,
            slots: Slots::new(slots, pending),
            condition: Condition::Works,
            watcher: None,
        };
        let block_shift = namespace.block_shift();
        Ok(Self { doorbells, nsid, block_shift, depth, state: Mutex::new(state) })
    }

    /// Entries of each queue.
    pub fn depth(&self) -> u16 {
        self.depth
    }

    /// System-physical addresses of the submission and the completion queue.
    pub fn addresses(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.submission.address(), state.completion.address())
    }

    /// Starts a request, or keeps it until a slot is free and the controller works.
    pub fn submit(&self, request: &Request<'_>, completion: Arc<dyn Completion>, tag: u64) {
        let waiter = Waiter::new(completion, tag);
        let (refused, why) = {
            let mut state = self.state.lock();
            let slot = if state.condition == Condition::Works { state.slots.take() } else { None };
            match slot {
                None if state.condition == Condition::IsDead => (Some(waiter), Error::Io),
                None => {
                    state.slots.queue(request, waiter);
                    (None, Error::Io)
                }
                Some(slot) => {
                    let refused = self.start(&mut state, slot, request, waiter);
                    self.ring_tail(&state);
                    if let Some(watcher) = state.watcher.take() {
                        watcher.wake();
                    }
                    (refused, Error::Invalid)
                }
            }
        };
        if let Some(waiter) = refused {
            waiter.complete(Err(why));
        }
    }

    fn ring_tail(&self, state: &State) {
        self.doorbells.registers.write(self.doorbells.tail, u32::from(state.tail));
    }

    /// Puts a command into the submission queue; the doorbell is the caller's. Gives back whose request is malformed.
    fn start(&self, state: &mut State, slot: u16, request: &Request<'_>, waiter: Waiter) -> Option<Waiter> {
        let is_slow = !request.has_data();
        state.slots.put(slot, InFlight { waiter, is_slow, since: None });
        let Some(command) = self.command(state, slot, request) else {
            return state.slots.finish(slot).map(|in_flight| in_flight.waiter);
        };
        state.submission.set(usize::from(state.tail) * size_of::<Command>(), command);
        state.tail = (state.tail + 1) % self.depth;
        fence(Ordering::Release);
        None
    }

    fn command(&self, state: &State, slot: u16, request: &Request<'_>) -> Option<Command> {
        let mut command =
            Command { opcode: request.operation.opcode(), cid: slot, nsid: self.nsid, ..Command::default() };
        if request.operation == Operation::Flush {
            return Some(command);
        }
        let page = usize::from(slot) * PAGE;
        let list = state.lists.address() + page as u64;
        let start = request.offset >> self.block_shift;
        let blocks = request.length >> self.block_shift;
        if request.operation == Operation::Discard {
            let blocks = u32::try_from(blocks).ok().filter(|&blocks| blocks != 0)?;
            state.lists.set(page, Range { attributes: 0, blocks, start });
            command.prp1 = list;
            command.cdw10 = [0, DEALLOCATE, 0, 0, 0, 0];
            return Some(command);
        }
        (command.prp1, command.prp2) =
            prp::build(request.segments, list, |index, address| state.lists.set(page + index * 8, address))?;
        let fua = if request.operation == (Operation::Write { fua: true }) { FUA } else { 0 };
        // NLB is a 0's based 16-bit value.
        let nlb = u16::try_from(blocks.checked_sub(1)?).ok()?;
        command.cdw10 = [start as u32, (start >> 32) as u32, u32::from(nlb) | fua, 0, 0, 0];
        Some(command)
    }

    /// Completes everything that the controller has done.
    pub fn drain(&self) {
        complete_all(|done| self.collect(done));
    }

    /// Takes up to a batch of completions, and starts what waited for their slots. Returns whose request was malformed, or
    /// is wanted by nobody.
    fn collect(&self, done: &mut Done) -> Vec<Waiter> {
        let mut refused = Vec::new();
        let mut state = self.state.lock();
        let before = state.head;
        while !done.is_full() {
            let Some(entry) = state.next(self.depth) else { break };
            let Some(in_flight) = state.slots.finish(entry.cid) else {
                log::warn!("nvme: a completion for no command ({})", entry.cid);
                continue;
            };
            done.push((in_flight.waiter, if entry.is_success() { Ok(()) } else { Err(Error::Io) }));
        }
        if state.head != before {
            self.doorbells.registers.write(self.doorbells.head, u32::from(state.head));
        }
        self.start_queued(&mut state, &mut refused);
        refused
    }

    /// Starts what waits for slots that are free now, if the controller works.
    pub(super) fn start_queued(&self, state: &mut State, refused: &mut Vec<Waiter>) {
        let tail = state.tail;
        while state.condition == Condition::Works
            && let Some((slot, request, waiter)) = state.slots.take_queued(|waiter| refused.push(waiter))
        {
            refused.extend(self.start(state, slot, &request.request(), waiter));
        }
        if state.tail != tail {
            self.ring_tail(state);
        }
    }
}

impl State {
    /// The next new entry of the completion queue.
    fn next(&mut self, depth: u16) -> Option<CompletionEntry> {
        let offset = usize::from(self.head) * size_of::<CompletionEntry>();
        // The status word is written last and read first.
        let status: u16 = self.completion.get(offset + core::mem::offset_of!(CompletionEntry, status));
        if (status & 1 != 0) != self.phase {
            return None;
        }
        fence(Ordering::Acquire);
        let entry: CompletionEntry = self.completion.get(offset);
        self.head += 1;
        if self.head == depth {
            (self.head, self.phase) = (0, !self.phase);
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
