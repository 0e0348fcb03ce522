//! Why a request was not done.

/// The error of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The device failed it.
    Io,
    /// It reaches beyond the end.
    OutOfRange,
    /// Its offset, length and segments do not fit together or with the block size.
    Invalid,
    /// A write to what is read only.
    ReadOnly,
    /// The device cannot do that.
    Unsupported,
    /// No memory for a bounce buffer.
    OutOfMemory,
}

impl From<Error> for syscall::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io => Self::Io,
            Error::OutOfRange | Error::Invalid => Self::InvalidArgument,
            Error::ReadOnly => Self::InvalidState,
            Error::Unsupported => Self::Unsupported,
            Error::OutOfMemory => Self::OutOfMemory,
        }
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Io => "I/O error",
            Self::OutOfRange => "beyond the end of the disk",
            Self::Invalid => "malformed request",
            Self::ReadOnly => "read only",
            Self::Unsupported => "not supported by the device",
            Self::OutOfMemory => "out of memory",
        })
    }
}
