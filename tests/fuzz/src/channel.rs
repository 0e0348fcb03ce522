//! A channel in a guest's memory that holds what the input says.

use vmbus::fake::{FakeMemory, FakePage};
use vmbus::gpadl::{Assembly, Gpadl};
use vmbus::memory::PAGE_SIZE;
use vmbus::{Channel, Memory};

/// Pages of data of each ring.
pub const RING_PAGES: u32 = 2;
/// The guest's pages up to this one are the two rings.
pub const RINGS_END: u64 = 2 * (RING_PAGES as u64 + 1);
/// Pages of the guest: two channels' rings, and some for buffers.
pub const PAGES: usize = 22;

/// The pages of both rings.
#[must_use]
pub fn rings(memory: &FakeMemory) -> Gpadl<FakePage> {
    rings_at(memory, 0)
}

/// The pages of both rings of another channel, from `first` on.
#[must_use]
pub fn rings_at(memory: &FakeMemory, first: u64) -> Gpadl<FakePage> {
    let count = 2 * (RING_PAGES + 1);
    let mut assembly = Assembly::new(count * PAGE_SIZE as u32, 0, count).expect("pages make a list");
    let numbers: Vec<u8> = (first..first + u64::from(count)).flat_map(u64::to_le_bytes).collect();
    assembly.add(memory, &numbers).expect("they are RAM");
    assembly.finish()
}

/// The guest's end and the host's.
#[must_use]
pub fn channel<M: Memory>(gpadl: &Gpadl<M::Page>) -> (Channel<M::Page>, Channel<M::Page>) {
    let guest = Channel::guest(gpadl, RING_PAGES + 1).expect("fresh rings");
    (guest, Channel::host(gpadl, RING_PAGES + 1).expect("fresh rings"))
}

/// Takes numbers from the front of an input; zeros behind its end.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// Whether anything is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// The next two bytes.
    pub fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// At most the next `length` bytes.
    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (now, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        now
    }
}
