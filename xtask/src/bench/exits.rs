//! What exits cost, seen from the guest.

use std::time::Duration;

use anyhow::Result;
use machine_tests::cli::Cli;

use super::figures::Figures;
use super::workbench::Workbench;
use crate::step;

/// Names of the test guest's lines that are in the table.
const KEYS: [&str; 6] =
    ["cpuid", "hypercall", "port-read", "mmio-write", "self-ipi-write", "self-ipi-handled"];
const LIMIT: Duration = Duration::from_secs(300);

/// Runs the test guest's measurements.
pub fn measure(bench: &Workbench, figures: &mut Figures) -> Result<()> {
    step::say("Measuring", "exits");
    let mut machine = bench.start()?;
    let mut cli = Cli(machine.console());
    cli.ready()?;
    cli.0.type_line("vm start exits --console")?;
    let lines = cli.0.expect("BENCH DONE", LIMIT)?;
    let mut others = Vec::new();
    for line in lines.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let &["BENCH", name, least, median] = &words[..] else { continue };
        match KEYS.iter().find(|key| **key == name) {
            Some(key) => figures.set(key, format!("{least} (median {median})")),
            None => others.push(format!("{name} {least} (median {median})")),
        }
    }
    figures.note(format!("Other exits, least instructions of a round trip: {}.", others.join(", ")));
    Ok(())
}
