//! Fixed VHD disks: the raw blocks, then a footer of 512 bytes ("Virtual Hard Disk Image Format Specification").

/// Bytes of a footer.
const FOOTER: usize = 512;
/// Seconds from the Unix epoch to 2000-01-01, from where VHD counts.
const EPOCH: u64 = 946_684_800;

/// Makes a fixed VHD of raw blocks; their length is a multiple of 512.
pub fn fixed(mut disk: Vec<u8>) -> Vec<u8> {
    let size = disk.len() as u64;
    let seconds = std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs()).saturating_sub(EPOCH);
    disk.extend(footer(size, seconds as u32));
    disk
}

/// Cylinders, heads and sectors a track: the largest there are, with which every reader goes by the current size
/// instead of a size rounded to cylinders.
const GEOMETRY: [u8; 4] = [0xFF, 0xFF, 0x10, 0xFF];

/// The footer of a fixed disk of `size` bytes.
fn footer(size: u64, time: u32) -> [u8; FOOTER] {
    let mut footer = [0; FOOTER];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        footer[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(b"conectix");
    put(&2_u32.to_be_bytes()); // features: the reserved bit that is always set
    put(&0x0001_0000_u32.to_be_bytes()); // version of the format
    put(&u64::MAX.to_be_bytes()); // no dynamic header
    put(&time.to_be_bytes());
    put(b"blkh"); // creator
    put(&0x0000_0001_u32.to_be_bytes()); // its version
    put(b"Wi2k"); // its operating system: one of the two that the format knows
    put(&size.to_be_bytes()); // original size
    put(&size.to_be_bytes()); // current size
    put(&GEOMETRY);
    put(&2_u32.to_be_bytes()); // disk type: fixed
    put(&[0; 4]); // checksum, below
    put(&identity(size, time));
    let checksum = !footer.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    footer[64..68].copy_from_slice(&checksum.to_be_bytes());
    footer
}

/// A version 4 UUID from what differs between disks of one image.
fn identity(size: u64, time: u32) -> [u8; 16] {
    let mixed =
        (u128::from(size) << 32 | u128::from(time)).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    let mut bytes = mixed.to_be_bytes();
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_footer_is_what_the_specification_says() {
        let footer = footer(64 << 20, 0x1234_5678);
        assert_eq!(&footer[..8], b"conectix");
        assert_eq!(footer[48..56], (64_u64 << 20).to_be_bytes());
        assert_eq!(footer[60..64], [0, 0, 0, 2]);
        let stored = u32::from_be_bytes([footer[64], footer[65], footer[66], footer[67]]);
        let others = footer[..64].iter().chain(&footer[68..]).map(|&byte| u32::from(byte)).sum::<u32>();
        assert_eq!(stored, !others);
    }
}
