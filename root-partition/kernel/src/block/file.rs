//! A file: bytes at consecutive offsets that lie in extents of one device.

use super::bounce::BOUNCE_MAX;
use super::extents::ExtentMap;
use super::joint::Joint;
use super::split::{Cut, fits};
use super::{Completion, Device, Error, Operation, PhysicalSegment, Request, Signal};
use crate::block::dma::{Direction, DmaBuffer, copy_segments};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A file. A whole disk and a partition are files of one extent.
pub struct File {
    device: Arc<dyn Device>,
    map: Arc<ExtentMap>,
    length: u64,
    read_only: bool,
}

/// How a checked request reaches the device.
enum Way {
    /// As it is, at this byte of the device.
    Direct(u64),
    /// In parts; `true`: through a bounce buffer.
    Parts(bool),
}

impl File {
    /// The whole of `device`.
    ///
    /// # Errors
    /// `Invalid`: the device is empty.
    pub fn whole(device: Arc<dyn Device>) -> Result<Self, Error> {
        let info = device.info();
        let length = info.length - info.length % u64::from(info.block_size);
        let map = ExtentMap::new(core::iter::once((0, length)), info.length, info.block_size)?;
        let read_only = info.read_only;
        Ok(Self { device, map: Arc::new(map), length, read_only })
    }

    /// The file of `length` bytes in the extents `(start, length)` of this one.
    ///
    /// # Errors
    /// `OutOfRange`: an extent reaches beyond this file, or `length` beyond the extents; `Invalid`: an extent is not
    /// made of whole blocks.
    pub fn child(&self, extents: &[(u64, u64)], length: u64, read_only: bool) -> Result<Self, Error> {
        let mut runs = Vec::with_capacity(extents.len());
        for &(start, extent_length) in extents {
            let end = start.checked_add(extent_length).ok_or(Error::OutOfRange)?;
            if end > self.map.length() {
                return Err(Error::OutOfRange);
            }
            if extent_length == 0 {
                return Err(Error::Invalid);
            }
            runs.extend(self.map.runs(start, extent_length));
        }
        let info = self.device.info();
        let map = ExtentMap::new(runs.into_iter(), info.length, info.block_size)?;
        if length > map.length() {
            return Err(Error::OutOfRange);
        }
        let (device, map) = (Arc::clone(&self.device), Arc::new(map));
        Ok(Self { device, map, length, read_only: read_only || self.read_only })
    }

    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes in a block of its device.
    #[must_use]
    pub fn block_size(&self) -> u32 {
        self.device.info().block_size
    }

    /// Whether writes are refused.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether [`Operation::Discard`] reaches the device.
    #[must_use]
    pub fn can_discard(&self) -> bool {
        self.device.info().limits.discard != 0
    }

    /// Starts a request. `completion` may be called before this returns: hold no lock that it takes.
    pub fn submit(&self, request: &Request<'_>, completion: Arc<dyn Completion>, tag: u64) {
        match self.check(request) {
            Ok(Way::Direct(start)) => {
                self.device.submit(&Request { offset: start, ..*request }, completion, tag);
            }
            Ok(Way::Parts(through_bounce)) => {
                let limits = &self.device.info().limits;
                let (transfer, segments) = match (request.has_data(), through_bounce) {
                    (false, _) => (limits.discard, 1),
                    (true, false) => (limits.transfer, limits.segments),
                    (true, true) => (limits.transfer.min(BOUNCE_MAX), usize::MAX),
                };
                let cut = Cut { transfer, segments, block_size: self.block_size() };
                let to = (Arc::clone(&self.device), Arc::clone(&self.map));
                Joint::submit(to, request, cut, through_bounce, (completion, tag));
            }
            Err(error) => completion.complete(tag, Err(error)),
        }
    }

    fn check(&self, request: &Request<'_>) -> Result<Way, Error> {
        if request.operation != Operation::Read && self.read_only && request.operation != Operation::Flush {
            return Err(Error::ReadOnly);
        }
        if request.operation == Operation::Flush {
            return Ok(Way::Direct(0));
        }
        let info = self.device.info();
        let limits = &info.limits;
        let mask = u64::from(info.block_size) - 1;
        if (request.offset | request.length) & mask != 0 || request.length == 0 {
            return Err(Error::Invalid);
        }
        let end = request.offset.checked_add(request.length).ok_or(Error::OutOfRange)?;
        if end > self.map.length() {
            return Err(Error::OutOfRange);
        }
        let (start, room) = self.map.locate(request.offset).ok_or(Error::OutOfRange)?;
        let transfer = if request.has_data() { limits.transfer } else { limits.discard };
        if transfer == 0 {
            return Err(Error::Unsupported);
        }
        let fits = !request.has_data() || fits(request.segments, request.length, limits)?;
        let small = request.length <= room.min(transfer) && request.segments.len() <= limits.segments;
        Ok(if fits && small { Way::Direct(start) } else { Way::Parts(!fits) })
    }

