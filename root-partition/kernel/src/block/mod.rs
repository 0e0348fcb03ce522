//! Disks: what a driver offers, and files that are lists of extents on one.
//!
//! 1. Data is never copied on the way between the caller's memory and the device: a request names physical segments,
//!    and a driver turns them into its own descriptors before `submit` returns. Only what a device cannot reach that way
//!    (unaligned offsets, odd segment boundaries) goes through a bounce buffer.
//! 2. `submit` never waits. Each request is completed exactly once, from the driver's task, with no lock held, so that a
//!    completion may submit again. A driver completes all that an interrupt brought in one go.
//! 3. Whatever a request writes to or reads from stays allocated until it has completed: the completion object owns it.
//! 4. A request in many parts has a few of them with the device at a time: neither memory nor another's turn is taken by how
//!    scattered a file is.
//! 5. Offsets, lengths and what stands on the disk come from the less trusted side and are checked here, once.

mod bounce;
pub mod dma;
mod error;
mod extents;
mod file;
mod gpt;
mod joint;
mod signal;
mod split;
mod volume;

pub use error::Error;
pub use file::File;
pub use signal::Signal;
pub use volume::{Volume, register, volumes};

use alloc::string::String;
use alloc::sync::Arc;

/// A run of RAM for a device to read or write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PhysicalSegment {
    /// System-physical address of its first byte.
    pub address: u64,
    /// Length in bytes.
    pub length: u32,
}

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// From the disk to memory.
    Read,
    /// From memory to the disk.
    Write {
        /// Force unit access: it is on the medium when it completes.
        fua: bool,
    },
    /// Everything whose write has completed is on the medium when this completes. Has no range.
    Flush,
    /// The content of the range no longer matters. Has no segments.
    Discard,
}

/// A request to a device or a file.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What to do.
    pub operation: Operation,
    /// First byte on the disk; a multiple of the block size.
    pub offset: u64,
    /// Length in bytes; a multiple of the block size.
    pub length: u64,
    /// The memory, in order; its lengths add up to `length`.
    pub segments: &'a [PhysicalSegment],
}

impl Request<'_> {
    /// A flush.
    pub const FLUSH: Request<'static> =
        Request { operation: Operation::Flush, offset: 0, length: 0, segments: &[] };

    /// Whether it moves data.
    #[must_use]
    pub fn has_data(&self) -> bool {
        matches!(self.operation, Operation::Read | Operation::Write { .. })
    }
}

/// Who is told that a request is done; it owns the memory of the request.
pub trait Completion: Send + Sync {
    /// The request that was submitted with `tag` is done.
    fn complete(&self, tag: u64, result: Result<(), Error>);

    /// Whose request it is: those who wait for a full queue have their turn by turns. The host's own programs are one.
    fn source(&self) -> Source {
        Source::HOST
    }

    /// Whether it is still to be done if it waits for a full queue. Whoever does not want it any more may have been followed by
    /// another who uses the same disk: a write of his must not land behind theirs.
    fn is_wanted(&self) -> bool {
        true
    }
}

/// Somebody whose requests wait in line behind one another, not behind everybody's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source(usize);

impl Source {
    /// The host itself.
    pub const HOST: Self = Self(0);

    /// The one that `it` belongs to, as long as it lives.
    #[must_use]
    pub fn of<T: ?Sized>(it: &T) -> Self {
        Self(core::ptr::from_ref(it).addr())
    }
}

/// What one request of a device may look like; `File` cuts requests to fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most bytes of one read or write; a multiple of 4096.
    pub transfer: u64,
    /// The most segments.
    pub segments: usize,
    /// Segments must meet at page boundaries: all but the first begin on one, all but the last end on one.
    pub page_boundaries: bool,
    /// The most bytes of one discard; 0: the device cannot.
    pub discard: u64,
}

/// What a device is.
#[derive(Clone, Debug)]
pub struct Info {
    /// The driver's name for it ("nvme0").
    pub name: String,
    /// Bytes in a block: a power of two from 512 to 4096.
    pub block_size: u32,
    /// Length in bytes.
    pub length: u64,
    /// Writes are refused.
    pub read_only: bool,
    /// What its requests may look like.
    pub limits: Limits,
}

/// A disk, as its driver offers it.
pub trait Device: Send + Sync {
    /// What it is.
    fn info(&self) -> &Info;

    /// Starts a request that lies within the device and fits its [`Limits`]; what does not fit completes with
    /// [`Error::Invalid`]. Where the device's queue is full the driver keeps the request until there is room.
    fn submit(&self, request: &Request<'_>, completion: Arc<dyn Completion>, tag: u64);
}

#[cfg(test)]
pub(crate) mod memory_disk;
