//! GUIDs in the order of their bytes in memory: the first three fields little-endian.

use core::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A GUID.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct Guid(pub [u8; 16]);

/// The fields of a GUID's text: where each byte of the text goes.
const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

impl Guid {
    /// All zeros.
    pub const ZERO: Self = Self([0; 16]);

    /// The GUID whose canonical text, read as one big-endian number without its hyphens, is `text`.
    #[must_use]
    pub const fn from_text(text: u128) -> Self {
        let big = text.to_be_bytes();
        let mut bytes = [0; 16];
        let mut i = 0;
        while i < 16 {
            bytes[ORDER[i]] = big[i];
            i += 1;
        }
        Self(bytes)
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, &at) in ORDER.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{:02x}", self.0.get(at).copied().unwrap_or(0))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Device classes: the type of an offer.
pub mod class {
    use super::Guid;

    /// Synthetic SCSI controller.
    pub const SCSI: Guid = Guid::from_text(0xba6163d9_04a1_4d29_b605_72e2ffb1dc7f);
    /// Shutdown service.
    pub const SHUTDOWN: Guid = Guid::from_text(0x0e0b6031_5213_4934_818b_38d90ced39db);
    /// Time synchronization service.
    pub const TIME_SYNC: Guid = Guid::from_text(0x9527e630_d0ae_497b_adce_e80ab0175caf);
    /// Heartbeat service.
    pub const HEARTBEAT: Guid = Guid::from_text(0x57164f39_9115_4e78_ab55_382f3bd5422d);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn bytes_are_in_memory_order_and_text_is_canonical() {
        let bytes =
            [0xd9, 0x63, 0x61, 0xba, 0xa1, 0x04, 0x29, 0x4d, 0xb6, 0x05, 0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f];
        assert_eq!(class::SCSI.0, bytes);
        assert_eq!(class::SCSI.to_string(), "ba6163d9-04a1-4d29-b605-72e2ffb1dc7f");
    }
}
