//! Work in parallel: as many programs at a time as there are virtual processors, beside the bare machine with one.
//!
//! QEMU executes its processors in turns on one thread, and each instruction takes a nanosecond of everybody's time. So
//! nothing is faster with more processors here; but all instructions are counted, of all processors, whoever executed
//! them: what Bulkhead adds, and what the guest's own processors cost each other. (Linux on the bare machine does not
//! start a second processor in sensible time like this: it waits without PAUSE, and QEMU's turns are long then.)

use std::time::Duration;

use anyhow::{Context, Result, bail};
use machine_tests::cli::Cli;
use machine_tests::machine::Machine;

use super::counts::Snapshots;
use super::figures::{Figures, grouped};
use super::workbench::Workbench;
use crate::step;

/// Virtual processors, and the figure that they give.
const SIZES: [(u32, &str); 3] = [(1, "work-1"), (2, "work-2"), (4, "work-4")];
/// Processors of the machine that Bulkhead runs on.
const PROCESSORS: u32 = 4;
/// Programs that are run.
const JOBS: u32 = 16;
const LIMIT: Duration = Duration::from_secs(600);

/// Why other machines do not have these rows.
pub const WHY_NOT: &str = "parallel work is counted by QEMU's plugin, in VMs and on the bare machine, and Bochs has no such counter";

/// What the work came to.
struct Work {
    sum: String,
    instructions: u64,
}

/// Measures it in VMs, and on the bare machine.
pub fn measure(bench: &Workbench, figures: &mut Figures) -> Result<()> {
    step::say("Measuring", "parallel work, in VMs and on the bare machine");
    let (inside, bare) = (in_vms(bench)?, on_bare_machine(bench)?);
    for ((size, key), (inside, bare)) in SIZES.into_iter().zip(inside.into_iter().zip(bare)) {
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
    finish(bench, machine, "host shutdown", sums)
}

fn on_bare_machine(bench: &Workbench) -> Result<Vec<Work>> {
    let mut machine = bench.start_linux()?;
    let mut shell = Cli(machine.console());
    shell.wait_for_shell(LIMIT)?;
    let mut sums = Vec::new();
    for (size, _) in SIZES {
        sums.push(sum(&shell.shell(&command(size), LIMIT)?)?);
    }
    finish(bench, machine, "poweroff", sums)
}

/// Ends the machine, and reads what was counted.
fn finish(bench: &Workbench, mut machine: Machine, end: &str, sums: Vec<String>) -> Result<Vec<Work>> {
    machine.console().type_line(end)?;
    machine.wait_for_power_off(LIMIT)?;
    let counted = instructions(&bench.snapshots()?.context("nothing was counted")?);
    Ok(sums.into_iter().zip(counted).map(|(sum, instructions)| Work { sum, instructions }).collect())
}
