//! Reading, writing and flushing blocks (SBC-3 5).

use super::{Action, Cdb, Sense, Unit, be16, be32, be64, opcode};

/// A run of logical blocks on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extent {
    /// The first.
    pub lba: u64,
    /// How many.
    pub blocks: u64,
}

impl Unit {
    /// The extent, if it lies on the disk. An empty one may begin right behind the last block.
    pub fn extent(&self, lba: u64, blocks: u64) -> Result<Extent, Sense> {
        match lba.checked_add(blocks) {
            Some(end) if end <= self.blocks => Ok(Extent { lba, blocks }),
            _ => Err(Sense::LBA_OUT_OF_RANGE),
        }
    }
}

/// Where and how much: the fields of READ and WRITE of each length, FUA last.
fn fields(cdb: &Cdb, unit: &Unit) -> Result<(Extent, bool), Sense> {
    let (lba, blocks) = match cdb[0] {
        opcode::READ_6 | opcode::WRITE_6 => {
            let lba = u64::from(be32(cdb, 0) & 0x1F_FFFF);
            // 0 means 256.
            let blocks = if cdb[4] == 0 { 256 } else { u64::from(cdb[4]) };
            return Ok((unit.extent(lba, blocks)?, false));
        }
        opcode::READ_10 | opcode::WRITE_10 => (u64::from(be32(cdb, 2)), u64::from(be16(cdb, 7))),
        opcode::READ_12 | opcode::WRITE_12 => (u64::from(be32(cdb, 2)), u64::from(be32(cdb, 6))),
        _ => (be64(cdb, 2), u64::from(be32(cdb, 10))),
    };
    let protection = cdb[1] >> 5;
    if protection != 0 {
        return Err(Sense::INVALID_FIELD_IN_CDB);
    }
    Ok((unit.extent(lba, blocks)?, cdb[1] & 8 != 0))
}

/// READ (6), (10), (12), (16). What is in the disk's cache is what was written, so FUA changes nothing.
pub fn read(cdb: &Cdb, unit: &Unit) -> Result<Action, Sense> {
    let (extent, _) = fields(cdb, unit)?;
    Ok(if extent.blocks == 0 { Action::Good } else { Action::Read(extent) })
}

/// WRITE (6), (10), (12), (16).
pub fn write(cdb: &Cdb, unit: &Unit) -> Result<Action, Sense> {
    let (extent, fua) = fields(cdb, unit)?;
    if unit.geometry.read_only {
        return Err(Sense::WRITE_PROTECTED);
    }
    Ok(if extent.blocks == 0 { Action::Good } else { Action::Write { extent, fua } })
}

/// SYNCHRONIZE CACHE (10), (16): always of the whole disk. IMMED is not taken up on: it is answered when done.
pub fn synchronize_cache(cdb: &Cdb, unit: &Unit) -> Result<Action, Sense> {
    let (lba, blocks) = if cdb[0] == opcode::SYNCHRONIZE_CACHE_10 {
        (u64::from(be32(cdb, 2)), u64::from(be16(cdb, 7)))
    } else {
        (be64(cdb, 2), u64::from(be32(cdb, 10)))
    };
    unit.extent(lba, blocks)?;
    Ok(Action::Flush)
}

/// START STOP UNIT: stopping is flushing, unless NO_FLUSH; nothing can be ejected.
pub fn start_stop_unit(cdb: &Cdb) -> Result<Action, Sense> {
    let (power_condition, no_flush, load_eject, start) =
        (cdb[4] >> 4, cdb[4] & 4 != 0, cdb[4] & 2 != 0, cdb[4] & 1 != 0);
    if power_condition != 0 || load_eject {
        return Err(Sense::INVALID_FIELD_IN_CDB);
    }
    Ok(if start || no_flush { Action::Good } else { Action::Flush })
}
