//! A synthetic SCSI controller: disks on its logical units, for the driver `hv_storvsc`.
//!
//! A [`Controller`] has the disks, and each of its channels a [`Storage`]: the primary one, through which the driver does
//! its handshake, and as many sub-channels as it asks for, so that each of its processors has one. A request is answered
//! on the channel that it came through; between channels there is no order, as there is none between simple tasks.
//!
//! A request goes from the ring to the [`Disk`] as ranges of guest memory, without a copy, and any number of them run
//! at a time. A disk completes them through [`Completions`] in any order; [`Storage::run`] then writes all answers that
//! are due into the ring with one signal. What is completed while it runs it answers too, and wakes nobody for it.
//!
//! Invariants:
//! 1. Every request that wants an answer gets exactly one. A request that waits for room in the ring keeps its slot,
//!    and while one waits no other is taken, so a guest that does not read its ring holds up nobody but itself.
//! 2. What a disk is given lies within the disk, and its memory adds up to its length.
//! 3. In steady state a request allocates nothing, unless its buffer is very scattered: slots and their lists are reused.
//! 4. A run is short, however much the guest has put into its ring: see [`Storage::must_go_on`]. One that a disk causes takes
//!    no more than it has given back ([`Cause`]), so that no guest feeds itself with its disks' answers.

mod completions;
mod controller;
mod disk;
mod execute;
mod handshake;
mod protocol;
mod scsi;
mod slots;
mod sub_channels;
mod transfer;

pub use completions::{Completions, Outcome};
pub use controller::{Controller, LUNS};
pub use disk::{Disk, Geometry, Operation, Request};

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use handshake::Handshake;
use slots::{SLOTS_MAX, SUB_CHANNEL_SLOTS_MAX, Slots};
use sub_channels::Creation;
use vmbus::packet::Descriptor;
use vmbus::ring::{Broken, Full, Reader, Writer};
use vmbus::{Channel, Memory};
use zerocopy::IntoBytes;

/// The most bytes of one request: the guest is told, and a longer one is refused.
pub const MAX_TRANSFER_BYTES: u32 = 1 << 20;
/// The most packets that are taken in one run.
const PACKETS_AT_ONCE: u32 = SLOTS_MAX as u32;

/// Why a channel is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The guest has signalled, or the last run has left something: requests are taken, up to a limit.
    Guest,
    /// The host has something to say: answers of disks, or that there is a new one. Of requests that wait for a slot so many
    /// are taken as are given back; where none wait, the guest signals what it puts into the ring.
    Host,
}

/// One channel of a controller.
pub struct Storage<M: Memory, D: Disk> {
    memory: M,
    controller: Arc<Controller<D>>,
    completions: Arc<Completions>,
    /// Takes the disks' completions to `completions`.
    done: D::Done,
    slots: Slots,
    /// Answers that wait for room in the ring, by tag.
    unanswered: VecDeque<u32>,
    /// `None`: a sub-channel.
    handshake: Option<Handshake>,
    creation: Creation,
    must_go_on: bool,
    /// Requests may wait in the ring until others are answered: the guest does not signal them.
    is_stalled: bool,
    counters: Counters,
}

/// What a channel of a controller has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Reads, writes, flushes and discards that disks have done.
    pub requests: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
}

impl<M: Memory, D: Disk> Storage<M, D> {
    /// The primary channel of `controller` in a VM with this memory. `done` makes what disks complete its requests
    /// through.
    pub fn primary(
        memory: M,
        controller: Arc<Controller<D>>,
        done: impl FnOnce(Arc<Completions>) -> D::Done,
    ) -> Self {
        Self::new(memory, controller, done, Some(Handshake::default()), SLOTS_MAX)
    }

    /// One more channel of it.
    pub fn sub_channel(
        memory: M,
        controller: Arc<Controller<D>>,
        done: impl FnOnce(Arc<Completions>) -> D::Done,
    ) -> Self {
        Self::new(memory, controller, done, None, SUB_CHANNEL_SLOTS_MAX)
    }

    fn new(
        memory: M,
        controller: Arc<Controller<D>>,
        done: impl FnOnce(Arc<Completions>) -> D::Done,
        handshake: Option<Handshake>,
        slots: usize,
    ) -> Self {
        let completions = Arc::new(Completions::new(slots));
        Self {
            memory,
            controller,
            done: done(Arc::clone(&completions)),
            completions,
            slots: Slots::new(slots),
            unanswered: VecDeque::with_capacity(slots),
            handshake,
            creation: Creation::default(),
            must_go_on: false,
            is_stalled: false,
            counters: Counters::default(),
        }
    }

    /// The controller that this is a channel of.
    #[must_use]
    pub fn controller(&self) -> &Arc<Controller<D>> {
        &self.controller
    }

    /// What it has done.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The channel was closed: nothing is answered any more. Whether the disks have given back all requests; if not,
    /// call it again when a completion says so, and confirm the close ([`vmbus::host::Host::closed`]) only then. Until
    /// then [`Completions::is_wanted`] says that they need not be done. A channel that is opened afterwards begins anew.
    #[must_use]
    pub fn close(&mut self) -> bool {
        if let Some(handshake) = &mut self.handshake {
            *handshake = Handshake::default();
            self.controller.set_ready(false);
        }
        self.forget_sub_channels();
        self.must_go_on = false;
        self.is_stalled = false;
        let mut taken = self.completions.take();
        while let Some((tag, _)) = taken.next(&self.completions) {
            self.slots.give_back(tag);
        }
        while let Some(tag) = self.unanswered.pop_front() {
            self.slots.give_back(tag);
        }
        let is_idle = self.slots.taken() == 0;
        self.completions.set_closing(!is_idle);
        if is_idle {
            // A guest may leave channels closed for as long as it likes.
            self.slots.forget();
        }
        is_idle
    }

