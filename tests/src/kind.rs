//! The machines that tests run on.

use crate::bochs::{INTEL, RYZEN};

/// A machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// AMD-V, two processors, an NVMe disk: QEMU.
    Amd,
    /// VT-x, one processor, BIOS, an IDE disk: Bochs.
    Intel,
    /// AMD-V with next-RIP save, one processor, BIOS, an IDE disk: Bochs.
    Ryzen,
}

impl Kind {
    /// Its name, which is that of its tests' module and of xtask's option too.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd => "amd",
            Self::Intel => "intel",
            Self::Ryzen => "ryzen",
        }
    }

    /// Bochs' model of its processor; nothing when the machine is QEMU.
    #[must_use]
    pub fn bochs_model(self) -> Option<&'static str> {
        match self {
            Self::Amd => None,
            Self::Intel => Some(INTEL),
            Self::Ryzen => Some(RYZEN),
        }
    }

    /// How Bulkhead's first line describes it.
    #[must_use]
    pub fn described(self) -> &'static str {
        match self {
            Self::Amd => "AMD-V, nested paging, NX | 2 processors | 2048 MiB",
            Self::Intel => "VT-x, EPT, APICv, NX | 1 processor | 1024 MiB",
            Self::Ryzen => "AMD-V, nested paging, NX | 1 processor | 1024 MiB",
        }
    }
}
