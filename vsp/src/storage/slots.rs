//! The requests of a controller, reused without allocation.

use super::disk::Operation;
use super::protocol::VstorPacket;
use super::scsi::Extent;
use alloc::vec::Vec;
use vmbus::GuestRange;

/// The most requests of a primary channel at a time. When all are taken the ring is not read on.
pub const SLOTS_MAX: usize = 512;
/// Those of a sub-channel: there may be many, and what they keep is the host's memory.
pub const SUB_CHANNEL_SLOTS_MAX: usize = 128;

/// A request, from the ring until its answer is in the ring.
#[derive(Debug, Default)]
pub struct Slot {
    /// What the guest sent; turned into the answer.
    pub packet: VstorPacket,
    /// Of the guest's packet.
    pub transaction_id: u64,
    /// The guest waits for an answer.
    pub wants_answer: bool,
    /// What its disk is doing.
    pub operation: Operation,
    /// The guest's buffer, cut to what is transferred.
    pub memory: Vec<GuestRange>,
    /// Bytes that are transferred if all goes well.
    pub length: u32,
    /// What else is to be discarded before the request is done.
    pub rest: Vec<Extent>,
}

/// All requests of a channel.
#[derive(Debug)]
pub struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
    max: usize,
}

impl Slots {
    /// None yet, and at most `max`.
    pub fn new(max: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), max }
    }

    /// Whether [`Self::take`] finds one.
    pub fn is_full(&self) -> bool {
        self.free.is_empty() && self.slots.len() >= self.max
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// A free slot, as it was left but for its lists, which are empty.
    pub fn take(&mut self) -> Option<u32> {
        if let Some(tag) = self.free.pop() {
            return Some(tag);
        }
        if self.slots.len() >= self.max {
            return None;
        }
        self.slots.push(Slot::default());
        u32::try_from(self.slots.len() - 1).ok()
    }

    /// Gives back a slot that was taken.
    pub fn give_back(&mut self, tag: u32) {
        if let Some(slot) = self.slots.get_mut(tag as usize) {
            slot.memory.clear();
            slot.rest.clear();
            self.free.push(tag);
        }
    }

    /// The slot.
    pub fn get_mut(&mut self, tag: u32) -> Option<&mut Slot> {
        self.slots.get_mut(tag as usize)
    }
}
