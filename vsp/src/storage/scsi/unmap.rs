//! UNMAP and WRITE SAME (16) with its UNMAP bit (SBC-3 5.28, 5.44).

use super::{Action, Cdb, Extent, Sense, Unit, be16, be32, be64};
use alloc::vec::Vec;

/// Blocks that one command may discard: 2 GiB and more.
pub const UNMAP_BLOCKS_MAX: u32 = 1 << 22;
/// Descriptors that one UNMAP may have.
pub const UNMAP_DESCRIPTORS_MAX: u32 = 64;
/// Bytes of the header of the list.
const HEADER: usize = 8;
/// Bytes of a descriptor.
const DESCRIPTOR: usize = 16;
/// Bytes of the longest list.
pub const UNMAP_LIST_MAX: usize = HEADER + DESCRIPTOR * UNMAP_DESCRIPTORS_MAX as usize;

/// Whether anything can be discarded.
fn check(unit: &Unit) -> Result<(), Sense> {
    if !unit.geometry.can_discard {
        return Err(Sense::INVALID_OPERATION_CODE);
    }
    if unit.geometry.read_only { Err(Sense::WRITE_PROTECTED) } else { Ok(()) }
}

/// UNMAP: the list is still with the guest.
pub fn unmap(cdb: &Cdb, unit: &Unit) -> Result<Action, Sense> {
    check(unit)?;
    let is_anchored = cdb[1] & 1 != 0;
    if is_anchored {
        return Err(Sense::INVALID_FIELD_IN_CDB);
    }
    match be16(cdb, 7) {
        0 => Ok(Action::Good),
        length if usize::from(length) < HEADER => Err(Sense::PARAMETER_LIST_LENGTH),
        length if usize::from(length) > UNMAP_LIST_MAX => Err(Sense::INVALID_FIELD_IN_CDB),
        length => Ok(Action::Unmap(length)),
    }
}

/// Takes the extents of an UNMAP list, `extents` being empty before.
///
/// # Errors
/// A descriptor reaches beyond the disk, or there are too many blocks.
pub fn parse_unmap_list(list: &[u8], unit: &Unit, extents: &mut Vec<Extent>) -> Result<(), Sense> {
    let (header, descriptors) = list.split_first_chunk::<HEADER>().ok_or(Sense::PARAMETER_LIST_LENGTH)?;
    let [_, _, high, low, ..] = *header;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let mut total = 0;
    for descriptor in descriptors.get(..length).unwrap_or(descriptors).as_chunks::<DESCRIPTOR>().0 {
        let (lba, blocks) = (be64(descriptor, 0), be32(descriptor, 8));
        let extent = unit.extent(lba, u64::from(blocks))?;
        total += extent.blocks;
        if total > u64::from(UNMAP_BLOCKS_MAX) {
            return Err(Sense::INVALID_FIELD_IN_PARAMETER_LIST);
        }
        if extent.blocks != 0 {
            extents.push(extent);
        }
    }
    Ok(())
}

/// WRITE SAME (16): only with UNMAP. As LBPRZ is 0 it may discard whatever the block is that came along.
pub fn write_same(cdb: &Cdb, unit: &Unit) -> Result<Action, Sense> {
    check(unit)?;
    let (protection, is_anchored, is_unmap) = (cdb[1] >> 5, cdb[1] & 0x10 != 0, cdb[1] & 8 != 0);
    if protection != 0 || is_anchored || !is_unmap {
        return Err(Sense::INVALID_FIELD_IN_CDB);
    }
    let (lba, blocks) = (be64(cdb, 2), be32(cdb, 10));
    // 0 means up to the end (WSNZ is 0).
    let blocks = if blocks == 0 { unit.blocks.saturating_sub(lba) } else { u64::from(blocks) };
    let extent = unit.extent(lba, blocks)?;
    if extent.blocks > u64::from(UNMAP_BLOCKS_MAX) {
        return Err(Sense::INVALID_FIELD_IN_CDB);
    }
    Ok(if extent.blocks == 0 { Action::Good } else { Action::Discard(extent) })
}
