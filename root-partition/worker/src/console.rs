//! What the guest's first serial port says and hears, between the UART and `vmms`.
//!
//! 1. Output is kept in a ring of [`RING`] bytes; when nobody takes it, the oldest goes first.
//! 2. Input waits, up to [`BACKLOG`] bytes, until the UART has room; more is dropped as on a line without flow control.

use alloc::collections::VecDeque;
use syscall::worker::CONSOLE_CHUNK;

/// Bytes of output that are kept.
pub const RING: usize = 64 << 10;
/// Bytes of input that are kept.
pub const BACKLOG: usize = 64 << 10;

/// The two queues.
#[derive(Debug)]
pub struct Console {
    output: VecDeque<u8>,
    input: VecDeque<u8>,
    attached: bool,
}

impl Default for Console {
    fn default() -> Self {
        Self { output: VecDeque::with_capacity(RING), input: VecDeque::new(), attached: false }
    }
}

impl Console {
    /// Whether somebody takes the output.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.attached
    }

    /// Somebody takes the output from now on, or nobody.
    pub fn attach(&mut self, attached: bool) {
        self.attached = attached;
    }

    /// A byte from the guest.
    pub fn put(&mut self, byte: u8) {
        if self.output.len() >= RING {
            self.output.pop_front();
        }
        self.output.push_back(byte);
    }

    /// How many bytes wait to be sent.
    #[must_use]
    pub fn pending(&self) -> usize {
        if self.attached { self.output.len() } else { 0 }
    }

    /// Whether the next byte from the guest would push out one that somebody wants.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.attached && self.output.len() >= RING
    }

    /// The next bytes to send, at most [`CONSOLE_CHUNK`] of them.
    #[must_use]
    pub fn chunk(&self) -> &[u8] {
        let (first, second) = self.output.as_slices();
        let chunk = if first.is_empty() { second } else { first };
        chunk.get(..CONSOLE_CHUNK).unwrap_or(chunk)
    }

    /// The first `count` bytes were sent.
    pub fn sent(&mut self, count: usize) {
        self.output.drain(..count.min(self.output.len()));
    }

    /// Bytes for the guest.
    pub fn type_in(&mut self, bytes: &[u8]) {
        let room = BACKLOG.saturating_sub(self.input.len());
        self.input.extend(bytes.iter().take(room));
    }

    /// The next byte for the guest.
    pub fn take_typed(&mut self) -> Option<u8> {
        self.input.pop_front()
    }

    /// Whether there is a byte for the guest.
    #[must_use]
    pub fn has_input(&self) -> bool {
        !self.input.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{BACKLOG, Console, RING};
    use syscall::worker::CONSOLE_CHUNK;

    fn drain(console: &mut Console) -> Vec<u8> {
        let mut all = Vec::new();
        while console.pending() != 0 {
            let chunk = console.chunk().to_vec();
            assert!(!chunk.is_empty() && chunk.len() <= CONSOLE_CHUNK);
            console.sent(chunk.len());
            all.extend(chunk);
        }
        all
    }

    #[test]
    fn what_came_before_the_attachment_is_the_newest_ring_full() {
        let mut console = Console::default();
        let said: Vec<u8> = (0..RING + 1000).map(|i| (i % 251) as u8).collect();
        said.iter().for_each(|&byte| console.put(byte));
        assert_eq!(console.pending(), 0);
        assert!(!console.is_full());
        console.attach(true);
        assert!(console.is_full());
        assert_eq!(drain(&mut console), said[1000..]);
    }

    #[test]
    fn input_is_bounded_and_in_order() {
        let mut console = Console::default();
        console.type_in(&[1; BACKLOG - 1]);
        console.type_in(&[2, 3]);
        let heard: Vec<u8> = core::iter::from_fn(|| console.take_typed()).collect();
        assert_eq!((heard.len(), heard.last()), (BACKLOG, Some(&2)));
        assert!(!console.has_input());
    }
}
