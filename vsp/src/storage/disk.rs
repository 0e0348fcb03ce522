//! What the controller serves.

use vmbus::GuestRange;

/// What a disk is; it does not change while the disk is attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Bytes in a logical block: 512 to 4096, a power of two.
    pub block_size: u32,
    /// Length in bytes; a multiple of the block size (a rest is not visible).
    pub length: u64,
    /// Writes are refused.
    pub read_only: bool,
    /// [`Operation::Discard`] has an effect.
    pub can_discard: bool,
    /// Identifies the disk (VPD page 0x83).
    pub unique_id: [u8; 16],
}

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Operation {
    /// From the disk to the guest's memory.
    Read,
    /// From the guest's memory to the disk.
    Write {
        /// Force unit access: it is on the medium when it completes.
        fua: bool,
    },
    /// Everything whose write has completed is on the medium when this completes. Has no range.
    #[default]
    Flush,
    /// The content of the range no longer matters. Has no memory.
    Discard,
}

/// A request that lies within the disk.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What to do.
    pub operation: Operation,
    /// First byte on the disk, a multiple of the block size.
    pub offset: u64,
    /// Length in bytes, a multiple of the block size.
    pub length: u64,
    /// The guest's memory, in order; the lengths add up to `length`. Whether it is RAM is for the disk to check.
    pub memory: &'a [GuestRange],
}

/// A disk.
pub trait Disk {
    /// What takes its completions to one channel of the controller; its own or shared with other disks.
    type Done;

    /// What it is.
    fn geometry(&self) -> Geometry;

    /// Starts a request and returns; [`Completions::complete`](super::Completions::complete) of the channel with `tag`
    /// when it is done, which may be before this returns.
    fn submit(&self, request: &Request<'_>, done: &Self::Done, tag: u32);
}
