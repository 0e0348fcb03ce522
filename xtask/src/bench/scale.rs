//! What exits and wake-ups cost when there are many VMs: what they cost when there is one.

use anyhow::{Result, ensure};
use machine_tests::cli::Cli;

use super::exits::{self, Line};
use super::figures::Figures;
use super::workbench::Workbench;
use crate::step;

/// VMs that run, the one that measures among them.
const VMS: [u32; 3] = [1, 16, 64];
/// What they and the root need, in MiB: it keeps 8 for each VM beside the VM's own.
const MEMORY: u64 = 2048;
/// VMs whose test guest measures.
const GUESTS: [&str; 2] = ["exits", "turns"];
/// Its lines, and the figures that they give.
const LINES: [(&str, &str); 3] =
    [("cpuid", "scale-cpuid"), ("port-read", "scale-port-read"), ("ping", "scale-ping")];

/// Starts VMs that do nothing, more and more, and measures beside them.
pub fn measure(bench: &Workbench, figures: &mut Figures) -> Result<()> {
    step::say("Measuring", "exits and wake-ups beside many VMs");
    let mut machine = bench.start_with_memory(1, MEMORY)?;
    let mut cli = Cli(machine.console());
    cli.ready()?;
    let mut running = 1;
    let mut measured = LINES.map(|_| Vec::new());
    for vms in VMS {
        while running < vms {
            start_idle(&mut cli, running)?;
            running += 1;
        }
        let mut lines = Vec::new();
        for guest in GUESTS {
            lines.extend(exits::run(&mut cli, guest)?);
        }
        for ((name, _), measured) in LINES.iter().zip(&mut measured) {
            let least = |line: &Line| line.least.to_string();
            measured.push(lines.iter().find(|line| line.name == *name).map_or_else(String::new, least));
        }
    }
    for ((_, key), measured) in LINES.into_iter().zip(measured) {
        figures.set(key, measured.join(" / "));
    }
    Ok(())
}

/// A VM that halts for good.
fn start_idle(cli: &mut Cli<'_>, number: u32) -> Result<()> {
    let with = "--memory 8M --vps 1 --kernel data:/kernels/test-guest --cmdline idle";
    for command in [format!("vm create idle-{number} {with}"), format!("vm start idle-{number}")] {
        let answer = cli.run(&command)?;
        ensure!(!answer.contains("error"), "'{command}': {answer}");
    }
    Ok(())
}
