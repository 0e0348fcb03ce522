//! The writing end.

use super::header::{INTERRUPT_MASK, PENDING_SEND_SIZE, READ_INDEX, WRITE_INDEX};
use super::{Area, Broken, TRAILER};
use crate::gpadl::Gpadl;
use crate::memory::Page;
use crate::packet::{DESCRIPTOR, Descriptor};

/// What fills a packet up to 8 bytes.
const PADDING: [u8; 7] = [0; 7];

/// Puts packets into a ring.
#[derive(Debug)]
pub struct Writer<P> {
    area: Area<P>,
    /// Where the next packet goes.
    write: u32,
    /// What the peer was told of `write`.
    published: u32,
    /// How far the peer had read when last asked.
    read: u32,
    /// `pending_send_size` is set.
    waits: bool,
}

/// Why a packet was not written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// There is no room now; the peer will signal when there is.
    Wait,
    /// It fits into no ring of this size.
    TooLarge,
    /// The ring is broken.
    Broken,
}

impl From<Broken> for Full {
    fn from(_: Broken) -> Self {
        Self::Broken
    }
}

impl<P: Page> Writer<P> {
    /// The writer of the ring in `count` of `gpadl`'s pages from page `first` on.
    ///
    /// # Errors
    /// They make no ring, or its indices cannot be.
    pub fn new(gpadl: &Gpadl<P>, first: u32, count: u32) -> Result<Self, Broken> {
        let area = Area::new(gpadl, first, count).ok_or(Broken)?;
        let write = area.load_index(WRITE_INDEX)?;
        let read = area.load_index(READ_INDEX)?;
        area.store(PENDING_SEND_SIZE, 0);
        Ok(Self { area, write, published: write, read, waits: false })
    }

    /// Writes a packet, which the reader does not see before [`Self::publish`]. `header` follows the descriptor, then
    /// `payload`; the header's length is a multiple of 8.
    ///
    /// # Errors
    /// There is no room (then the reader is asked to signal when there is), or never can be.
    pub fn push(&mut self, descriptor: &Descriptor, header: &[u8], payload: &[u8]) -> Result<(), Full> {
        let length = (DESCRIPTOR as usize + header.len() + payload.len()).next_multiple_of(8);
        let header_length = DESCRIPTOR + header.len() as u32;
        let descriptor = descriptor.with_lengths(header_length, length).ok_or(Full::TooLarge)?;
        let total = length as u32 + TRAILER;
        self.reserve(total)?;
        let at = self.write;
        let trailer = (u64::from(at) << 32).to_le_bytes();
        let payload_end = header_length + payload.len() as u32;
        let padding = PADDING.get(..length - payload_end as usize).unwrap_or_default();
        // Most packets lie within one page, which is found once for all parts.
        let page = self.area.one_page(at, total as usize);
        let write = |from: u32, bytes: &[u8]| match page {
            Some((page, offset)) => page.write(offset + from as usize, bytes),
            None => self.area.write(at + from, bytes),
        };
        write(0, &descriptor.to_bytes());
        if !header.is_empty() {
            write(DESCRIPTOR, header);
        }
        write(header_length, payload);
        if !padding.is_empty() {
            write(payload_end, padding);
        }
        write(length as u32, &trailer);
        self.write = self.area.advance(at, total);
        Ok(())
    }

    /// Makes sure that `total` bytes can be written.
    fn reserve(&mut self, total: u32) -> Result<(), Full> {
        if total >= self.area.size {
            return Err(Full::TooLarge);
        }
        if self.free() > total && !self.waits { Ok(()) } else { self.make_room(total) }
    }

    /// Looks how far the reader has come; waits if there is no room still, and no longer if there is.
    #[cold]
    fn make_room(&mut self, total: u32) -> Result<(), Full> {
        self.read = self.area.load_index(READ_INDEX)?;
        if self.free() <= total {
            return self.wait(total);
        }
        if self.waits {
            self.area.store(PENDING_SEND_SIZE, 0);
            self.waits = false;
        }
        Ok(())
    }

    fn free(&self) -> u32 {
        self.area.size - self.area.distance(self.read, self.write)
    }

    /// Asks for a signal when more than `total` bytes are free, unless they have become free meanwhile.
    fn wait(&mut self, total: u32) -> Result<(), Full> {
        self.area.store(PENDING_SEND_SIZE, total);
        self.waits = true;
        P::fence();
        self.read = self.area.load_index(READ_INDEX)?;
        if self.free() <= total {
            return Err(Full::Wait);
        }
        self.area.store(PENDING_SEND_SIZE, 0);
        self.waits = false;
        Ok(())
    }

    /// Shows the reader what was written. Whether it must be signalled.
    #[must_use]
    pub fn publish(&mut self) -> bool {
        let before = self.published;
        if self.write == before {
            return false;
        }
        self.area.store(WRITE_INDEX, self.write);
        self.published = self.write;
        P::fence();
        self.area.load(INTERRUPT_MASK) == 0 && self.area.load(READ_INDEX) == before
    }
}