    /// Submits and waits; `keep` is the memory that the segments lie in.
    ///
    /// # Errors
    /// What became of the request.
    pub async fn run<K: Send + Sync + 'static>(&self, request: &Request<'_>, keep: K) -> Result<(), Error> {
        let signal = Signal::new(keep);
        self.submit(request, signal.clone(), 0);
        signal.wait().await
    }

    /// Everything written is on the medium when it returns.
    ///
    /// # Errors
    /// `Io`.
    pub async fn flush(&self) -> Result<(), Error> {
        self.run(&Request::FLUSH, ()).await
    }

    /// Reads from any `offset` to `segments`, which lie in memory that `keep` owns.
    ///
    /// # Errors
    /// `OutOfRange`: beyond the file's length; `Io`.
    pub async fn read<K: Send + Sync + 'static>(
        &self,
        offset: u64,
        segments: &[PhysicalSegment],
        keep: K,
    ) -> Result<(), Error> {
        let length = self.check_bytes(offset, segments)?;
        if length == 0 {
            return Ok(());
        }
        if self.is_aligned(offset, length) {
            return self.run(&Request { operation: Operation::Read, offset, length, segments }, keep).await;
        }
        let mut done = 0;
        while done < length {
            let window = self.read_window(offset + done, length - done).await?;
            let piece = window.length;
            copy_segments(Direction::ToSegments, &window.buffer, window.skip, segments, done, piece);
            done += piece as u64;
        }
        drop(keep);
        Ok(())
    }

    /// Writes `segments`, which lie in memory that `keep` owns, to any `offset`. The bytes beside an unaligned range
    /// are read and written back: whoever writes neighbouring bytes at the same time must wait for one another.
    ///
    /// # Errors
    /// `OutOfRange`: beyond the file's length; `ReadOnly`; `Io`.
    pub async fn write<K: Send + Sync + 'static>(
        &self,
        offset: u64,
        segments: &[PhysicalSegment],
        keep: K,
    ) -> Result<(), Error> {
        let length = self.check_bytes(offset, segments)?;
        if self.read_only {
            return Err(Error::ReadOnly);
        }
        if length == 0 {
            return Ok(());
        }
        let operation = Operation::Write { fua: false };
        if self.is_aligned(offset, length) {
            return self.run(&Request { operation, offset, length, segments }, keep).await;
        }
        let mut done = 0;
        while done < length {
            let Window { buffer, start, total, skip, length: piece } =
                self.read_window(offset + done, length - done).await?;
            copy_segments(Direction::FromSegments, &buffer, skip, segments, done, piece);
            let whole = [PhysicalSegment { address: buffer.address(), length: total as u32 }];
            let request = Request { operation, offset: start, length: total, segments: &whole };
            self.run(&request, buffer).await?;
            done += piece as u64;
        }
        drop(keep);
        Ok(())
    }

    /// Reads `length` bytes at `offset` into a fresh buffer.
    ///
    /// # Errors
    /// `OutOfRange`, `OutOfMemory`, `Io`.
    pub async fn read_bytes(&self, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = alloc::vec![0; length];
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.checked_add(done as u64).ok_or(Error::OutOfRange)?;
            let window = self.read_window(at, rest.len() as u64).await?;
            let piece = rest.get_mut(..window.length).ok_or(Error::Invalid)?;
            window.buffer.read(window.skip, piece);
            done += window.length;
        }
        Ok(bytes)
    }

    fn check_bytes(&self, offset: u64, segments: &[PhysicalSegment]) -> Result<u64, Error> {
        let length = segments.iter().map(|segment| u64::from(segment.length)).sum::<u64>();
        let end = offset.checked_add(length).ok_or(Error::OutOfRange)?;
        if end > self.length { Err(Error::OutOfRange) } else { Ok(length) }
    }

    fn is_aligned(&self, offset: u64, length: u64) -> bool {
        (offset | length).is_multiple_of(u64::from(self.block_size()))
    }

    /// Reads the whole blocks around `offset`, at most [`BOUNCE_MAX`] bytes of them.
    async fn read_window(&self, offset: u64, wanted: u64) -> Result<Window, Error> {
        let block = u64::from(self.block_size());
        let start = offset - offset % block;
        let skip = offset - start;
        let total = skip.saturating_add(wanted).min(BOUNCE_MAX).next_multiple_of(block);
        let buffer = Arc::new(DmaBuffer::allocate(total as usize).ok_or(Error::OutOfMemory)?);
        let segments = [PhysicalSegment { address: buffer.address(), length: total as u32 }];
        let request =
            Request { operation: Operation::Read, offset: start, length: total, segments: &segments };
        self.run(&request, Arc::clone(&buffer)).await?;
        let length = wanted.min(total - skip) as usize;
        Ok(Window { buffer, start, total, skip: skip as usize, length })
    }
}

/// Whole blocks in a buffer, and which bytes of them were wanted.
struct Window {
    buffer: Arc<DmaBuffer>,
    /// Offset of the first block in the file.
    start: u64,
    /// Bytes in the buffer.
    total: u64,
    /// Where the wanted bytes begin in it.
    skip: usize,
    /// How many are wanted.
    length: usize,
}
