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
use crate::kind::Machine;
use crate::paths::Paths;
use crate::{host, step};
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
    /// Parallel work; takes minutes, so only when it is named, and is on `amd` only.
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

    /// Why a machine does not have them.
    fn why_not(self, kind: Kind) -> Option<&'static str> {
        (self == Self::Parallel && kind != Kind::Amd).then_some(parallel::WHY_NOT)
    }
}

/// Measures and prints the table.
pub fn run(paths: &Paths, options: &Options) -> Result<()> {
    let kind = options.machine.kind();
    let rows = wanted(&options.rows, kind)?;
    let emulator = if kind == Kind::Amd { host::RUN } else { host::BOCHS };
    host::require(&[host::BUILD, host::IMAGE, host::ISO, emulator])?;
    let parts = build::everything(paths, &Profile::release())?;
    let bench = Workbench::prepare(paths, &parts, kind)?;
    let mut figures = Figures::new(kind);
    for rows in rows {
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

/// The rows that are measured, of those that were named; says which of them the machine does not have.
fn wanted(named: &[Rows], kind: Kind) -> Result<Vec<Rows>> {
    let is_wanted = |rows: &Rows| if named.is_empty() { !rows.take_long() } else { named.contains(rows) };
    let all = Rows::value_variants().iter().copied().filter(is_wanted);
    let (wanted, missing): (Vec<Rows>, Vec<Rows>) = all.partition(|rows| rows.why_not(kind).is_none());
    let missing = missing.iter().filter_map(|rows| rows.why_not(kind)).collect::<Vec<_>>().join("; ");
    ensure!(!wanted.is_empty(), "nothing to measure on {}: {missing}", kind.name());
    if !missing.is_empty() {
        step::say("Leaving out", missing);
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_a_machine_does_not_have_are_left_out_and_are_not_all() {
        let parallel = [Rows::Parallel];
        assert_eq!(wanted(&parallel, Kind::Amd).unwrap(), parallel);
        assert_eq!(wanted(&[Rows::Size, Rows::Parallel], Kind::Intel).unwrap(), [Rows::Size]);
        assert!(wanted(&parallel, Kind::Intel).unwrap_err().to_string().contains("parallel"));
        assert_eq!(wanted(&[], Kind::Intel).unwrap(), [Rows::Exits, Rows::Vps, Rows::Linux, Rows::Size]);
    }
}
