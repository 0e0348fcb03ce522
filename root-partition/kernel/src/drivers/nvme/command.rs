//! Submission and completion queue entries.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Opcodes of the NVM and admin command sets.
pub mod opcode {
    /// NVM: commits the volatile write cache.
    pub const FLUSH: u8 = 0x00;
    /// NVM: writes.
    pub const WRITE: u8 = 0x01;
    /// NVM: reads.
    pub const READ: u8 = 0x02;
    /// NVM: deallocates ranges.
    pub const DATASET_MANAGEMENT: u8 = 0x09;
    /// Admin: makes an I/O submission queue.
    pub const CREATE_IO_SUBMISSION_QUEUE: u8 = 0x01;
    /// Admin: makes an I/O completion queue.
    pub const CREATE_IO_COMPLETION_QUEUE: u8 = 0x05;
    /// Admin: identify data structures.
    pub const IDENTIFY: u8 = 0x06;
    /// Admin: sets a feature.
    pub const SET_FEATURES: u8 = 0x09;
}

/// Force unit access, in command dword 12 of a write.
pub const FUA: u32 = 1 << 30;
/// Attribute "deallocate" of dataset management, in command dword 11.
pub const DEALLOCATE: u32 = 1 << 2;

/// A submission queue entry.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Command {
    /// Opcode.
    pub opcode: u8,
    /// Fused operation, PRP or SGL: zero, for PRP.
    pub flags: u8,
    /// Command identifier.
    pub cid: u16,
    /// Namespace identifier.
    pub nsid: u32,
    /// Command dwords 2 and 3.
    pub cdw2: [u32; 2],
    /// Metadata pointer.
    pub mptr: u64,
    /// PRP entry 1.
    pub prp1: u64,
    /// PRP entry 2.
    pub prp2: u64,
    /// Command dwords 10 to 15.
    pub cdw10: [u32; 6],
}

/// A completion queue entry.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct CompletionEntry {
    /// Command specific.
    pub dw0: u32,
    /// Reserved.
    pub dw1: u32,
    /// Submission queue head pointer.
    pub sqhd: u16,
    /// Submission queue identifier.
    pub sqid: u16,
    /// Command identifier.
    pub cid: u16,
    /// Phase tag (bit 0) and status (bits 15:1).
    pub status: u16,
}

impl CompletionEntry {
    /// The phase tag.
    pub fn phase(self) -> bool {
        self.status & 1 != 0
    }

    /// Whether status code type and status code are both zero.
    pub fn is_success(self) -> bool {
        self.status >> 1 & 0x7FF == 0
    }
}

/// A range of dataset management.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Range {
    /// Context attributes.
    pub attributes: u32,
    /// Length in logical blocks.
    pub blocks: u32,
    /// Starting LBA.
    pub start: u64,
}

const _: () = {
    assert!(size_of::<Command>() == 64);
    assert!(core::mem::offset_of!(Command, prp1) == 24);
    assert!(core::mem::offset_of!(Command, cdw10) == 40);
    assert!(size_of::<CompletionEntry>() == 16);
    assert!(size_of::<Range>() == 16);
};
