//! A run of a channel: what is taken from its ring, and what is answered into it.

use super::disk::Disk;
use super::slots::SLOTS_MAX;
use super::{Storage, protocol};
use vmbus::packet::Descriptor;
use vmbus::ring::{Broken, Full, Reader, Writer};
use vmbus::{Channel, Memory};
use zerocopy::IntoBytes;

/// The most packets that are taken in one run.
pub(super) const PACKETS_AT_ONCE: u32 = SLOTS_MAX as u32;

/// Why a channel is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The guest has signalled, or the last run has left something: requests are taken, up to a limit.
    Guest,
    /// The host has something to say: answers of disks, or that there is a new one. Of requests that wait for a slot so many
    /// are taken as are given back; where none wait, the guest signals what it puts into the ring.
    Host,
}

impl<M: Memory, D: Disk> Storage<M, D> {
    /// Takes what is in the ring and answers what is due. Call it when the channel was opened, when the guest has
    /// signalled it, when [`Completions::complete`](super::Completions::complete) says so, and when
    /// [`Self::must_go_on`] does; then ask [`Self::sub_channels_asked`]. Whether the guest must be signalled.
    ///
    /// # Errors
    /// The guest broke its ring.
    pub fn run(&mut self, channel: &mut Channel<M::Page>, cause: Cause) -> Result<bool, Broken> {
        self.completions.begin_run();
        self.must_go_on = false;
        let mut result = self.take_and_answer(channel, cause, true);
        // What was completed since it last looked has woken nobody. A disk that is as fast as this gets nothing more to do.
        while !self.completions.end_run() && result.is_ok() {
            self.completions.begin_run();
            let more = self.take_and_answer(channel, Cause::Host, false);
            result = result.and_then(|signal| more.map(|more| signal | more));
        }
        result
    }

    fn take_and_answer(
        &mut self,
        channel: &mut Channel<M::Page>,
        cause: Cause,
        is_first: bool,
    ) -> Result<bool, Broken> {
        let Channel { reader, writer } = channel;
        let mut signal = false;
        let taken = self.slots.taken();
        self.answer_waiting(writer)?;
        self.answer_completed(writer)?;
        let mut left = match cause {
            Cause::Guest => PACKETS_AT_ONCE,
            Cause::Host if is_first => taken.saturating_sub(self.slots.taken()) as u32,
            Cause::Host => 0,
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
    pub(super) fn answer(&mut self, tag: u32, writer: &mut Writer<M::Page>) -> Result<(), Broken> {
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
