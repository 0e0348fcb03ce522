//! Linux's start and its disk, with instructions split by who executed them.

use std::time::Duration;

use anyhow::{Context, Result};
use machine_tests::cli::Cli;

use super::counts::{Snapshot, Snapshots, mark};
use super::figures::{Figures, grouped};
use super::workbench::Workbench;
use crate::step;

/// Requests of a measurement with small blocks.
const SMALL: u64 = 2048;
/// Requests of one with blocks of 1 MiB.
const LARGE: u64 = 48;
const LIMIT: Duration = Duration::from_secs(600);

/// A run of the disk program: its arguments, and the figure that it gives.
struct Run {
    arguments: String,
    requests: u64,
    figure: &'static str,
}

/// Starts Linux, runs the disk program, and reads the counters.
pub fn measure(bench: &Workbench, figures: &mut Figures) -> Result<()> {
    step::say("Measuring", "Linux's start and disk");
    let run = |size: u64, requests: u64, rest: &str, figure: &'static str| Run {
        arguments: format!("{size} {requests} {rest}"),
        requests,
        figure,
    };
    let runs = [
        run(4096, SMALL, "1", "read-depth-1"),
        run(4096, SMALL, "16", "read-depth-16"),
        run(1 << 20, LARGE, "1", "read-large"),
        run(1 << 20, LARGE, "1 w", "write-large"),
    ];
    let mut machine = bench.start(1)?;
    let mut cli = Cli(machine.console());
    cli.ready()?;
    cli.start_linux("disk")?;
    let (mut rates, mut ticks) = (Vec::new(), Vec::new());
    for run in &runs {
        let printed = cli.shell(&format!("mark 4; disk /dev/sda {}; mark 5", run.arguments), LIMIT)?;
        let word = |name: &str| {
            let rest = printed.split_once(name).and_then(|(_, rest)| rest.split_whitespace().next());
            rest.map(str::to_owned).with_context(|| format!("the disk program printed: {printed}"))
        };
        rates.push(word("MBps=")?);
        ticks.push(word("ticks=")?);
    }
    cli.power_off()?;
    cli.0.type_line("host shutdown")?;
    machine.wait_for_power_off(LIMIT)?;
    let Some(snapshots) = bench.snapshots()? else {
        for ((run, rate), ticks) in runs.iter().zip(rates).zip(ticks) {
            let arguments = &run.arguments;
            figures.note(format!(
                "disk {arguments}: {ticks} ticks a request in all, the guest's own and those of waiting for the \
                 disk with them; {rate} MB/s of virtual time."
            ));
        }
        return Ok(());
    };
    starts(&snapshots, figures);
    let pairs = snapshots.all(4).zip(snapshots.all(5));
    for ((run, rate), (before, after)) in runs.iter().zip(rates).zip(pairs) {
        let cost = after.since(&before);
        if run.figure.ends_with("large") {
            figures.set(run.figure, rate);
        } else {
            figures.set_count(run.figure, cost.outside() / run.requests);
        }
        figures.note(split(run, &cost));
    }
    Ok(())
}

/// The starts of Bulkhead and of Linux.
fn starts(snapshots: &Snapshots, figures: &mut Figures) {
    if let (Some(entry), Some(init)) = (snapshots.first(mark::FIRST_GUEST), snapshots.first(1)) {
        let start = init.since(&entry);
        figures.set("linux-start", format!("{:.3}", start.total as f64 / start.guest as f64));
        let (total, own, entries) = (start.total, start.guest, start.guest_entries);
        let text = format!(
            "{} in all, {} the guest's own, {} entries",
            grouped(total),
            grouped(own),
            grouped(entries)
        );
        figures.note(format!("Linux from kernel entry to init: {text}."));
    }
    let points =
        [mark::HYPERVISOR, mark::ROOT_KERNEL, mark::PROCESS, mark::PROMPT].map(|at| snapshots.first(at));
    if let [Some(hypervisor), Some(kernel), Some(process), Some(prompt)] = points {
        figures.set_count("prompt", prompt.total - hypervisor.total);
        let parts =
            [kernel.total - hypervisor.total, process.total - kernel.total, prompt.total - process.total];
        let [first, second, third] = parts.map(grouped);
        figures.note(format!(
            "To the prompt: hypervisor {first}, root kernel {second}, management service {third}."
        ));
    }
}

/// Who executed what, a request.
fn split(run: &Run, cost: &Snapshot) -> String {
    let each = |count: u64| grouped(count / run.requests);
    let hypervisor = format!(
        "{} for the guest and {} for the root",
        each(cost.hypervisor_guest),
        each(cost.hypervisor_root)
    );
    let (root, guest) = (each(cost.root), each(cost.guest));
    let entries = cost.guest_entries as f64 / run.requests as f64;
    let arguments = &run.arguments;
    format!(
        "disk {arguments}: a request: guest {guest}, root {root}, hypervisor {hypervisor}; {entries:.2} entries."
    )
}
