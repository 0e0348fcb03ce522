//! Work in parallel: as many programs at a time as there are processors, in VMs and on the bare machine.
//!
//! QEMU executes its processors in turns on one thread, and each instruction takes a nanosecond of everybody's time. So
//! nothing is faster with more processors here; but all instructions are counted, of all processors, whoever executed
//! them, and what Bulkhead adds to the bare machine's is seen.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use machine_tests::cli::Cli;
use machine_tests::kind::Kind;

use super::counts::Snapshots;
use super::figures::{Figures, grouped};
use super::workbench::Workbench;
use crate::step;

/// Virtual processors, or processors, and the figure that they give.
const SIZES: [(u32, &str); 3] = [(1, "work-1"), (2, "work-2"), (4, "work-4")];
/// Processors of the machine that Bulkhead runs on.
const PROCESSORS: u32 = 4;
/// Programs that are run.
const JOBS: u32 = 16;
const LIMIT: Duration = Duration::from_secs(600);

/// What the work came to.
struct Work {
    sum: String,
    instructions: u64,
}

/// Measures it in VMs, then on the bare machine.
pub fn measure(bench: &Workbench, figures: &mut Figures) -> Result<()> {
    if bench.kind() != Kind::Amd {
        return Ok(());
    }
    step::say("Measuring", "parallel work, in VMs and on the bare machine");
    let inside = in_vms(bench)?;
    for ((size, key), inside) in SIZES.into_iter().zip(inside) {
        let bare = on_bare_machine(bench, size)?;
        if inside.sum != bare.sum {
            bail!("the work came to '{}' in a VM and to '{}' on the bare machine", inside.sum, bare.sum);
        }
        figures.set(key, format!("{:.3}", inside.instructions as f64 / bare.instructions as f64));
        let (inside, bare) = (grouped(inside.instructions), grouped(bare.instructions));
        figures.note(format!(
            "Work with {size} at a time: {inside} instructions in a VM, {bare} on the bare machine."
        ));
    }
    Ok(())
}

/// What the guest's shell is told.
fn command(at: u32) -> String {
    format!("mark 4; work {at} {JOBS}; mark 5")
}

fn sum(printed: &str) -> Result<String> {
    let sum = printed.split_once("sum=").and_then(|(_, rest)| rest.split_whitespace().next());
    Ok(sum.with_context(|| format!("the work printed: {printed}"))?.to_owned())
}

/// All instructions between each mark 4 and the mark 5 behind it.
fn instructions(snapshots: &Snapshots) -> Vec<u64> {
    snapshots.all(4).zip(snapshots.all(5)).map(|(before, after)| after.since(&before).total).collect()
}

fn in_vms(bench: &Workbench) -> Result<Vec<Work>> {
    let mut machine = bench.start(PROCESSORS)?;
    let mut cli = Cli(machine.console());
    cli.ready()?;
    let mut sums = Vec::new();
    for (size, key) in SIZES {
        cli.start_linux(key)?;
        sums.push(sum(&cli.shell(&command(size), LIMIT)?)?);
        cli.power_off()?;
    }
    cli.0.type_line("host shutdown")?;
    machine.wait_for_power_off(LIMIT)?;
    let counted = instructions(&bench.snapshots()?.context("nothing was counted")?);
    Ok(sums.into_iter().zip(counted).map(|(sum, instructions)| Work { sum, instructions }).collect())
}

fn on_bare_machine(bench: &Workbench, processors: u32) -> Result<Work> {
    let mut machine = bench.start_linux(processors)?;
    let mut shell = Cli(machine.console());
    shell.wait_for_shell()?;
    let sum = sum(&shell.shell(&command(processors), LIMIT)?)?;
    shell.0.type_line("poweroff")?;
    machine.wait_for_power_off(LIMIT)?;
    let counted = instructions(&bench.snapshots()?.context("nothing was counted")?);
    Ok(Work { sum, instructions: counted.first().copied().context("no marks were counted")? })
}
