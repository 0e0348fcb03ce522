//! What a device says of itself.

use super::requests::SEGMENTS_MAX;
use crate::block::Limits;
use crate::memory::mmio::Registers;
use crate::pci::StartError;

/// Feature bits (5.2.3, 6).
pub mod feature {
    /// Largest number of segments is in `seg_max`.
    pub const SEG_MAX: u64 = 1 << 2;
    /// Read only.
    pub const RO: u64 = 1 << 5;
    /// Block size is in `blk_size`.
    pub const BLK_SIZE: u64 = 1 << 6;
    /// It has the flush command.
    pub const FLUSH: u64 = 1 << 9;
    /// It has several queues: how many is in `num_queues`.
    pub const MQ: u64 = 1 << 12;
    /// It has the discard command.
    pub const DISCARD: u64 = 1 << 13;
    /// Descriptors may point to tables.
    pub const RING_INDIRECT_DESC: u64 = 1 << 28;
    /// Complies with version 1 of the specification.
    pub const VERSION_1: u64 = 1 << 32;
}

/// Offsets in the configuration structure (5.2.4).
pub(super) mod config {
    pub const CAPACITY: usize = 0;
    pub const SEG_MAX: usize = 12;
    pub const BLK_SIZE: usize = 20;
    pub const NUM_QUEUES: usize = 34;
    pub const MAX_DISCARD_SECTORS: usize = 36;
}

/// Unit of sectors, whatever the block size, in bytes.
pub(super) const SECTOR: u64 = 512;
/// The most bytes of one request.
const TRANSFER_MAX: u64 = 4 << 20;

/// What a device says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Configuration {
    /// Bytes of a block.
    pub block_size: u32,
    /// Bytes of the disk.
    pub length: u64,
    /// Whether it takes no writes.
    pub is_read_only: bool,
    /// Whether it has a cache to be flushed.
    pub has_flush: bool,
    /// Of a request.
    pub limits: Limits,
    /// How many queues there are: one at least.
    pub queues: u16,
}

impl Configuration {
    /// What the configuration structure `device` says, with these features.
    ///
    /// # Errors
    /// `Missing`: it is too short, or the disk has blocks that are not served.
    pub fn read(device: &Registers, features: u64) -> Result<Self, StartError> {
        let has = |bit| features & bit != 0;
        let longest = has(feature::DISCARD | feature::BLK_SIZE | feature::MQ);
        if device.length() < config::MAX_DISCARD_SECTORS + 4 && longest {
            return Err(StartError::Missing("device configuration"));
        }
        let half = |offset| u64::from(device.read::<u32>(offset));
        let sectors = half(config::CAPACITY) | half(config::CAPACITY + 4) << 32;
        let block_size = if has(feature::BLK_SIZE) { device.read(config::BLK_SIZE) } else { SECTOR as u32 };
        if !block_size.is_power_of_two() || !(512..=4096).contains(&block_size) {
            return Err(StartError::Missing("block size between 512 and 4096"));
        }
        let segments = if has(feature::SEG_MAX) { device.read::<u32>(config::SEG_MAX).max(1) } else { 1 };
        let discard = if has(feature::DISCARD) { half(config::MAX_DISCARD_SECTORS) * SECTOR } else { 0 };
        let limits = Limits {
            transfer: TRANSFER_MAX,
            segments: (segments as usize).min(SEGMENTS_MAX),
            page_boundaries: false,
            discard: discard & !0xFFF,
        };
        Ok(Self {
            block_size,
            length: sectors.min(u64::MAX / SECTOR) * SECTOR,
            is_read_only: has(feature::RO),
            has_flush: has(feature::FLUSH),
            limits,
            queues: if has(feature::MQ) { device.read::<u16>(config::NUM_QUEUES).max(1) } else { 1 },
        })
    }
}
