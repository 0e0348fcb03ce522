//! Why a guest could not be loaded, in one line for the person who asked.

use crate::memory::NotRam;
use syscall::Error;

/// Why a guest could not be loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoadError {
    /// The kernel file is nothing that can be started; why.
    NotAKernel(&'static str),
    /// It needs more RAM than the VM has, both in bytes.
    TooLittleMemory {
        /// At least so much.
        needed: u64,
        /// What the VM has.
        ram: u64,
    },
    /// The command line is longer than `max` bytes.
    CommandLine {
        /// What the kernel takes.
        max: usize,
    },
    /// The command line contains a zero byte.
    CommandLineZero,
    /// The ACPI tables have no room for so many processors.
    TooManyProcessors,
    /// The kernel file could not be read.
    Kernel(Error),
    /// The initrd file could not be read.
    Initrd(Error),
    /// The kernel wants to be where there is no RAM.
    NoRamThere,
}

impl From<NotRam> for LoadError {
    fn from(_: NotRam) -> Self {
        Self::NoRamThere
    }
}

impl core::fmt::Display for LoadError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotAKernel(why) => write!(f, "not a kernel: {why}"),
            Self::TooLittleMemory { needed, ram } => write!(
                f,
                "kernel and initrd need {} MiB of memory, the VM has {} MiB",
                needed.div_ceil(1 << 20),
                ram >> 20
            ),
            Self::CommandLine { max } => write!(f, "the kernel takes a command line of at most {max} bytes"),
            Self::CommandLineZero => f.write_str("the command line contains a zero byte"),
            Self::TooManyProcessors => f.write_str("more processors than the ACPI tables have room for"),
            Self::Kernel(error) => write!(f, "the kernel file cannot be read: {error}"),
            Self::Initrd(error) => write!(f, "the initrd file cannot be read: {error}"),
            Self::NoRamThere => f.write_str("the kernel wants to be loaded where the VM has no memory"),
        }
    }
}
