//! Why a device is not used, in words for the log.

/// Why a device could not be started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartError {
    /// A register window, capability or queue that the driver needs is not there.
    Missing(&'static str),
    /// It did not answer in time.
    Timeout(&'static str),
    /// It reported a failure.
    Failed(&'static str),
    /// No memory or interrupt vector.
    OutOfMemory,
}

impl core::fmt::Display for StartError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Missing(what) => write!(f, "it has no usable {what}"),
            Self::Timeout(what) => write!(f, "no answer in time: {what}"),
            Self::Failed(what) => write!(f, "it failed: {what}"),
            Self::OutOfMemory => f.write_str("out of memory or interrupt vectors"),
        }
    }
}
