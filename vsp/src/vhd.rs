//! Fixed VHD: raw content and a footer of 512 bytes behind it.

/// Bytes of a footer.
pub const FOOTER: usize = 512;

/// What a footer says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Footer {
    /// Bytes of content.
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
    /// It is a VHD, but not a fixed one.
    NotFixed,
    /// The content is larger than the file, empty, or not made of sectors.
    Size,
}

impl Footer {
    /// Checks the last 512 bytes of a file of `file_length` bytes.
    ///
    /// # Errors
    /// It is no fixed VHD.
    pub fn parse(_bytes: &[u8; FOOTER], _file_length: u64) -> Result<Self, Error> {
        Err(Error::NoFooter)
    }

    /// The footer's bytes.
    #[must_use]
    pub fn build(&self) -> [u8; FOOTER] {
        [0; FOOTER]
    }
}
