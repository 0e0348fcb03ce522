//! What a guest sees of its processor is what the manuals say, the same on each vendor's machine.
//!
//! `conformance.expected` holds a line a probe; `conformance.differences` the lines that are others on a machine, with the
//! reason for each.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use machine_tests::kind::Kind;

use crate::machines::{Bulkhead, accepted};

const EXPECTED: &str = include_str!("conformance.expected");
const DIFFERENCES: &str = include_str!("conformance.differences");
const LONG: Duration = Duration::from_secs(600);

/// What the guest prints behind the last probe.
const END: &str = "CONFORMANCE DONE";

pub fn a_guest_gets_the_processor_of_the_manuals(on: Kind) -> Result<()> {
    // A virtual processor that waits for another with interrupts off has the whole of a processor there.
    let bulkhead = if on == Kind::Ryzen { Bulkhead::boot_with_processors(on, 4) } else { Bulkhead::boot(on) };
    conforms(bulkhead?, on)
}

/// What the guest prints on `bulkhead` is right.
pub fn conforms(mut bulkhead: Bulkhead, on: Kind) -> Result<()> {
    let mut cli = bulkhead.cli();
    // What the emulators do not survive: see the guest.
    let spared = match on {
        Kind::Amd => " no-reserved no-priority late-interrupts",
        Kind::Intel => "",
        Kind::Ryzen => " no-paged-real late-windows",
    };
    let kernel = "--memory 32MiB --vps 4 --kernel data:/kernels/test-guest";
    accepted(&mut cli, &format!("vm create conformance {kernel} --cmdline \"conformance{spared}\""))?;
    cli.0.type_line("vm start conformance --console")?;
    let log = cli.0.expect(END, LONG)?;
    cli.ready()?;
    accepted(&mut cli, "vm delete conformance")?;
    let wrong = compare(&log, on)?;
    ensure!(wrong.is_empty(), "lines that are not as they should be:\n{wrong}");
    Ok(())
}

/// A probe's name and its result.
fn split(line: &str) -> Option<(&str, &str)> {
    line.split_once(": ").filter(|(name, _)| !name.starts_with('#'))
}

/// Names and results that are others on a machine.
fn differences(on: Kind) -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = DIFFERENCES.lines().filter_map(move |line| line.strip_prefix(on.name())?.strip_prefix(" | "));
    lines.filter_map(split)
}

/// What is wrong with the guest's lines, which come in the same order.
fn compare(log: &str, on: Kind) -> Result<String> {
    let mut lines =
        log.lines().map(str::trim_end).skip_while(|line| !EXPECTED.starts_with(line) || line.is_empty());
    let mut wrong = String::new();
    for expected in EXPECTED.lines() {
        let (name, result) = split(expected).with_context(|| format!("expected: {expected}"))?;
        let difference = differences(on).find(|(of, _)| *of == name);
        let result = difference.map_or(result, |(_, result)| result);
        let line = lines.next().unwrap_or("nothing");
        if split(line) != Some((name, result)) {
            writeln!(wrong, "{line}\n    should be {name}: {result}")?;
        }
    }
    for (name, result) in differences(on) {
        let line = EXPECTED.lines().filter_map(split).find(|(of, _)| *of == name);
        if line.is_none_or(|(_, expected)| expected == result) {
            writeln!(wrong, "{name}: a difference that is none")?;
        }
    }
    let rest = lines.filter(|line| !line.is_empty() && *line != END).count();
    if rest != 0 {
        writeln!(wrong, "and {rest} lines more")?;
    }
    Ok(wrong)
}
