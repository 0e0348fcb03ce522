//! INQUIRY and the vital product data pages (SPC-4 6.6, 7.8; SBC-3 6.5).

use super::unmap::{UNMAP_BLOCKS_MAX, UNMAP_DESCRIPTORS_MAX};
use super::{Action, Cdb, Sense, Unit, be16, data};
use crate::storage::MAX_TRANSFER_BYTES;
use alloc::vec::Vec;

/// As Hyper-V's, so that a guest treats the disk the same way.
const VENDOR: [u8; 8] = *b"Msft    ";
const PRODUCT: [u8; 16] = *b"Virtual Disk    ";
const REVISION: [u8; 4] = *b"1.0 ";
/// The first half of the identifier by which a guest knows the disk: NAA 6, Microsoft's company id.
const NAA: [u8; 4] = [0x60, 0x02, 0x24, 0x80];

/// Peripheral qualifier 3, type 31: no such logical unit.
const NOT_THERE: u8 = 0x7F;
/// Version: SPC-3.
const VERSION: u8 = 5;
/// HISUP, response data format 2.
const FORMAT: u8 = 0x12;
/// CMDQUE.
const COMMAND_QUEUING: u8 = 0x02;

/// INQUIRY of a disk.
pub fn inquiry(cdb: &Cdb, unit: &Unit) -> Result<Action, Sense> {
    let is_vpd = cdb[1] & 1 != 0;
    let page = cdb[2];
    let bytes = match (is_vpd, page) {
        (false, 0) => standard(0),
        (false, _) => return Err(Sense::INVALID_FIELD_IN_CDB),
        (true, page) => vpd(page, unit)?,
    };
    data(bytes, usize::from(be16(cdb, 3)))
}

/// INQUIRY of a logical unit that is not there. Linux takes any other answer for a disk.
pub fn absent_inquiry(cdb: &Cdb) -> Action {
    let is_vpd = cdb[1] & 1 != 0;
    if is_vpd {
        return Action::Check(Sense::INVALID_FIELD_IN_CDB);
    }
    let mut bytes = standard(NOT_THERE);
    bytes.truncate(usize::from(be16(cdb, 3)));
    Action::Data(bytes)
}

fn standard(peripheral: u8) -> Vec<u8> {
    let mut bytes = Vec::from([peripheral, 0, VERSION, FORMAT, 31, 0, 0, COMMAND_QUEUING]);
    bytes.extend(VENDOR);
    bytes.extend(PRODUCT);
    bytes.extend(REVISION);
    bytes
}

/// The pages that there are, in order.
const PAGES: [u8; 6] = [0x00, 0x80, 0x83, 0xB0, 0xB1, 0xB2];

fn vpd(page: u8, unit: &Unit) -> Result<Vec<u8>, Sense> {
    let body = match page {
        0x00 => Vec::from(PAGES),
        0x80 => serial_number(unit),
        0x83 => identification(unit),
        0xB0 => block_limits(unit),
        0xB1 => characteristics(),
        0xB2 => provisioning(unit),
        _ => return Err(Sense::INVALID_FIELD_IN_CDB),
    };
    let mut bytes = Vec::from([0, page]);
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    Ok(bytes)
}

/// The unique id in hexadecimal.
fn serial_number(unit: &Unit) -> Vec<u8> {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).map_or(b'0', |digit| digit as u8);
    unit.geometry.unique_id.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Designators of the logical unit: NAA and T10 vendor identification.
fn identification(unit: &Unit) -> Vec<u8> {
    let serial = serial_number(unit);
    let mut bytes = Vec::from([0x01, 0x03, 0, 16]);
    bytes.extend(NAA);
    bytes.extend(unit.geometry.unique_id.iter().take(12));
    bytes.extend([0x02, 0x01, 0, (VENDOR.len() + serial.len()) as u8]);
    bytes.extend(VENDOR);
    bytes.extend(serial);
    bytes
}

/// Block limits (SBC-3 6.5.3), from byte 4 on.
fn block_limits(unit: &Unit) -> Vec<u8> {
    let transfer = MAX_TRANSFER_BYTES >> unit.block_shift;
    let granularity = (4096 >> unit.block_shift).max(1u32);
    let can_discard = unit.geometry.can_discard;
    let if_discard = |value: u32| if can_discard { value } else { 0 };
    let mut bytes = Vec::with_capacity(60);
    bytes.extend([0, 0]);
    bytes.extend((granularity as u16).to_be_bytes());
    bytes.extend(transfer.to_be_bytes());
    bytes.extend(transfer.to_be_bytes());
    bytes.extend(0u32.to_be_bytes());
    bytes.extend(if_discard(UNMAP_BLOCKS_MAX).to_be_bytes());
    bytes.extend(if_discard(UNMAP_DESCRIPTORS_MAX).to_be_bytes());
    bytes.extend(if_discard(granularity).to_be_bytes());
    // The alignment is valid, and 0.
    bytes.extend(if_discard(1 << 31).to_be_bytes());
    bytes.extend(u64::from(if_discard(UNMAP_BLOCKS_MAX)).to_be_bytes());
    bytes.resize(60, 0);
    bytes
}

/// Block device characteristics: it does not rotate.
fn characteristics() -> Vec<u8> {
    let mut bytes = Vec::from([0, 1]);
    bytes.resize(60, 0);
    bytes
}

/// Logical block provisioning: UNMAP and WRITE SAME (16), thin.
fn provisioning(unit: &Unit) -> Vec<u8> {
    const LBPU_LBPWS: u8 = 0xC0;
    const THIN: u8 = 2;
    if unit.geometry.can_discard { Vec::from([0, LBPU_LBPWS, THIN, 0]) } else { Vec::from([0; 4]) }
}
