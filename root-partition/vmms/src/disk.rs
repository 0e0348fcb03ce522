//! Disk files: which of their bytes are a disk's.

use crate::path::DataPath;
use crate::size::Size;
use crate::store::Layout;
use crate::system::System;
use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use vsp::vhd::{self, FOOTER, Footer};

/// What the name of a VHD ends with.
pub const VHD: &str = ".vhd";
/// Bytes in a sector of a disk.
const SECTOR: u64 = 512;
/// 1601-01-01 to 2000-01-01 in 100 ns.
const EPOCH_2000: u64 = 125_911_584_000_000_000;

/// What is known of a disk file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskFile {
    /// Bytes that the guest sees.
    pub length: u64,
    /// Identifies the disk to the guest.
    pub unique_id: [u8; 16],
}

/// Checks the disk file `file` at `path`.
///
/// # Errors
/// Why it is no disk, in one line.
pub fn inspect<S: System>(
    system: &S,
    path: &DataPath,
    layout: &Layout,
    file: &S::File,
) -> Result<DiskFile, String> {
    if path.has_extension(VHD) {
        let at = layout.length.checked_sub(FOOTER as u64).ok_or("a VHD is longer than that")?;
        let mut bytes = [0; FOOTER];
        system.file_read(file, at, &mut bytes).map_err(|error| error.to_string())?;
        let footer = Footer::parse(&bytes, layout.length).map_err(vhd_error)?;
        return Ok(DiskFile { length: footer.size, unique_id: footer.unique_id });
    }
    if layout.length == 0 || !layout.length.is_multiple_of(SECTOR) {
        return Err(alloc::format!(
            "a disk is made of sectors of {SECTOR} bytes, the file has {} bytes",
            layout.length
        ));
    }
    // What the file is called may change, its number on this volume does not.
    let mut unique_id = system.volume_id();
    for (byte, number) in unique_id.iter_mut().zip(layout.number.to_le_bytes()) {
        *byte ^= number;
    }
    Ok(DiskFile { length: layout.length, unique_id })
}

fn vhd_error(error: vhd::Error) -> String {
    match error {
        vhd::Error::NoFooter => "it has no VHD footer",
        vhd::Error::Checksum => "the checksum of its VHD footer is wrong",
        vhd::Error::NotFixed => "only fixed VHDs can be used",
        vhd::Error::Size => "its VHD footer names a size that the file does not have",
    }
    .to_owned()
}

/// What stands behind the content of a new disk: a VHD's footer, or nothing.
///
/// # Errors
/// Why a disk cannot have this size.
pub fn footer<S: System>(system: &S, path: &DataPath, size: Size) -> Result<Vec<u8>, String> {
    if size.bytes() == 0 || !size.bytes().is_multiple_of(SECTOR) {
        return Err(alloc::format!("a disk is made of sectors of {SECTOR} bytes, so it cannot have {size}"));
    }
    if !path.has_extension(VHD) {
        return Ok(Vec::new());
    }
    let utc = system.utc();
    let created = u32::try_from(utc.saturating_sub(EPOCH_2000) / 10_000_000).unwrap_or(0);
    let unique_id = unique(&[utc, system.monotonic(), size.bytes()], &path.to_string());
    Ok(Footer { size: size.bytes(), unique_id, created }.build().to_vec())
}

/// An identifier that no other disk is likely to have: there is no source of random numbers, but no two disks are made
/// at the same path in the same 100 ns.
fn unique(numbers: &[u64], text: &str) -> [u8; 16] {
    let mut state = [0x6A09_E667_F3BC_C908_u64, 0xBB67_AE85_84CA_A73B];
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).chain(text.bytes());
    for byte in bytes.chain([0; 16]) {
        for (index, word) in state.iter_mut().enumerate() {
            *word = (*word ^ u64::from(byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15 + 2 * index as u64);
            *word ^= *word >> 29;
        }
    }
    let mut id = [0; 16];
    for (byte, value) in id.iter_mut().zip(state.iter().flat_map(|word| word.to_le_bytes())) {
        *byte = value;
    }
    // RFC 9562: version 4, variant 1.
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut id;
    *version = *version & 0x0F | 0x40;
    *variant = *variant & 0x3F | 0x80;
    id
}

#[cfg(test)]
mod tests {
    use super::unique;

    #[test]
    fn identifiers_differ() {
        let mut all: Vec<[u8; 16]> = (0..1000)
            .flat_map(|n| {
                [unique(&[n, 5], "data:/a"), unique(&[5, n + 6], "data:/a"), unique(&[n], "data:/b")]
            })
            .collect();
        assert!(all.iter().all(|id| id[6] >> 4 == 4 && id[8] >> 6 == 2));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
