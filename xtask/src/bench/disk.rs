//! Linux's start and its disk, with instructions split by who executed them: by Bulkhead's own counters, and by QEMU's
//! plugin where there is one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use machine_tests::cli::Cli;

use super::counts::{Snapshot, Snapshots, mark};
use super::figures::{Figures, grouped};
use super::look::Look;
use super::workbench::Workbench;
use crate::step;

/// Requests of a measurement with small blocks.
const SMALL: u64 = 2048;
/// Requests of one with blocks of 1 MiB.
const LARGE: u64 = 48;
/// Requests with which the disk program begins, before it measures; fewer where it measures fewer.
const WARM_UP: u64 = 16;
const LIMIT: Duration = Duration::from_secs(600);

/// A run of the disk program: its arguments, and the figure that it gives.
struct Run {
    size: u64,
    requests: u64,
    rest: &'static str,
    figure: &'static str,
}

const RUNS: [Run; 4] = [
    Run { size: 4096, requests: SMALL, rest: "1", figure: "read-depth-1" },
    Run { size: 4096, requests: SMALL, rest: "16", figure: "read-depth-16" },
    Run { size: 1 << 20, requests: LARGE, rest: "1", figure: "read-large" },
    Run { size: 1 << 20, requests: LARGE, rest: "1 w", figure: "write-large" },
];

/// What a run came to.
struct Ran {
    /// MB/s of virtual time.
    rate: String,
    /// A request by Bulkhead's counters.
    counted: Look,
}

/// Starts Linux, runs the disk program, and reads the counters.
pub fn measure(bench: &Workbench, figures: &mut Figures) -> Result<()> {
    step::say("Measuring", "the start, Linux's start and disk");
    let scale = bench.ticks_in_100_ns();
    let mut machine = bench.start(1)?;
    let mut cli = Cli(machine.console());
    cli.ready()?;
    let prompt = Look::take(&mut cli, scale)?;
    let linux = start_linux(&mut cli, scale)?;
    let ran = RUNS.iter().map(|run| run.measure(&mut cli, scale)).collect::<Result<Vec<Ran>>>()?;
    cli.enter("disk")?;
    cli.power_off()?;
    cli.0.type_line("host shutdown")?;
    machine.wait_for_power_off(LIMIT)?;

    let to_prompt = prompt.uptime.saturating_sub(prompt.idle);
    figures.set_count("prompt", to_prompt);
    figures.note(format!("To the prompt by Bulkhead's counters: {}.", grouped(to_prompt)));
    let busy = linux.guest + linux.outside();
    figures.set("linux-start", format!("{:.3}", busy as f64 / linux.guest as f64));
    let (all, own) = (grouped(busy), grouped(linux.guest));
    figures.note(format!("Linux to its shell by Bulkhead's counters: {all} in all, {own} the guest's own."));
    for (run, Ran { rate, counted }) in RUNS.iter().zip(ran) {
        if run.figure.ends_with("large") {
            let busy = counted.guest + counted.outside();
            let without = run.size as f64 * (scale * 10) as f64 / busy.max(1) as f64;
            figures.set(run.figure, format!("{rate}; {without:.0} were the disk to take no time"));
        } else {
            figures.set_count(run.figure, counted.outside());
        }
        let [guest, root, hypervisor, idle] =
            [counted.guest, counted.root, counted.hypervisor, counted.idle].map(grouped);
        figures.note(format!(
            "disk {}: a request by Bulkhead's counters: guest {guest}, root {root}, hypervisor {hypervisor}; idle {idle}.",
            run.arguments(run.requests)
        ));
    }
    if let Some(snapshots) = bench.snapshots()? {
        by_plugin(&snapshots, figures)?;
    }
    Ok(())
}

/// Starts Linux to its shell; who executed what since it was entered.
fn start_linux(cli: &mut Cli<'_>, scale: u64) -> Result<Look> {
    let before = Look::take(cli, scale)?;
    cli.run("vm start disk")?;
    // Until it is said to run, the root has loaded the kernel; what the guest has done since is the guest's.
    let entered = Look::take(cli, scale)?;
    cli.attach("disk")?;
    cli.wait_for_shell(LIMIT)?;
    cli.leave()?;
    let after = Look::take(cli, scale)?;
    let guest = after.since(&before).guest;
    Ok(Look { guest, ..after.since(&entered) })
}

impl Run {
    fn arguments(&self, requests: u64) -> String {
        format!("{} {requests} {}", self.size, self.rest)
    }

    /// Runs it, and once more with one request, which tells what all that is around the requests costs.
    fn measure(&self, cli: &mut Cli<'_>, scale: u64) -> Result<Ran> {
        let (_, around) = self.run(cli, scale, 1)?;
        let (printed, all) = self.run(cli, scale, self.requests)?;
        let rate = printed.split_once("MBps=").and_then(|(_, rest)| rest.split_whitespace().next());
        let rate = rate.with_context(|| format!("the disk program printed: {printed}"))?.to_owned();
        Ok(Ran { rate, counted: all.since(&around).each(self.counted()) })
    }

    /// By how many requests the two runs differ.
    fn counted(&self) -> u64 {
        WARM_UP + self.requests - 2
    }

    fn run(&self, cli: &mut Cli<'_>, scale: u64, requests: u64) -> Result<(String, Look)> {
        // For the plugin.
        let (begin, end) = if requests == 1 { ("mark 2", "mark 3") } else { ("mark 4", "mark 5") };
        let command = format!("{begin}; disk /dev/sda {}; {end}", self.arguments(requests));
        Look::during(cli, "disk", &command, LIMIT, scale)
    }
}

/// The same figures by the plugin, which knows better.
fn by_plugin(snapshots: &Snapshots, figures: &mut Figures) -> Result<()> {
    starts(snapshots, figures);
    let between = |first, last| {
        snapshots.all(first).zip(snapshots.all(last)).map(|(before, after)| after.since(&before))
    };
    for (run, (all, around)) in RUNS.iter().zip(between(4, 5).zip(between(2, 3))) {
        let cost = all.since(&around);
        let arguments = run.arguments(run.requests);
        ensure!(cost.outside() > 0, "disk {arguments}: one request took more; the host was too busy");
        if !run.figure.ends_with("large") {
            figures.set_count(run.figure, cost.outside() / run.counted());
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
    let each = |count: u64| grouped(count / run.counted());
    let hypervisor = format!(
        "{} for the guest and {} for the root",
        each(cost.hypervisor_guest),
        each(cost.hypervisor_root)
    );
    let (root, guest) = (each(cost.root), each(cost.guest));
    let entries = cost.guest_entries as f64 / run.counted() as f64;
    let arguments = run.arguments(run.requests);
    format!(
        "disk {arguments}: a request: guest {guest}, root {root}, hypervisor {hypervisor}; {entries:.2} entries."
    )
}
