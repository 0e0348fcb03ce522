//! The option that names a machine.

use clap::ValueEnum;
use machine_tests::kind::Kind;

/// A kind of machine.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Machine {
    /// AMD-V, UEFI, NVMe: QEMU.
    Amd,
    /// VT-x, BIOS, IDE: Bochs, or QEMU where the host has VT-x to nest.
    Intel,
    /// AMD-V, BIOS, IDE: Bochs.
    Ryzen,
}

impl Machine {
    /// The same for the whole-machine driver.
    pub fn kind(self) -> Kind {
        match self {
            Self::Amd => Kind::Amd,
            Self::Intel => Kind::Intel,
            Self::Ryzen => Kind::Ryzen,
        }
    }
}
