//! Fixed VHD: raw content and a footer of 512 bytes behind it ("Virtual Hard Disk Image Format Specification", 2006).
//!
//! The footer is big-endian. A file from elsewhere is believed only as far as its checksum and its length bear it out.

use core::fmt;
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of a footer.
pub const FOOTER: usize = 512;
/// Bytes of a sector.
const SECTOR: u64 = 512;

/// What a footer says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Footer {
    /// Bytes of content: a multiple of 512, not 0.
    pub size: u64,
    /// Identifies the disk.
    pub unique_id: [u8; 16],
    /// When it was made, in seconds since 2000-01-01 UTC.
    pub created: u32,
}

/// Why a file is no fixed VHD.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// It does not end in a footer.
    NoFooter,
    /// The footer's checksum is wrong.
    Checksum,
    /// It is a VHD, but not a fixed one, or of a version that is not known.
    NotFixed,
    /// The content is larger than the file, empty, or not made of sectors.
    Size,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoFooter => "it does not end in a VHD footer",
            Self::Checksum => "the checksum of its VHD footer is wrong",
            Self::NotFixed => "it is a VHD, but not a fixed one",
            Self::Size => "the size in its VHD footer does not fit the file",
        })
    }
}

impl core::error::Error for Error {}

/// "Hard Disk Footer Format".
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Raw {
    cookie: [u8; 8],
    features: U32,
    format_version: U32,
    data_offset: U64,
    timestamp: U32,
    creator_application: [u8; 4],
    creator_version: U32,
    creator_host_os: [u8; 4],
    original_size: U64,
    current_size: U64,
    cylinders: U16,
    heads: u8,
    sectors_per_track: u8,
    disk_type: U32,
    checksum: U32,
    unique_id: [u8; 16],
    saved_state: u8,
    reserved: [u8; 427],
}
const _: () = assert!(size_of::<Raw>() == FOOTER);

const COOKIE: [u8; 8] = *b"conectix";
/// The bit that is always set.
const FEATURES: u32 = 2;
const FORMAT_VERSION: u32 = 0x1_0000;
const DISK_TYPE_FIXED: u32 = 2;
/// Other tools take the size from the geometry, which rounds down, unless they know the creator. This is Hyper-V's.
const CREATOR: [u8; 4] = *b"win ";
const CREATOR_VERSION: u32 = 0x000A_0000;
const CREATOR_HOST_OS: [u8; 4] = *b"Wi2k";

impl Footer {
    /// Checks the last 512 bytes of a file of `file_length` bytes.
    ///
    /// # Errors
    /// It is no fixed VHD.
    pub fn parse(bytes: &[u8; FOOTER], file_length: u64) -> Result<Self, Error> {
        let raw: Raw = zerocopy::transmute!(*bytes);
        if raw.cookie != COOKIE {
            return Err(Error::NoFooter);
        }
        if raw.checksum.get() != raw.expected_checksum() {
            return Err(Error::Checksum);
        }
        if raw.disk_type.get() != DISK_TYPE_FIXED || raw.format_version.get() != FORMAT_VERSION {
            return Err(Error::NotFixed);
        }
        let size = raw.current_size.get();
        let room = file_length.checked_sub(FOOTER as u64).ok_or(Error::Size)?;
        if size == 0 || !size.is_multiple_of(SECTOR) || size > room {
            return Err(Error::Size);
        }
        Ok(Self { size, unique_id: raw.unique_id, created: raw.timestamp.get() })
    }

    /// The footer's bytes; they go behind `size` bytes of content.
    #[must_use]
    pub fn build(&self) -> [u8; FOOTER] {
        let (cylinders, heads, sectors_per_track) = geometry(self.size / SECTOR);
        let mut raw = Raw {
            cookie: COOKIE,
            features: U32::new(FEATURES),
            format_version: U32::new(FORMAT_VERSION),
            data_offset: U64::new(u64::MAX),
            timestamp: U32::new(self.created),
            creator_application: CREATOR,
            creator_version: U32::new(CREATOR_VERSION),
            creator_host_os: CREATOR_HOST_OS,
            original_size: U64::new(self.size),
            current_size: U64::new(self.size),
            cylinders: U16::new(cylinders),
            heads,
            sectors_per_track,
            disk_type: U32::new(DISK_TYPE_FIXED),
            checksum: U32::new(0),
            unique_id: self.unique_id,
            saved_state: 0,
            reserved: [0; 427],
        };
        raw.checksum = U32::new(raw.expected_checksum());
        zerocopy::transmute!(raw)
    }
}

impl Raw {
    /// The complement of the sum of all bytes but those of the checksum.
    fn expected_checksum(&self) -> u32 {
        let without = Self { checksum: U32::new(0), ..*self };
        !without.as_bytes().iter().map(|&byte| u32::from(byte)).sum::<u32>()
    }
}

/// Cylinders, heads and sectors per track ("CHS Calculation").
fn geometry(sectors: u64) -> (u16, u8, u8) {
    const SECTORS_MAX: u64 = 65535 * 16 * 255;
    let sectors = sectors.min(SECTORS_MAX);
    if sectors >= 65535 * 16 * 63 {
        return chs(sectors, 16, 255);
    }
    let heads = |per_track: u64| (sectors / per_track).div_ceil(1024);
    let four_or_more = heads(17).max(4);
    if four_or_more <= 16 && sectors / 17 < four_or_more * 1024 {
        return chs(sectors, four_or_more, 17);
    }
    if sectors / 31 < 16 * 1024 { chs(sectors, 16, 31) } else { chs(sectors, 16, 63) }
}

fn chs(sectors: u64, heads: u64, per_track: u64) -> (u16, u8, u8) {
    let narrow = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
    let cylinders = u16::try_from(sectors / per_track / heads).unwrap_or(u16::MAX);
    (cylinders, narrow(heads), narrow(per_track))
}

#[cfg(test)]
mod tests;
