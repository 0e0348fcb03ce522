//! A queue of requests, and the memory that its slots have (5.2.6).

use super::configuration::SECTOR;
use crate::block::dma::DmaBuffer;
use crate::block::{Completion, Error, Operation, Request};
use crate::drivers::backlog::{Done, Slots, Waiter, complete_all, slots_max};
use crate::drivers::virtio::queue::{Queue, Table};
use crate::executor::pending::Pending;
use crate::memory::mmio::Registers;
use crate::pci::StartError;
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Request types (5.2.6).
pub(super) mod kind {
    pub const IN: u32 = 0;
    pub const OUT: u32 = 1;
    pub const FLUSH: u32 = 4;
    pub const DISCARD: u32 = 11;
}

/// A slot is a page: header, status, discard segment, descriptor table.
pub(super) const PAGE: usize = 4096;
pub(super) const STATUS: usize = 16;
const DISCARD_SEGMENT: usize = 32;
const TABLE: usize = 64;
/// Descriptors in a slot's table.
const TABLE_MAX: u16 = ((PAGE - TABLE) / 16) as u16;
/// The most segments of a request: header and status, or a discard's segment, are in the table as well.
pub(super) const SEGMENTS_MAX: usize = TABLE_MAX as usize - 2;
/// What the status byte is before the device writes it.
const STATUS_PENDING: u8 = 0xFF;

/// The first 16 bytes of a request.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Header {
    pub(super) kind: u32,
    reserved: u32,
    pub(super) sector: u64,
}

/// The data of a discard.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct DiscardSegment {
    sector: u64,
    num_sectors: u32,
    flags: u32,
}

const _: () = {
    assert!(size_of::<Header>() == STATUS);
    assert!(size_of::<DiscardSegment>() == 16 && DISCARD_SEGMENT > STATUS);
};

/// One of a disk's queues.
pub struct RequestQueue {
    index: u16,
    notify: Registers,
    has_flush: bool,
    /// Guards the rings; never held while a completion is called.
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub(super) queue: Queue,
    pub(super) pages: DmaBuffer,
    slots: Slots<InFlight>,
}

pub(super) struct InFlight {
    waiter: Waiter,
    /// Force unit access, which virtio lacks: the write is followed by a flush.
    then_flush: bool,
}

impl RequestQueue {
    /// What is asked for through `queue`, one of so many `queues`, which has number `index`, `size` descriptors and is served
    /// where `pending` is counted.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn new(
        index: u16,
        (queue, size, notify): (Queue, u16, Registers),
        queues: usize,
        has_flush: bool,
        pending: Pending,
    ) -> Result<Self, StartError> {
        let slots = slots_max(queues).min(size);
        let pages = DmaBuffer::allocate(usize::from(slots) * PAGE).ok_or(StartError::OutOfMemory)?;
        let state = State { queue, pages, slots: Slots::new(slots, pending) };
        Ok(Self { index, notify, has_flush, state: Mutex::new(state) })
    }

    /// Starts a request, or keeps it until a slot is free.
    pub fn submit(&self, request: &Request<'_>, completion: Arc<dyn Completion>, tag: u64) {
        let waiter = Waiter::new(completion, tag);
        if request.operation == Operation::Flush && !self.has_flush {
            // Without the feature the device writes through (5.2.6.2).
            return waiter.complete(Ok(()));
        }
        let refused = {
            let mut state = self.state.lock();
            match state.slots.take() {
                None => {
                    state.slots.queue(request, waiter);
                    None
                }
                Some(slot) => {
                    let refused = self.start(&mut state, slot, request, waiter);
                    self.notify_if_needed(&state);
                    refused
                }
            }
        };
        if let Some(waiter) = refused {
            waiter.complete(Err(Error::Invalid));
        }
    }

    fn notify_if_needed(&self, state: &State) {
        if state.queue.must_notify() {
            self.notify.write(0, self.index);
        }
    }

    /// Puts a request into its slot and makes it available. Gives back whose request is malformed.
    fn start(&self, state: &mut State, slot: u16, request: &Request<'_>, waiter: Waiter) -> Option<Waiter> {
        let then_flush = self.has_flush && request.operation == (Operation::Write { fua: true });
        state.slots.put(slot, InFlight { waiter, then_flush });
        if state.enqueue(slot, request).is_none() {
            return state.slots.finish(slot).map(|in_flight| in_flight.waiter);
        }
        None
    }

    /// Completes everything that the device has done.
    pub fn drain(&self) {
        complete_all(|done| self.collect(done));
    }

    /// Takes up to a batch of finished requests, and starts what waited for their slots. Returns whose request was
    /// malformed, or is wanted by nobody.
    fn collect(&self, done: &mut Done) -> Vec<Waiter> {
        let mut refused = Vec::new();
        let mut state = self.state.lock();
        let mut added = false;
        while !done.is_full() {
            let Some(id) = state.queue.take_used() else { break };
            let slot = u16::try_from(id).unwrap_or(u16::MAX);
            let Some(in_flight) = state.slots.get_mut(slot) else {
                log::warn!("virtio: a completion for no request ({id})");
                continue;
            };
            let then_flush = core::mem::take(&mut in_flight.then_flush);
            let result = state.result(slot);
            if then_flush && result.is_ok() && state.enqueue(slot, &Request::FLUSH).is_some() {
                added = true;
            } else if let Some(in_flight) = state.slots.finish(slot) {
                done.push((in_flight.waiter, result));
            }
        }
        while let Some((slot, request, waiter)) = state.slots.take_queued(|waiter| refused.push(waiter)) {
            refused.extend(self.start(&mut state, slot, &request.request(), waiter));
            added = true;
        }
        if added {
            self.notify_if_needed(&state);
        }
        refused
    }
}

impl State {
    fn enqueue(&mut self, slot: u16, request: &Request<'_>) -> Option<()> {
        let page = usize::from(slot) * PAGE;
        let at = |offset: usize| self.pages.address() + (page + offset) as u64;
        let (kind, device_writes) = match request.operation {
            Operation::Read => (kind::IN, true),
            Operation::Write { .. } => (kind::OUT, false),
            Operation::Flush => (kind::FLUSH, false),
            Operation::Discard => (kind::DISCARD, false),
        };
        let sector = request.offset / SECTOR;
        let header_sector = if request.has_data() { sector } else { 0 };
        self.pages.set(page, Header { kind, reserved: 0, sector: header_sector });
        self.pages.set(page + STATUS, STATUS_PENDING);
        let mut table = Table::new(&self.pages, page + TABLE, TABLE_MAX);
        table.push(at(0), size_of::<Header>() as u32, false)?;
        if request.operation == Operation::Discard {
            let num_sectors = u32::try_from(request.length / SECTOR).ok()?;
            self.pages.set(page + DISCARD_SEGMENT, DiscardSegment { sector, num_sectors, flags: 0 });
            table.push(at(DISCARD_SEGMENT), size_of::<DiscardSegment>() as u32, false)?;
        } else if request.has_data() {
            request.segments.first()?;
            for segment in request.segments {
                table.push(segment.address, segment.length, device_writes)?;
            }
        }
        table.push(at(STATUS), 1, true)?;
        self.queue.add(slot, table.finish()?);
        Some(())
    }

    fn result(&self, slot: u16) -> Result<(), Error> {
        match self.pages.get::<u8>(usize::from(slot) * PAGE + STATUS) {
            0 => Ok(()),
            2 => Err(Error::Unsupported),
            _ => Err(Error::Io),
        }
    }
}
