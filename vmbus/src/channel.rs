//! An open channel: two rings and what the service must know of it.

use crate::gpadl::Gpadl;
use crate::memory::Page;
use crate::packet::Descriptor;
use crate::ring::{Broken, Full, Reader, Writer};

/// The two rings of an open channel, seen from one end.
#[derive(Debug)]
pub struct Channel<P> {
    /// What the peer sends.
    pub reader: Reader<P>,
    /// What the peer receives.
    pub writer: Writer<P>,
}

impl<P: Page> Channel<P> {
    /// The host's end of the rings in `gpadl`: guest to host in the pages before `downstream_offset`, host to guest
    /// from there on.
    ///
    /// # Errors
    /// The pages make no two rings.
    pub fn host(gpadl: &Gpadl<P>, downstream_offset: u32) -> Result<Self, Broken> {
        let (upstream, downstream) = Self::split(gpadl, downstream_offset)?;
        let reader = Reader::new(gpadl, 0, upstream)?;
        let writer = Writer::new(gpadl, downstream_offset, downstream)?;
        Ok(Self { reader, writer })
    }

    /// The guest's end of the same rings.
    ///
    /// # Errors
    /// The pages make no two rings.
    pub fn guest(gpadl: &Gpadl<P>, downstream_offset: u32) -> Result<Self, Broken> {
        let (upstream, downstream) = Self::split(gpadl, downstream_offset)?;
        let reader = Reader::new(gpadl, downstream_offset, downstream)?;
        let writer = Writer::new(gpadl, 0, upstream)?;
        Ok(Self { reader, writer })
    }

    fn split(gpadl: &Gpadl<P>, downstream_offset: u32) -> Result<(u32, u32), Broken> {
        let pages = u32::try_from(gpadl.pages().len()).map_err(|_| Broken)?;
        let downstream = pages.checked_sub(downstream_offset).ok_or(Broken)?;
        if gpadl.byte_offset() == 0 { Ok((downstream_offset, downstream)) } else { Err(Broken) }
    }

    /// Writes one packet and publishes it. Whether the peer must be signalled.
    ///
    /// # Errors
    /// As [`Writer::push`].
    pub fn send(&mut self, descriptor: &Descriptor, payload: &[u8]) -> Result<bool, Full> {
        self.writer.push(descriptor, &[], payload)?;
        Ok(self.writer.publish())
    }
}