    /// Whether the last run has left packets in the ring so that others have their turn. The guest will not signal:
    /// call [`Self::run`] again soon, with [`Cause::Guest`].
    #[must_use]
    pub fn must_go_on(&self) -> bool {
        self.must_go_on
    }

    /// Takes what is in the ring and answers what is due. Call it when the channel was opened, when the guest has
    /// signalled it, when [`Completions::complete`] says so, and when [`Self::must_go_on`] does; then ask
    /// [`Self::sub_channels_asked`]. Whether the guest must be signalled.
    ///
    /// # Errors
    /// The guest broke its ring.
    pub fn run(&mut self, channel: &mut Channel<M::Page>, cause: Cause) -> Result<bool, Broken> {
        self.completions.begin_run();
        self.must_go_on = false;
        let mut result = self.take_and_answer(channel, cause);
        // What was completed since it last looked has woken nobody.
        while !self.completions.end_run() && result.is_ok() {
            self.completions.begin_run();
            let more = self.take_and_answer(channel, Cause::Host);
            result = result.and_then(|signal| more.map(|more| signal | more));
        }
        result
    }

    fn take_and_answer(&mut self, channel: &mut Channel<M::Page>, cause: Cause) -> Result<bool, Broken> {
        let Channel { reader, writer } = channel;
        let mut signal = false;
        let taken = self.slots.taken();
        self.answer_waiting(writer)?;
        self.answer_completed(writer)?;
        let mut left = match cause {
            Cause::Guest => PACKETS_AT_ONCE,
            Cause::Host => taken.saturating_sub(self.slots.taken()) as u32,
        };
        if cause == Cause::Guest || self.is_stalled {
            while self.take_requests(reader, writer, &mut signal, &mut left)? {
                self.answer_waiting(writer)?;
                self.answer_completed(writer)?;
            }
        }
        self.announce(writer)?;
        signal |= writer.publish();
        Ok(signal)
    }

    /// Takes requests as long as there are some, `left` at most, and their answers have room. Whether there is more to
    /// do at once.
    fn take_requests(
        &mut self,
        reader: &mut Reader<M::Page>,
        writer: &mut Writer<M::Page>,
        signal: &mut bool,
        left: &mut u32,
    ) -> Result<bool, Broken> {
        reader.start()?;
        self.is_stalled = false;
        while !self.is_full() {
            let Some(now_left) = left.checked_sub(1) else {
                self.must_go_on = true;
                *signal |= reader.publish();
                return Ok(false);
            };
            *left = now_left;
            let Some(packet) = reader.next_packet()? else {
                let drained = reader.finish()?;
                *signal |= drained.signal;
                return Ok(drained.more || !self.completions.is_empty());
            };
            self.take_request(&packet, writer)?;
        }
        // The guest need not signal: it goes on when an answer has found its room.
        self.is_stalled = true;
        *signal |= reader.publish();
        Ok(self.unanswered.is_empty() && !self.completions.is_empty())
    }

    fn is_full(&self) -> bool {
        self.slots.is_full() || !self.unanswered.is_empty()
    }

    /// Writes the answers that waited for room, as far as there is some now.
    fn answer_waiting(&mut self, writer: &mut Writer<M::Page>) -> Result<(), Broken> {
        while let Some(tag) = self.unanswered.pop_front() {
            if !self.try_answer(tag, writer)? {
                self.unanswered.push_front(tag);
                break;
            }
        }
        Ok(())
    }

    /// Writes the answer that is in this slot, or lets it wait.
    fn answer(&mut self, tag: u32, writer: &mut Writer<M::Page>) -> Result<(), Broken> {
        if !self.unanswered.is_empty() || !self.try_answer(tag, writer)? {
            self.unanswered.push_back(tag);
        }
        Ok(())
    }

    fn try_answer(&mut self, tag: u32, writer: &mut Writer<M::Page>) -> Result<bool, Broken> {
        if let Some(slot) = self.slots.get_mut(tag)
            && slot.wants_answer
        {
            slot.packet.operation = protocol::operation::COMPLETE_IO;
            slot.packet.flags = 0;
            let descriptor = Descriptor::completion(slot.transaction_id);
            match writer.push(&descriptor, &[], slot.packet.as_bytes()) {
                Ok(()) => {}
                Err(Full::Wait) => return Ok(false),
                Err(Full::TooLarge | Full::Broken) => {
                    // It is never answered; kept, it would keep the channel from ever being closed.
                    self.slots.give_back(tag);
                    return Err(Broken);
                }
            }
        }
        self.slots.give_back(tag);
        Ok(true)
    }

    /// Tells the guest to look for disks, when some came after it had looked.
    fn announce(&mut self, writer: &mut Writer<M::Page>) -> Result<(), Broken> {
        if !self.controller.must_announce() || self.handshake.is_none() {
            return Ok(());
        }
        let packet =
            protocol::VstorPacket { operation: protocol::operation::ENUMERATE_BUS, ..Default::default() };
        match writer.push(&Descriptor::inband(0), &[], packet.as_bytes()) {
            Ok(()) => self.controller.announced(),
            Err(Full::Wait) => {}
            Err(Full::TooLarge | Full::Broken) => return Err(Broken),
        }
        Ok(())
    }
}

impl<M: Memory, D: Disk> Drop for Storage<M, D> {
    fn drop(&mut self) {
        // Its VM may be gone without having closed it.
        self.completions.set_closing(true);
    }
}

#[cfg(test)]
mod tests;
