//! What exits cost, and what virtual processors do to each other, seen from the test guest.

use std::time::Duration;

use anyhow::Result;
use machine_tests::cli::{Cli, PROMPT};
use machine_tests::kind::Kind;

use super::figures::Figures;
use super::workbench::Workbench;
use crate::step;

/// Names of the test guest's lines that are in the table; more are below it.
const KEYS: [&str; 6] =
    ["cpuid", "hypercall", "port-read", "mmio-write", "self-ipi-write", "self-ipi-handled"];
/// The same on a machine with one processor, where virtual processors take turns.
const ONE: [&str; 1] = ["ping"];
/// And on one with a processor for each of four.
const FOUR: [&str; 5] = ["ipi-running", "ipi-halted", "ipi-three", "flush-running", "flush-halted"];
/// What is below a table of VT-x.
const VMCS: &str = "Of a CPUID round trip on VT-x nine instructions are VMREADs (RSP, reason, interrupted event, length, RIP, \
    RFLAGS, blocking) and VMWRITEs (RIP, the host's RSP), where AMD-V's control block is memory and its fields operands of \
    what is executed anyway. Bochs counts each as one; how long a processor takes for one is not in the figure.";
const LIMIT: Duration = Duration::from_secs(300);

/// A line of the test guest.
pub struct Line {
    /// What was measured.
    pub name: String,
    /// The least of its samples.
    pub least: u64,
    median: u64,
}

/// Measures exits.
pub fn measure(bench: &Workbench, figures: &mut Figures) -> Result<()> {
    step::say("Measuring", "exits");
    let others = note(figures, &KEYS, lines(bench, 1, "exits")?);
    figures.note(format!("Other exits, least instructions of a round trip: {}.", others.join(", ")));
    if bench.kind() == Kind::Intel {
        figures.note(VMCS.to_owned());
    }
    Ok(())
}

/// Measures what virtual processors do to each other.
pub fn measure_vps(bench: &Workbench, figures: &mut Figures) -> Result<()> {
    step::say("Measuring", "virtual processors, on one processor and on four");
    note(figures, &ONE, lines(bench, 1, "turns")?);
    note(figures, &FOUR, lines(bench, 4, "vps")?);
    Ok(())
}

/// What a VM with the test guest prints on a machine with so many processors.
fn lines(bench: &Workbench, processors: u32, name: &str) -> Result<Vec<Line>> {
    let mut machine = bench.start(processors)?;
    let mut cli = Cli(machine.console());
    cli.ready()?;
    run(&mut cli, name)
}

/// What it prints, until it is off.
pub fn run(cli: &mut Cli<'_>, name: &str) -> Result<Vec<Line>> {
    cli.0.type_line(&format!("vm start {name} --console"))?;
    let printed = cli.0.expect("BENCH DONE", LIMIT)?;
    cli.0.expect(PROMPT, LIMIT)?;
    Ok(printed.lines().filter_map(Line::parse).collect())
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("BENCH ")?.split_whitespace();
        let name = words.next()?.to_owned();
        Some(Self { name, least: words.next()?.parse().ok()?, median: words.next()?.parse().ok()? })
    }
}

/// Puts lines into the table by their names; the others, as text.
fn note(figures: &mut Figures, keys: &[&'static str], lines: Vec<Line>) -> Vec<String> {
    let mut others = Vec::new();
    for Line { name, least, median } in lines {
        match keys.iter().find(|key| **key == name) {
            Some(key) => figures.set(key, format!("{least} (median {median})")),
            None => others.push(format!("{name} {least} (median {median})")),
        }
    }
    others
}
