//! Why a system call did not do what it was asked to.

/// The error of a system call; RAX holds its negation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i64)]
pub enum Error {
    /// The call number is not one of [`Call`](crate::Call).
    NoSuchCall = 1,
    /// The handle is not open, or not of the kind that the call takes.
    BadHandle = 2,
    /// An argument is out of its range.
    InvalidArgument = 3,
    /// A pointer names memory that the process has not mapped that way.
    BadAddress = 4,
    /// Not enough memory, handles or room.
    OutOfMemory = 5,
    /// Nothing to read, or no room to write, just now.
    WouldBlock = 6,
    /// The other end is gone.
    PeerClosed = 7,
    /// No object of that name.
    NotFound = 8,
    /// The device or the hypervisor failed the request.
    Io = 9,
    /// The object is not in a state that allows the call.
    InvalidState = 10,
    /// The buffer is too small for what waits.
    TooSmall = 11,
    /// The machine lacks what the call needs (no hypervisor, say).
    Unsupported = 12,
    /// An object of that name exists already.
    Exists = 13,
    /// There are as many of something as there can be; the host log says of what.
    LimitReached = 14,
}

impl Error {
    /// The error that RAX value `code` (negative) stands for.
    #[must_use]
    pub fn from_code(code: i64) -> Self {
        match code.wrapping_neg() {
            1 => Self::NoSuchCall,
            2 => Self::BadHandle,
            4 => Self::BadAddress,
            5 => Self::OutOfMemory,
            6 => Self::WouldBlock,
            7 => Self::PeerClosed,
            8 => Self::NotFound,
            9 => Self::Io,
            10 => Self::InvalidState,
            11 => Self::TooSmall,
            12 => Self::Unsupported,
            13 => Self::Exists,
            14 => Self::LimitReached,
            _ => Self::InvalidArgument,
        }
    }

    /// The RAX value for this error.
    #[must_use]
    pub fn code(self) -> i64 {
        -(self as i64)
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoSuchCall => "no such system call",
            Self::BadHandle => "bad handle",
            Self::InvalidArgument => "invalid argument",
            Self::BadAddress => "bad address",
            Self::OutOfMemory => "out of memory",
            Self::WouldBlock => "not ready",
            Self::PeerClosed => "the other end is closed",
            Self::NotFound => "not found",
            Self::Io => "I/O error",
            Self::InvalidState => "not possible in this state",
            Self::TooSmall => "buffer too small",
            Self::Unsupported => "not supported on this machine",
            Self::Exists => "exists already",
            Self::LimitReached => "a limit of the host is reached, the host log says which",
        })
    }
}
