//! A machine that Bochs emulates: an old server with BIOS, IDE disks, a conventional PCI bus, and a processor with VT-x.
//!
//! Debian's Bochs has its internal debugger compiled in, which must be told to go on, and a display that wants a
//! terminal; neither is seen here. One instruction takes one tick of the time-stamp counter, and all clocks of the
//! machine follow it: a run is the same from time to time, however slow the host is.

mod config;
mod process;

use std::path::PathBuf;

pub use process::{Bochs, Typist};

/// Intel's fourth generation of Core: VT-x with EPT, VPID and unrestricted guest.
pub const INTEL: &str = "corei7_haswell_4770";
/// AMD's Ryzen: AMD-V with nested paging and next-RIP save, which QEMU's emulation lacks.
pub const RYZEN: &str = "ryzen";
/// Instructions a second of a machine's time; Bochs takes about a second for as many.
pub const SPEED: u32 = 50_000_000;

/// A machine.
#[derive(Clone, Debug)]
pub struct Description {
    /// Memory in MiB, at most 2048 of which Bochs takes at once from the host.
    pub memory: u64,
    /// Processors.
    pub processors: u32,
    /// Bochs' model of the processor.
    pub model: String,
    /// Instructions a second of its time: what waits takes the longer the more there are.
    pub speed: u32,
    /// What it boots from.
    pub boot: Boot,
    /// Its hard disk: a raw image.
    pub disk: Option<Disk>,
    /// Whether a reset ends the machine.
    pub ends_at_reset: bool,
    /// Where to leave Bochs' messages, of which there are more then.
    pub log: Option<PathBuf>,
    /// More lines of configuration.
    pub extra: Vec<String>,
}

/// What a machine boots from.
#[derive(Clone, Debug)]
pub enum Boot {
    /// BIOS, from a CD.
    Cd(PathBuf),
    /// UEFI, from the hard disk. There are no ACPI tables then: OVMF knows those of QEMU only.
    Uefi,
}

/// A hard disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The raw image, a whole number of cylinders long.
    pub file: PathBuf,
    /// Whether writes are forgotten at the end.
    pub throwaway: bool,
}

/// The size of a cylinder: images are a multiple of it.
pub const CYLINDER: u64 = config::HEADS * config::SECTORS * 512;

impl Description {
    /// A machine with VT-x, 1 GiB and one processor.
    #[must_use]
    pub fn new(boot: Boot) -> Self {
        Self {
            memory: 1024,
            processors: 1,
            model: INTEL.to_owned(),
            speed: SPEED,
            boot,
            disk: None,
            ends_at_reset: false,
            log: None,
            extra: Vec::new(),
        }
    }
}
