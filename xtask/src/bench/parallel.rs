//! Work in parallel: as many programs at a time as there are virtual processors, beside the bare machine with one.
//!
//! QEMU executes its processors in turns on one thread, and each instruction takes a nanosecond of everybody's time. So
//! nothing is faster with more processors here; but all instructions are counted, of all processors, whoever executed
//! them: what Bulkhead adds, and what the guest's own processors cost each other. (Linux on the bare machine does not
//! start a second processor in sensible time like this: it waits without PAUSE, and QEMU's turns are long then.)
//!
//! In Bochs nothing counts like that. There the virtual processors take turns on one processor: where it was not idle, a
//! tick is an instruction, by Bulkhead's own counters, and on the bare machine by the time stamp counter. A second has a
//! twentieth of the instructions that it has in QEMU: what is done so often a second, as for a guest's timer, weighs twenty
//! times as much.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use machine_tests::cli::Cli;
use machine_tests::kind::Kind;
use machine_tests::machine::Machine;

use super::counts::Snapshots;
use super::figures::{Figures, grouped};
use super::look::Look;
use super::workbench::Workbench;
use crate::step;

/// Virtual processors, and the figure that they give.
const SIZES: [(u32, &str); 3] = [(1, "work-1"), (2, "work-2"), (4, "work-4")];
/// Processors of the machine that Bulkhead runs on.
const PROCESSORS: u32 = 4;
/// Programs that are run; fewer in Bochs, which is slow.
const JOBS: u32 = 16;
const JOBS_IN_BOCHS: u32 = 8;
const LIMIT: Duration = Duration::from_secs(600);

/// What the work came to.
struct Work {
    sum: String,
    instructions: u64,
}

/// Measures it in VMs, and on the bare machine.
pub fn measure(bench: &Workbench, figures: &mut Figures) -> Result<()> {
    step::say("Measuring", "parallel work, in VMs and on the bare machine");
    let (inside, bare) = match bench.kind() {
        Kind::Amd => (in_vms(bench)?, on_bare_machine(bench)?),
        Kind::Intel | Kind::Ryzen => (in_vms_of_bochs(bench)?, on_bare_bochs(bench)?),
    };
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

/// The same where nobody sees marks.
fn command_in_bochs(at: u32, jobs: u32) -> String {
    format!("work {at} {jobs}")
}

fn sum(printed: &str) -> Result<String> {
    Ok(word(printed, "sum=")?.to_owned())
}

/// What is behind `name` in a line of the work.
fn word<'a>(printed: &'a str, name: &str) -> Result<&'a str> {
    let word = printed.split_once(name).and_then(|(_, rest)| rest.split_whitespace().next());
    word.with_context(|| format!("the work printed: {printed}"))
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

/// Each with what is around the work taken off.
fn in_vms_of_bochs(bench: &Workbench) -> Result<Vec<Work>> {
    let scale = bench.ticks_in_100_ns();
    let mut machine = bench.start(1)?;
    let mut cli = Cli(machine.console());
    cli.ready()?;
    let mut done = Vec::new();
    for (size, key) in SIZES {
        cli.run(&format!("vm start {key}"))?;
        cli.attach(key)?;
        cli.wait_for_shell(LIMIT)?;
        cli.leave()?;
        let mut during = |jobs| Look::during(&mut cli, key, &command_in_bochs(size, jobs), LIMIT, scale);
        let (_, around) = during(0)?;
        let (printed, all) = during(JOBS_IN_BOCHS)?;
        let work = all.since(&around);
        done.push(Work { sum: sum(&printed)?, instructions: work.guest + work.outside() });
        cli.enter(key)?;
        cli.power_off()?;
    }
    Ok(done)
}

fn on_bare_bochs(bench: &Workbench) -> Result<Vec<Work>> {
    let mut machine = bench.start_linux()?;
    let mut shell = Cli(machine.console());
    shell.wait_for_shell(LIMIT)?;
    let mut done = Vec::new();
    for (size, _) in SIZES {
        let printed = shell.shell(&command_in_bochs(size, JOBS_IN_BOCHS), LIMIT)?;
        let ticks = word(&printed, "ticks=")?.parse().context("the work's ticks are not a number")?;
        done.push(Work { sum: sum(&printed)?, instructions: ticks });
    }
    Ok(done)
}

/// Ends the machine, and reads what was counted.
fn finish(bench: &Workbench, mut machine: Machine, end: &str, sums: Vec<String>) -> Result<Vec<Work>> {
    machine.console().type_line(end)?;
    machine.wait_for_power_off(LIMIT)?;
    let counted = instructions(&bench.snapshots()?.context("nothing was counted")?);
    Ok(sums.into_iter().zip(counted).map(|(sum, instructions)| Work { sum, instructions }).collect())
}
