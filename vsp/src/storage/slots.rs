//! The requests of a controller, reused without allocation.
//!
//! What a guest can make the host keep is bounded: so many slots, of which each keeps a short list, and so many ranges of
//! memory in all requests together. A guest whose requests are all of the longest and scattered has fewer of them at a time.

use super::disk::Operation;
use super::protocol::VstorPacket;
use super::scsi::Extent;
use alloc::vec::Vec;
use vmbus::GuestRange;

/// The most requests of a primary channel at a time. When all are taken the ring is not read on.
pub const SLOTS_MAX: usize = 512;
/// Those of a sub-channel: there may be many, and what they keep is the host's memory.
pub const SUB_CHANNEL_SLOTS_MAX: usize = 128;

/// For each slot, so many ranges of memory may the requests of a channel have at a time; and so many a free slot has room for.
pub const RANGES_OF_EACH: usize = 32;

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
    /// How many ranges it counts for.
    ranges: usize,
    /// Bytes that are transferred if all goes well.
    pub length: u32,
    /// What else is to be discarded before the request is done.
    pub rest: Vec<Extent>,
}

/// Empties a list. A long one is not kept: there are many, and few are ever long.
#[inline]
fn empty<T>(list: &mut Vec<T>) {
    list.clear();
    if list.capacity() > RANGES_OF_EACH {
        *list = Vec::new();
    }
}

/// All requests of a channel.
#[derive(Debug)]
pub struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
    max: usize,
    /// Ranges of all that are taken.
    ranges: usize,
}

impl Slots {
    /// None yet, and at most `max`.
    pub fn new(max: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), max, ranges: 0 }
    }

    /// Whether no more are to be taken until one is given back.
    pub fn is_full(&self) -> bool {
        self.free.is_empty() && self.slots.len() >= self.max || self.ranges >= self.max * RANGES_OF_EACH
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

    /// The buffer of the request in this slot, which was just taken, is known.
    #[inline]
    pub fn count(&mut self, tag: u32) {
        if let Some(slot) = self.slots.get_mut(tag as usize) {
            slot.ranges = slot.memory.len();
            self.ranges += slot.ranges;
        }
    }

    /// Gives back a slot that was taken.
    pub fn give_back(&mut self, tag: u32) {
        if let Some(slot) = self.slots.get_mut(tag as usize) {
            self.ranges -= core::mem::take(&mut slot.ranges);
            empty(&mut slot.memory);
            empty(&mut slot.rest);
            self.free.push(tag);
        }
    }

    /// Forgets all of them, with their memory. None is taken.
    pub fn forget(&mut self) {
        *self = Self::new(self.max);
    }

    /// The slot.
    pub fn get_mut(&mut self, tag: u32) -> Option<&mut Slot> {
        self.slots.get_mut(tag as usize)
    }
}

#[cfg(test)]
impl Slots {
    /// For how many ranges there is memory.
    pub fn capacity(&self) -> usize {
        self.slots.iter().map(|slot| slot.memory.capacity()).sum()
    }
}
