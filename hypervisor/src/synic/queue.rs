//! Messages that wait for their slots: one queue for each SINT, in buffers that all share.

use hv_abi::message::HvMessage;
use hv_abi::status::{HvResult, HvStatus};
use hv_abi::synic::SINT_COUNT;

/// Buffers of a VP. All of it is made on the stack of whoever makes the VP, and moved: so not many.
pub const BUFFERS: usize = 16;
/// Of these one SINT may have so many.
pub const SHARE: u8 = 12;
/// No buffer.
const NONE: u8 = u8::MAX;

/// First, last, and number of a SINT's messages.
#[derive(Clone, Copy)]
struct List {
    first: u8,
    last: u8,
    length: u8,
}

/// The queues. Links are buffer numbers; `NONE` ends a list.
pub struct Queue {
    lists: [List; SINT_COUNT],
    next: [u8; BUFFERS],
    free: u8,
    messages: [HvMessage; BUFFERS],
}

impl Queue {
    /// All empty.
    pub fn new() -> Self {
        let mut queue = Self {
            lists: [List { first: NONE, last: NONE, length: 0 }; SINT_COUNT],
            next: [NONE; BUFFERS],
            free: NONE,
            messages: [HvMessage::EMPTY; BUFFERS],
        };
        queue.clear();
        queue
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.lists = [List { first: NONE, last: NONE, length: 0 }; SINT_COUNT];
        self.free = 0;
        for (next, number) in self.next.iter_mut().zip(1u8..) {
            *next = if usize::from(number) < BUFFERS { number } else { NONE };
        }
    }

    /// Messages that wait for `sint`.
    pub fn length(&self, sint: usize) -> u8 {
        self.lists.get(sint).map_or(0, |list| list.length)
    }
    /// Whether none waits for `sint`.
    pub fn is_empty(&self, sint: usize) -> bool {
        self.length(sint) == 0
    }
    /// The oldest message for `sint`.
    pub fn front(&self, sint: usize) -> Option<&HvMessage> {
        self.messages.get(usize::from(self.lists.get(sint)?.first))
    }

    /// Appends a message for `sint`.
    ///
    /// # Errors
    /// `INSUFFICIENT_BUFFERS`.
    pub fn push(&mut self, sint: usize, message: &HvMessage) -> HvResult<()> {
        let full = HvStatus::INSUFFICIENT_BUFFERS;
        let list = self.lists.get_mut(sint).ok_or(HvStatus::INVALID_PARAMETER)?;
        if list.length >= SHARE {
            return Err(full);
        }
        let buffer = self.free;
        *self.messages.get_mut(usize::from(buffer)).ok_or(full)? = *message;
        self.free = core::mem::replace(self.next.get_mut(usize::from(buffer)).ok_or(full)?, NONE);
        match self.next.get_mut(usize::from(list.last)) {
            Some(next) => *next = buffer,
            None => list.first = buffer,
        }
        list.last = buffer;
        list.length = list.length.saturating_add(1);
        Ok(())
    }

    /// Removes the oldest message for `sint`.
    pub fn pop(&mut self, sint: usize) {
        let Some(list) = self.lists.get_mut(sint) else { return };
        let buffer = list.first;
        let Some(next) = self.next.get_mut(usize::from(buffer)) else { return };
        list.first = core::mem::replace(next, self.free);
        self.free = buffer;
        list.length = list.length.saturating_sub(1);
        if list.first == NONE {
            list.last = NONE;
        }
    }
}
