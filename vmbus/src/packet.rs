//! Packets: what stands in a ring.

use crate::memory::{GuestRange, PAGE_SIZE, Page};
use crate::ring::Packet;
use alloc::vec::Vec;
use hv_abi::GpaPage;

/// Bytes of a descriptor.
pub const DESCRIPTOR: u32 = 16;
/// Bytes of the longest packet.
const LENGTH_MAX: usize = (u16::MAX as usize) * 8;

/// Types of packets.
pub mod packet_type {
    /// Payload only.
    pub const DATA_INBAND: u16 = 6;
    /// The header lists parts of a buffer that both ends know.
    pub const DATA_USING_XFER_PAGES: u16 = 7;
    /// The header lists ranges of the guest's memory.
    pub const DATA_USING_GPA_DIRECT: u16 = 9;
    /// Answers a packet.
    pub const COMPLETION: u16 = 0xB;
}

/// Flag of a descriptor: the sender waits for a completion.
pub const COMPLETION_REQUESTED: u16 = 1;

/// `vmpacket_descriptor`: the start of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Descriptor {
    /// [`packet_type`].
    pub packet_type: u16,
    /// Where the payload begins, in units of 8 bytes.
    header_length8: u16,
    /// Bytes in all but the trailer, in units of 8.
    length8: u16,
    /// [`COMPLETION_REQUESTED`].
    pub flags: u16,
    /// Chosen by the sender, echoed by a completion.
    pub transaction_id: u64,
}

impl Descriptor {
    /// An inband packet that wants no completion.
    #[must_use]
    pub const fn inband(transaction_id: u64) -> Self {
        Self::new(packet_type::DATA_INBAND, 0, transaction_id)
    }

    /// The answer to the packet with this id.
    #[must_use]
    pub const fn completion(transaction_id: u64) -> Self {
        Self::new(packet_type::COMPLETION, 0, transaction_id)
    }

    /// A packet; the ring fills in the lengths.
    #[must_use]
    pub const fn new(packet_type: u16, flags: u16, transaction_id: u64) -> Self {
        Self { packet_type, header_length8: 0, length8: 0, flags, transaction_id }
    }

    /// Whether the sender waits for a completion.
    #[must_use]
    pub fn is_completion_requested(&self) -> bool {
        self.flags & COMPLETION_REQUESTED != 0
    }

    /// Bytes before the payload.
    #[must_use]
    pub fn header_length(&self) -> u32 {
        u32::from(self.header_length8) * 8
    }

    /// Bytes in all, without the trailer.
    #[must_use]
    pub fn length(&self) -> u32 {
        u32::from(self.length8) * 8
    }

    pub(crate) fn with_lengths(mut self, header_length: u32, length: usize) -> Option<Self> {
        if length > LENGTH_MAX {
            return None;
        }
        self.header_length8 = u16::try_from(header_length / 8).ok()?;
        self.length8 = u16::try_from(length / 8).ok()?;
        Some(self)
    }

    pub(crate) fn read(bytes: &[u8; DESCRIPTOR as usize]) -> Self {
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let [.., a, b, c, d, e, f, g, h] = *bytes;
        Self {
            packet_type: word(0),
            header_length8: word(2),
            length8: word(4),
            flags: word(6),
            transaction_id: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; DESCRIPTOR as usize] {
        let low = u64::from(self.packet_type)
            | u64::from(self.header_length8) << 16
            | u64::from(self.length8) << 32
            | u64::from(self.flags) << 48;
        (u128::from(low) | u128::from(self.transaction_id) << 64).to_le_bytes()
    }
}

/// A packet contradicts itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// The ranges of guest memory in the header of a `DATA_USING_GPA_DIRECT` packet.
#[derive(Debug)]
pub struct GpaRanges<'a, P> {
    packet: &'a Packet<'a, P>,
    left: u32,
    /// Where the next range begins in the header.
    at: u32,
}

/// Offset of the first range.
const RANGES: u32 = DESCRIPTOR + 8;
/// Page numbers that are copied at a time.
const CHUNK: usize = 8;

impl<'a, P: Page> GpaRanges<'a, P> {
    /// The ranges of `packet`.
    ///
    /// # Errors
    /// It is no GPA-direct packet, or has no room for a range.
    pub fn new(packet: &'a Packet<'a, P>) -> Result<Self, Malformed> {
        // `reserved` and `range_count`.
        let mut head = [0; 8];
        let is_direct = packet.descriptor().packet_type == packet_type::DATA_USING_GPA_DIRECT;
        if !is_direct || !packet.read_header(DESCRIPTOR, &mut head) {
            return Err(Malformed);
        }
        let [_, _, _, _, count @ ..] = head;
        Ok(Self { packet, left: u32::from_le_bytes(count), at: RANGES })
    }

    /// How many ranges the packet says are left.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Appends the pieces of the next range, of at most `most` bytes, to `pieces`, neighbouring pages made one, and
    /// returns its bytes; `None` after the last.
    ///
    /// # Errors
    /// It is longer, the header is too short for what it lists, or names what is no guest-physical address.
    pub fn next(&mut self, most: u32, pieces: &mut Vec<GuestRange>) -> Result<Option<u32>, Malformed> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut head = [0; 8];
        if !self.packet.read_header(self.at, &mut head) {
            return Err(Malformed);
        }
        let [a, b, c, d, e, f, g, h] = head;
        let (length, offset) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        if offset >= PAGE_SIZE as u32 || length > most {
            return Err(Malformed);
        }
        let pages = (u64::from(length) + u64::from(offset)).div_ceil(PAGE_SIZE as u64);
        let numbers = self.at + 8;
        let end = u64::from(numbers) + pages * 8;
        if end > u64::from(self.packet.descriptor().header_length()) {
            return Err(Malformed);
        }
        self.left -= 1;
        self.at = end as u32;
        self.pages(numbers, length, offset, pieces)?;
        Ok(Some(length))
    }

    /// Appends the pages whose numbers are in the header from `at` to `self.at`: `length` bytes from `offset` on.
    fn pages(
        &self,
        mut at: u32,
        length: u32,
        mut offset: u32,
        pieces: &mut Vec<GuestRange>,
    ) -> Result<(), Malformed> {
        let mut left = length;
        // The piece that grows as long as pages are neighbours.
        let mut piece = GuestRange { address: 0, length: 0 };
        while left != 0 {
            let mut chunk = [0; CHUNK * 8];
            let bytes = ((self.at - at) as usize).min(chunk.len());
            let chunk = chunk.get_mut(..bytes).unwrap_or_default();
            self.packet.read_header(at, chunk);
            at += bytes as u32;
            for number in chunk.as_chunks::<8>().0 {
                let page = GpaPage::new(u64::from_le_bytes(*number)).ok_or(Malformed)?;
                let address = page.base().get() + u64::from(offset);
                let length = left.min(PAGE_SIZE as u32 - offset);
                if piece.address + u64::from(piece.length) == address {
                    piece.length += length;
                } else {
                    if piece.length != 0 {
                        pieces.push(piece);
                    }
                    piece = GuestRange { address, length };
                }
                left -= length;
                offset = 0;
            }
        }
        if piece.length != 0 {
            pieces.push(piece);
        }
        Ok(())
    }
}
