//! The reading end.

use super::header::{INTERRUPT_MASK, PENDING_SEND_SIZE, READ_INDEX, WRITE_INDEX};
use super::{Area, Broken, TRAILER};
use crate::gpadl::Gpadl;
use crate::memory::Page;
use crate::packet::{DESCRIPTOR, Descriptor};

/// Takes packets out of a ring.
#[derive(Debug)]
pub struct Reader<P> {
    area: Area<P>,
    /// Where the next packet begins.
    read: u32,
    /// What the peer was told of `read`.
    published: u32,
    /// How far the peer had written when last asked.
    write: u32,
}

/// What [`Reader::finish`] found.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drained {
    /// The peer waits for room and must be signalled.
    pub signal: bool,
    /// More has arrived meanwhile: read on.
    pub more: bool,
}

impl<P: Page> Reader<P> {
    /// The reader of the ring in `count` of `gpadl`'s pages from page `first` on.
    ///
    /// # Errors
    /// They make no ring, or its indices cannot be.
    pub fn new(gpadl: &Gpadl<P>, first: u32, count: u32) -> Result<Self, Broken> {
        let area = Area::new(gpadl, first, count).ok_or(Broken)?;
        let read = area.load_index(READ_INDEX)?;
        area.load_index(WRITE_INDEX)?;
        area.store(INTERRUPT_MASK, 0);
        Ok(Self { area, read, published: read, write: read })
    }

    /// Asks the writer not to signal while packets are being read, and looks how far it has come.
    ///
    /// # Errors
    /// The ring is broken.
    pub fn start(&mut self) -> Result<(), Broken> {
        self.area.store(INTERRUPT_MASK, 1);
        self.write = self.area.load_index(WRITE_INDEX)?;
        Ok(())
    }

    /// The next packet of those that were there at [`Self::start`].
    ///
    /// # Errors
    /// The ring is broken.
    pub fn next_packet(&mut self) -> Result<Option<Packet<'_, P>>, Broken> {
        let available = self.area.distance(self.read, self.write);
        if available == 0 {
            return Ok(None);
        }
        let at = self.read;
        let mut bytes = [0; DESCRIPTOR as usize];
        match self.area.one_page(at, bytes.len()) {
            Some((page, offset)) => page.read(offset, &mut bytes),
            None => self.area.read(at, &mut bytes),
        }
        let descriptor = Descriptor::read(&bytes);
        let (header, length) = (descriptor.header_length(), descriptor.length());
        if header < DESCRIPTOR || header > length || length + TRAILER > available {
            return Err(Broken);
        }
        self.read = self.area.advance(at, length + TRAILER);
        let page = self.area.one_page(at, length as usize);
        Ok(Some(Packet { area: &self.area, at, page, descriptor }))
    }

    /// Gives the room of what was read back to the writer, without asking for signals. Whether it must be signalled.
    #[must_use]
    pub fn publish(&mut self) -> bool {
        let freed = self.area.distance(self.published, self.read);
        if freed == 0 {
            return false;
        }
        self.store_read_index();
        P::fence();
        self.has_freed_enough(freed)
    }

    /// Gives the room of what was read back to the writer and asks for signals again.
    ///
    /// # Errors
    /// The ring is broken.
    pub fn finish(&mut self) -> Result<Drained, Broken> {
        let freed = self.area.distance(self.published, self.read);
        if freed != 0 {
            self.store_read_index();
        }
        self.area.store(INTERRUPT_MASK, 0);
        P::fence();
        let signal = freed != 0 && self.has_freed_enough(freed);
        let write = self.area.load_index(WRITE_INDEX)?;
        Ok(Drained { signal, more: write != self.read })
    }

    fn store_read_index(&mut self) {
        self.area.store(READ_INDEX, self.read);
        self.published = self.read;
    }

    /// Whether the writer waits, did not have enough room before the last `freed` bytes were freed, and has it now.
    fn has_freed_enough(&self, freed: u32) -> bool {
        let wanted = self.area.load(PENDING_SEND_SIZE);
        if wanted == 0 {
            return false;
        }
        let Ok(write) = self.area.load_index(WRITE_INDEX) else { return false };
        let free = self.area.size - self.area.distance(self.read, write);
        free > wanted && free.saturating_sub(freed) <= wanted
    }
}

/// A packet that is still in the ring. Its bytes change under the peer's hands: read each once.
#[derive(Debug)]
pub struct Packet<'a, P> {
    area: &'a Area<P>,
    /// Index of its first byte.
    at: u32,
    /// The page that it lies in, and its offset there, when it is one.
    page: Option<(&'a P, usize)>,
    descriptor: Descriptor,
}

impl<P: Page> Packet<'_, P> {
    /// What it says of itself; the lengths are checked.
    #[must_use]
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Bytes of payload, padding included.
    #[must_use]
    pub fn payload_length(&self) -> usize {
        (self.descriptor.length() - self.descriptor.header_length()) as usize
    }

    /// Copies the payload from its byte `offset` on; how many bytes there were, at most those of `bytes`.
    pub fn read_payload(&self, offset: usize, bytes: &mut [u8]) -> usize {
        let length = bytes.len().min(self.payload_length().saturating_sub(offset));
        if let Some(bytes) = bytes.get_mut(..length).filter(|bytes| !bytes.is_empty()) {
            self.read(self.descriptor.header_length() + offset as u32, bytes);
        }
        length
    }

    /// Copies bytes of the header from its byte `offset` on; `false` when it is too short.
    pub(crate) fn read_header(&self, offset: u32, bytes: &mut [u8]) -> bool {
        let fits = u64::from(offset) + bytes.len() as u64 <= u64::from(self.descriptor.header_length());
        if fits {
            self.read(offset, bytes);
        }
        fits
    }

    /// Copies bytes that are known to lie within the packet.
    #[inline]
    fn read(&self, from: u32, bytes: &mut [u8]) {
        match self.page {
            Some((page, offset)) => page.read(offset + from as usize, bytes),
            None => self.area.read(self.at + from, bytes),
        }
    }
}
