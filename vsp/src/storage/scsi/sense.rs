//! Sense data: why a command was refused (SPC-4 4.5).

use super::{Action, Cdb, data};
use alloc::vec::Vec;

/// Sense key, additional sense code and its qualifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sense {
    /// Sense key.
    pub key: u8,
    /// Additional sense code.
    pub code: u8,
    /// Its qualifier.
    pub qualifier: u8,
}

/// Bytes of sense data in fixed format.
pub const FIXED: usize = 18;

impl Sense {
    /// NO SENSE.
    pub const NONE: Self = Self::new(0, 0x00, 0x00);
    /// MEDIUM ERROR, unrecovered read error.
    pub const UNRECOVERED_READ_ERROR: Self = Self::new(3, 0x11, 0x00);
    /// MEDIUM ERROR, write error.
    pub const WRITE_ERROR: Self = Self::new(3, 0x0C, 0x00);
    /// ILLEGAL REQUEST, parameter list length error.
    pub const PARAMETER_LIST_LENGTH: Self = Self::new(5, 0x1A, 0x00);
    /// ILLEGAL REQUEST, invalid command operation code.
    pub const INVALID_OPERATION_CODE: Self = Self::new(5, 0x20, 0x00);
    /// ILLEGAL REQUEST, logical block address out of range.
    pub const LBA_OUT_OF_RANGE: Self = Self::new(5, 0x21, 0x00);
    /// ILLEGAL REQUEST, invalid field in CDB.
    pub const INVALID_FIELD_IN_CDB: Self = Self::new(5, 0x24, 0x00);
    /// ILLEGAL REQUEST, invalid field in parameter list.
    pub const INVALID_FIELD_IN_PARAMETER_LIST: Self = Self::new(5, 0x26, 0x00);
    /// ILLEGAL REQUEST, saving parameters not supported.
    pub const SAVING_NOT_SUPPORTED: Self = Self::new(5, 0x39, 0x00);
    /// DATA PROTECT, write protected.
    pub const WRITE_PROTECTED: Self = Self::new(7, 0x27, 0x00);

    const fn new(key: u8, code: u8, qualifier: u8) -> Self {
        Self { key, code, qualifier }
    }

    /// Fixed format, current error (SPC-4 4.5.3).
    pub fn fixed(self) -> [u8; FIXED] {
        let Self { key, code, qualifier } = self;
        [0x70, 0, key, 0, 0, 0, 0, (FIXED - 8) as u8, 0, 0, 0, 0, code, qualifier, 0, 0, 0, 0]
    }

    /// Descriptor format, current error (SPC-4 4.5.2).
    fn descriptor(self) -> [u8; 8] {
        [0x72, self.key, self.code, self.qualifier, 0, 0, 0, 0]
    }
}

/// REQUEST SENSE: sense data went with each answer, so there is none left.
pub fn request_sense(cdb: &Cdb) -> Result<Action, Sense> {
    let is_descriptor = cdb[1] & 1 != 0;
    let bytes =
        if is_descriptor { Vec::from(Sense::NONE.descriptor()) } else { Vec::from(Sense::NONE.fixed()) };
    data(bytes, usize::from(cdb[4]))
}
