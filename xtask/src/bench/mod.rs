//! `cargo xtask bench`: what Bulkhead costs, in instructions, beside KVM on the same emulated machine.
//!
//! QEMU counts one nanosecond an instruction (`-icount shift=0`), so every figure is a count of instructions and the
//! same from run to run. Nothing here is asserted: it is measured and printed.

mod counts;
mod disk;
mod exits;
mod figures;
mod size;
mod workbench;

use anyhow::Result;

use crate::build::{self, Profile};
use crate::host;
use crate::paths::Paths;
use figures::Figures;
use workbench::Workbench;

/// Measures everything and prints the table.
pub fn run(paths: &Paths) -> Result<()> {
    host::require(&[host::BUILD, host::IMAGE, host::RUN])?;
    let parts = build::everything(paths, &Profile::release())?;
    let bench = Workbench::prepare(paths, &parts)?;
    let mut figures = Figures::default();
    exits::measure(&bench, &mut figures)?;
    disk::measure(&bench, &mut figures)?;
    size::measure(&parts, &mut figures)?;
    println!("{figures}");
    Ok(())
}
