//! REPORT LUNS (SPC-4 6.33).

use super::{Action, Cdb, Sense, be32, data};
use alloc::vec::Vec;

/// SELECT REPORT: the well-known logical units, of which there are none.
const WELL_KNOWN: u8 = 1;

/// REPORT LUNS: `luns` in peripheral device addressing. Every target answers it, also one without a disk.
pub fn report_luns(cdb: &Cdb, luns: impl Iterator<Item = u8>) -> Action {
    let allocation_length = be32(cdb, 6);
    if allocation_length < 16 || cdb[2] > 2 {
        return Action::Check(Sense::INVALID_FIELD_IN_CDB);
    }
    let mut bytes = Vec::from([0; 8]);
    if cdb[2] != WELL_KNOWN {
        luns.for_each(|lun| bytes.extend([0, lun, 0, 0, 0, 0, 0, 0]));
    }
    let length = (bytes.len() - 8) as u32;
    if let Some(field) = bytes.first_chunk_mut() {
        *field = length.to_be_bytes();
    }
    data(bytes, allocation_length as usize).unwrap_or_else(Action::Check)
}
