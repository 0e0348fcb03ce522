//! `cargo xtask bench`: what Bulkhead costs, in instructions, beside KVM on the same emulated machine.
//!
//! QEMU counts one nanosecond an instruction (`-icount shift=0`), Bochs one tick of the time-stamp counter, so every
//! figure is a count of instructions and the same from run to run. QEMU's plugin tells who executed them; in Bochs the
//! guest's own clock must do. Nothing here is asserted: it is measured and printed.

mod counts;
mod disk;
mod exits;
mod figures;
mod size;
mod workbench;

use anyhow::Result;
use machine_tests::kind::Kind;

use crate::build::{self, Profile};
use crate::host;
use crate::paths::Paths;
use figures::Figures;
use workbench::Workbench;

/// Measures everything and prints the table.
pub fn run(paths: &Paths, kind: Kind) -> Result<()> {
    let emulator = if kind == Kind::Amd { host::RUN } else { host::BOCHS };
    host::require(&[host::BUILD, host::IMAGE, host::ISO, emulator])?;
    let parts = build::everything(paths, &Profile::release())?;
    let bench = Workbench::prepare(paths, &parts, kind)?;
    let mut figures = Figures::new(kind);
    exits::measure(&bench, &mut figures)?;
    disk::measure(&bench, &mut figures)?;
    size::measure(&parts, &mut figures)?;
    println!("{figures}");
    Ok(())
}
