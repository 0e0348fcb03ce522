//! SCSI commands of a disk: from a CDB to what is to be done (SPC-4, SBC-3).
//!
//! Nothing here touches the guest or the disk: [`execute`] is a function of the CDB and of what the disk is.

mod block;
mod capacity;
mod inquiry;
mod luns;
mod mode;
mod opcodes;
mod sense;
mod unmap;

pub use block::Extent;
pub use inquiry::absent_inquiry;
pub use luns::report_luns;
pub use sense::Sense;
pub use unmap::{UNMAP_LIST_MAX, parse_unmap_list};

use super::disk::Geometry;
use alloc::vec::Vec;

/// Bytes of the longest CDB.
pub const CDB: usize = 16;

/// Operation codes.
pub mod opcode {
    pub const TEST_UNIT_READY: u8 = 0x00;
    pub const REQUEST_SENSE: u8 = 0x03;
    pub const READ_6: u8 = 0x08;
    pub const WRITE_6: u8 = 0x0A;
    pub const INQUIRY: u8 = 0x12;
    pub const MODE_SENSE_6: u8 = 0x1A;
    pub const START_STOP_UNIT: u8 = 0x1B;
    pub const READ_CAPACITY_10: u8 = 0x25;
    pub const READ_10: u8 = 0x28;
    pub const WRITE_10: u8 = 0x2A;
    pub const SYNCHRONIZE_CACHE_10: u8 = 0x35;
    pub const UNMAP: u8 = 0x42;
    pub const MODE_SENSE_10: u8 = 0x5A;
    pub const READ_16: u8 = 0x88;
    pub const WRITE_16: u8 = 0x8A;
    pub const SYNCHRONIZE_CACHE_16: u8 = 0x91;
    pub const WRITE_SAME_16: u8 = 0x93;
    pub const SERVICE_ACTION_IN_16: u8 = 0x9E;
    pub const REPORT_LUNS: u8 = 0xA0;
    pub const MAINTENANCE_IN: u8 = 0xA3;
    pub const READ_12: u8 = 0xA8;
    pub const WRITE_12: u8 = 0xAA;
}

/// A disk as the commands see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unit {
    /// What the disk says of itself.
    pub geometry: Geometry,
    /// log₂ of the block size.
    pub block_shift: u32,
    /// Logical blocks, at least 1.
    pub blocks: u64,
}

impl Unit {
    /// The unit of a disk; `None` when there can be no disk like that.
    pub fn new(geometry: Geometry) -> Option<Self> {
        let block_size = geometry.block_size;
        if !block_size.is_power_of_two() || !(512..=4096).contains(&block_size) {
            return None;
        }
        let block_shift = block_size.trailing_zeros();
        let blocks = geometry.length >> block_shift;
        (blocks != 0).then_some(Self { geometry, block_shift, blocks })
    }
}

/// What a command comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// It is done.
    Good,
    /// It is done, with these bytes for the guest, already cut to the allocation length.
    Data(Vec<u8>),
    /// It is refused.
    Check(Sense),
    /// Blocks are to be read.
    Read(Extent),
    /// Blocks are to be written.
    Write {
        /// Which.
        extent: Extent,
        /// They are on the medium when it is done.
        fua: bool,
    },
    /// What was written is to be on the medium.
    Flush,
    /// The content of these blocks no longer matters.
    Discard(Extent),
    /// The same, of the blocks in a list of this many bytes that the guest sends along.
    Unmap(u16),
}

/// A CDB; what is missing of it is 0.
pub type Cdb = [u8; CDB];

/// Carries out a command, or says what remains to be done.
pub fn execute(cdb: &Cdb, unit: &Unit) -> Action {
    let action = match cdb[0] {
        opcode::READ_16 | opcode::READ_10 | opcode::READ_12 | opcode::READ_6 => block::read(cdb, unit),
        opcode::WRITE_16 | opcode::WRITE_10 | opcode::WRITE_12 | opcode::WRITE_6 => block::write(cdb, unit),
        opcode::SYNCHRONIZE_CACHE_10 | opcode::SYNCHRONIZE_CACHE_16 => block::synchronize_cache(cdb, unit),
        opcode::UNMAP => unmap::unmap(cdb, unit),
        opcode::WRITE_SAME_16 => unmap::write_same(cdb, unit),
        opcode::TEST_UNIT_READY => Ok(Action::Good),
        opcode::REQUEST_SENSE => sense::request_sense(cdb),
        opcode::INQUIRY => inquiry::inquiry(cdb, unit),
        opcode::MODE_SENSE_6 => mode::mode_sense_6(cdb, unit),
        opcode::MODE_SENSE_10 => mode::mode_sense_10(cdb, unit),
        opcode::START_STOP_UNIT => block::start_stop_unit(cdb),
        opcode::READ_CAPACITY_10 => capacity::read_capacity_10(unit),
        opcode::SERVICE_ACTION_IN_16 => capacity::service_action_in(cdb, unit),
        opcode::MAINTENANCE_IN => opcodes::maintenance_in(cdb),
        _ => Err(Sense::INVALID_OPERATION_CODE),
    };
    action.unwrap_or_else(Action::Check)
}

/// The big-endian field of 2 bytes at `at`.
fn be16(cdb: &Cdb, at: usize) -> u16 {
    cdb.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u16::from_be_bytes(*bytes))
}

/// The big-endian field of 4 bytes at `at`.
fn be32(cdb: &Cdb, at: usize) -> u32 {
    cdb.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// The big-endian field of 8 bytes at `at`.
fn be64(cdb: &Cdb, at: usize) -> u64 {
    cdb.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// `bytes` as an answer, cut to the allocation length of the CDB.
fn data(mut bytes: Vec<u8>, allocation_length: usize) -> Result<Action, Sense> {
    bytes.truncate(allocation_length);
    Ok(Action::Data(bytes))
}
