//! `cargo xtask bench`: what Bulkhead costs, in instructions; on the machine with AMD-V, beside KVM there.
//!
//! QEMU counts one nanosecond an instruction (`-icount shift=0`), Bochs one tick of the time-stamp counter: so every figure
//! is a count of instructions (of one processor in Bochs, which lets several have five each in turn, and counts these as
//! five). What the test guest measures by itself (`exits`, `vps`, `scale`) is the same from run to run. What waits for the
//! host's disk, or for somebody who types at the console, is not to the last instruction: while the machine waits its clock
//! goes on, and the root looks and wakes up; so these rows want a quiet host. QEMU's plugin tells who executed the
//! instructions; in Bochs Bulkhead's own counters and the guest's clock must do. Nothing here is asserted but with
//! `--check`: it is measured and printed.

mod counts;
mod disk;
mod exits;
mod figures;
mod look;
mod parallel;
mod scale;
mod size;
mod workbench;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use machine_tests::kind::Kind;

use crate::build::{self, Profile};
use crate::host;
use crate::kind::Machine;
use crate::paths::Paths;
use figures::Figures;
pub use size::text_size;
use workbench::Workbench;

/// What is measured.
#[derive(Args)]
pub struct Options {
    /// Only these rows; all that are quick when none is named.
    #[arg(value_enum)]
    rows: Vec<Rows>,
    /// The machine.
    #[arg(long, default_value = "amd")]
    machine: Machine,
    /// Fails when a figure is not what it is to be.
    #[arg(long)]
    check: bool,
}

/// Rows of the table that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Rows {
    /// Exits.
    Exits,
    /// What virtual processors do to each other.
    Vps,
    /// Exits and wake-ups beside many VMs; takes a minute, so only when it is named.
    Scale,
    /// Parallel work; takes minutes, so only when it is named.
    Parallel,
    /// The start, Linux's start, and its disk.
    Linux,
    /// How large the hypervisor is.
    Size,
}

impl Rows {
    /// Whether they take minutes.
    fn take_long(self) -> bool {
        matches!(self, Self::Scale | Self::Parallel)
    }
}

/// Measures and prints the table.
pub fn run(paths: &Paths, options: &Options) -> Result<()> {
    let kind = options.machine.kind();
    let emulator = if kind == Kind::Amd { host::RUN } else { host::BOCHS };
    host::require(&[host::BUILD, host::IMAGE, host::ISO, emulator])?;
    let parts = build::everything(paths, &Profile::release())?;
    let bench = Workbench::prepare(paths, &parts, kind)?;
    let mut figures = Figures::new(kind);
    for &rows in Rows::value_variants() {
        let wanted = if options.rows.is_empty() { !rows.take_long() } else { options.rows.contains(&rows) };
        if !wanted {
            continue;
        }
        match rows {
            Rows::Exits => exits::measure(&bench, &mut figures)?,
            Rows::Vps => exits::measure_vps(&bench, &mut figures)?,
            Rows::Scale => scale::measure(&bench, &mut figures)?,
            Rows::Parallel => parallel::measure(&bench, &mut figures)?,
            Rows::Linux => disk::measure(&bench, &mut figures)?,
            Rows::Size => size::measure(&parts, &mut figures)?,
        }
    }
    println!("{figures}");
    let missed = figures.missed();
    ensure!(!options.check || missed.is_empty(), "not reached: {}", missed.join("; "));
    Ok(())
}
