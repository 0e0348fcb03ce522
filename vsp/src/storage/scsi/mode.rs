//! MODE SENSE (SPC-4 6.13, 6.14; SBC-3 6.4).

use super::{Action, Cdb, Sense, Unit, be16, data};
use alloc::vec::Vec;

/// Caching mode page.
const CACHING: u8 = 0x08;
/// Control mode page.
const CONTROL: u8 = 0x0A;
/// All pages.
const ALL: u8 = 0x3F;

/// PC: values that can be changed.
const CHANGEABLE: u8 = 1;
/// PC: values that were saved.
const SAVED: u8 = 3;

/// MODE SENSE (6).
pub fn mode_sense_6(cdb: &Cdb, unit: &Unit) -> Result<Action, Sense> {
    let pages = pages(cdb)?;
    let mut bytes = Vec::from([(3 + pages.len()) as u8, 0, device_specific(unit), 0]);
    bytes.extend(pages);
    data(bytes, usize::from(cdb[4]))
}

/// MODE SENSE (10).
pub fn mode_sense_10(cdb: &Cdb, unit: &Unit) -> Result<Action, Sense> {
    let pages = pages(cdb)?;
    let mut bytes = Vec::from(((6 + pages.len()) as u16).to_be_bytes());
    bytes.extend([0, device_specific(unit), 0, 0, 0, 0]);
    bytes.extend(pages);
    data(bytes, usize::from(be16(cdb, 7)))
}

/// DPOFUA always, WP when writes are refused.
fn device_specific(unit: &Unit) -> u8 {
    if unit.geometry.read_only { 0x90 } else { 0x10 }
}

/// The pages that the CDB asks for. There is no block descriptor, whether DBD asks for one or not.
fn pages(cdb: &Cdb) -> Result<Vec<u8>, Sense> {
    let (control, page, subpage) = (cdb[2] >> 6, cdb[2] & 0x3F, cdb[3]);
    if control == SAVED {
        return Err(Sense::SAVING_NOT_SUPPORTED);
    }
    let is_all = page == ALL && matches!(subpage, 0 | 0xFF);
    let is_known = matches!(page, CACHING | CONTROL) && subpage == 0;
    if !is_all && !is_known {
        return Err(Sense::INVALID_FIELD_IN_CDB);
    }
    let mut bytes = Vec::new();
    for (known, content) in [(CACHING, caching().as_slice()), (CONTROL, control_page().as_slice())] {
        if page == ALL || page == known {
            bytes.extend([known, content.len() as u8]);
            // Nothing can be changed.
            bytes.extend(content.iter().map(|&byte| if control == CHANGEABLE { 0 } else { byte }));
        }
    }
    Ok(bytes)
}

/// WCE: what was written is in a cache until it is flushed.
fn caching() -> [u8; 18] {
    let mut bytes = [0; 18];
    bytes[0] = 0x04;
    bytes
}

/// Commands may be reordered at will; sense data in fixed format; busy time-out unlimited.
fn control_page() -> [u8; 10] {
    [0, 0x10, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0]
}
