//! Messages that wait for their slots: in one list that all SINTs share.

use heapless::Vec;
use hv_abi::message::HvMessage;
use hv_abi::status::{HvResult, HvStatus};

/// Buffers of a VP. All of it is made on the stack of whoever makes the VP, and moved: so not many.
pub const BUFFERS: usize = 16;
/// Of these one SINT may have so many.
pub const SHARE: u8 = 12;

/// The queues: SINT and message, the oldest first.
pub struct Queue(Vec<(u8, HvMessage), BUFFERS>);

impl Queue {
    /// All empty.
    pub const fn new() -> Self {
        Self(Vec::new())
    }
    /// Messages that wait for `sint`.
    pub fn length(&self, sint: usize) -> u8 {
        self.0.iter().filter(|(of, _)| usize::from(*of) == sint).count() as u8
    }
    /// Whether none waits for `sint`.
    pub fn is_empty(&self, sint: usize) -> bool {
        self.front(sint).is_none()
    }
    /// The oldest message for `sint`.
    pub fn front(&self, sint: usize) -> Option<&HvMessage> {
        self.0.iter().find(|(of, _)| usize::from(*of) == sint).map(|(_, message)| message)
    }
    /// Appends a message for `sint`, a SINT's number.
    ///
    /// # Errors
    /// `INSUFFICIENT_BUFFERS`.
    pub fn push(&mut self, sint: usize, message: &HvMessage) -> HvResult<()> {
        if self.length(sint) >= SHARE {
            return Err(HvStatus::INSUFFICIENT_BUFFERS);
        }
        self.0.push((sint as u8, *message)).map_err(|_| HvStatus::INSUFFICIENT_BUFFERS)
    }
    /// Removes the oldest message for `sint`.
    pub fn pop(&mut self, sint: usize) {
        if let Some(index) = self.0.iter().position(|(of, _)| usize::from(*of) == sint) {
            self.0.remove(index);
        }
    }
}
