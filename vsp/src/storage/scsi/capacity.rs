//! READ CAPACITY (SBC-3 5.15, 5.16).

use super::{Action, Cdb, Sense, Unit, be32, data};
use alloc::vec;

/// Bytes that the storage behind the disk writes at once; what is smaller costs it a read.
const PHYSICAL_BLOCK_SHIFT: u32 = 12;
/// Service action of READ CAPACITY (16).
const READ_CAPACITY_16: u8 = 0x10;

/// READ CAPACITY (10): the last block, or all ones when it does not fit.
pub fn read_capacity_10(unit: &Unit) -> Result<Action, Sense> {
    let last = u32::try_from(unit.blocks - 1).unwrap_or(u32::MAX);
    let mut bytes = vec![];
    bytes.extend(last.to_be_bytes());
    bytes.extend(unit.geometry.block_size.to_be_bytes());
    data(bytes, 8)
}

/// SERVICE ACTION IN (16): READ CAPACITY (16) is the only one.
pub fn service_action_in(cdb: &Cdb, unit: &Unit) -> Result<Action, Sense> {
    if cdb[1] & 0x1F != READ_CAPACITY_16 {
        return Err(Sense::INVALID_FIELD_IN_CDB);
    }
    let mut bytes = vec![];
    bytes.extend((unit.blocks - 1).to_be_bytes());
    bytes.extend(unit.geometry.block_size.to_be_bytes());
    let exponent = PHYSICAL_BLOCK_SHIFT.saturating_sub(unit.block_shift) as u8;
    let provisioning = if unit.geometry.can_discard { LBPME } else { 0 };
    bytes.extend([0, exponent, provisioning, 0]);
    bytes.resize(32, 0);
    data(bytes, be32(cdb, 10) as usize)
}

/// Logical block provisioning management is enabled. LBPRZ is 0: what was discarded reads as anything.
const LBPME: u8 = 0x80;
