//! Guests with several virtual processors, on machines with several processors.
//!
//! All guests of a QEMU machine run at once, so there are more virtual processors than processors. What they do checks its own
//! results: Debian's stress-ng, in few operations; in Bochs, but for the night, in fewer and one guest. And a device interrupts
//! one of a guest's processors, of which the others hear nothing.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use machine_tests::cli::{Cli, PATIENCE};
use machine_tests::kind::Kind;
use serde_json::Value;

use crate::machines::{Bulkhead, accepted, create_linux_with};
use crate::shares::create;

/// Processors of the guests.
const GUESTS: [u32; 4] = [1, 2, 4, 8];
/// Memory for all of them, in MiB.
const MEMORY: u64 = 2048;
/// What stress-ng is to do on QEMU, at night in Bochs, and else in Bochs.
const ALL: Work = Work { percent: 100, limit: Duration::from_secs(900) };
const SOME: Work = Work { percent: 5, limit: Duration::from_secs(3600) };
const LEAST: Work = Work { percent: 1, limit: Duration::from_secs(900) };
/// Processors of the one guest in Bochs.
const VPS: u32 = 4;
/// What md5sum says of 256 KiB of zeros.
const SUM: &str = "ec87a838931d4d5d2e94a04644788a55  -";

/// Work for a guest.
#[derive(Clone, Copy)]
struct Work {
    /// Of stress-ng's operations, at least one of each kind.
    percent: u32,
    /// How long the guest may take to boot, and for its work.
    limit: Duration,
}

/// On a machine with two processors.
pub fn guests_compute_right_on_two_processors(on: Kind) -> Result<()> {
    compute(on, 2)
}

/// On a machine with four.
pub fn guests_compute_right_on_four_processors(on: Kind) -> Result<()> {
    compute(on, 4)
}

/// Shorter, for a machine on which that takes too long: one guest, with work of a few seconds.
pub fn a_guest_is_right_on_two_processors(on: Kind) -> Result<()> {
    a_guest_is_right(on, 2)
}

/// The same on four.
pub fn a_guest_is_right_on_four_processors(on: Kind) -> Result<()> {
    a_guest_is_right(on, 4)
}

/// A guest with four processors: eight sums at a time, which have to come to the same, then one operation or
/// two of each kind of stress-ng's.
fn a_guest_is_right(on: Kind, processors: u32) -> Result<()> {
    let mut bulkhead = Bulkhead::boot_with_processors(on, processors)?;
    let mut cli = bulkhead.cli();
    create_linux_with(&mut cli, "smp", "data:/disks/stress.vhd", VPS)?;
    accepted(&mut cli, "vm start smp")?;
    cli.enter_for("smp", LEAST.limit)?;
    has_processors(&mut cli, VPS)?;
    cli.shell("sum() { head -c 256k /dev/zero | md5sum >/tmp/$1; }", PATIENCE)?;
    cli.shell("for i in 1 2 3 4 5 6 7 8; do sum $i & done; wait", LEAST.limit)?;
    let said = cli.shell("cat /tmp/[1-8]", PATIENCE)?;
    let same = said.lines().filter(|line| line.trim() == SUM).count();
    ensure!(same == 8, "{same} of 8 are right: {said}");
    works(&mut cli, 2, LEAST)?;
    cli.power_off().map(|_| ())
}

fn compute(on: Kind, processors: u32) -> Result<()> {
    let mut bulkhead = Bulkhead::boot_with_processors_and_memory(on, processors, MEMORY)?;
    let mut cli = bulkhead.cli();
    let work = if on.bochs_model().is_some() { SOME } else { ALL };
    for vps in GUESTS {
        accepted(&mut cli, &format!("vm start smp{vps}"))?;
    }
    for vps in GUESTS {
        check(&mut cli, vps, work).with_context(|| format!("the guest with {vps} processors"))?;
    }
    Ok(())
}

/// The guest with `vps` processors works, and its kernel has nothing to complain of.
fn check(cli: &mut Cli<'_>, vps: u32, work: Work) -> Result<()> {
    cli.enter_for(&format!("smp{vps}"), work.limit)?;
    has_processors(cli, vps)?;
    works(cli, vps, work)?;
    cli.power_off().map(|_| ())
}

/// stress-ng, with so many processes for each kind of work, finds nothing wrong.
fn works(cli: &mut Cli<'_>, processes: u32, work: Work) -> Result<()> {
    cli.shell("mount -o ro /dev/sda /mnt", PATIENCE)?;
    let said = cli.shell(&format!("/mnt/smp.sh {processes} {}", work.percent), work.limit)?;
    let good = ["successful run completed", "stress-ng ended with 0", "0 complaints"];
    ensure!(good.iter().all(|line| said.contains(line)), "{said}");
    Ok(())
}

/// A device interrupts processor 1 fifty times, and 1 and 3 fifty times: of the others, which halt, none is woken. All are woken
/// when they start.
pub fn a_devices_interrupt_wakes_whom_it_is_for(on: Kind) -> Result<()> {
    /// Wake-ups of one that starts, at most.
    const START: u64 = 4;
    let mut bulkhead = Bulkhead::boot_with_processors(on, 2)?;
    let mut cli = bulkhead.cli();
    create(&mut cli, "device", 6, "device-interrupts 6", "")?;
    cli.0.type_line("vm start device --console")?;
    cli.0.expect("INTERRUPTED", PATIENCE).context("interrupts are missing")?;
    cli.leave()?;
    let stats: Value = serde_json::from_str(cli.run("vm stats device --json")?.trim())?;
    let vps = stats["each_vp"].as_array().context("no VPs")?;
    let wake_ups: Option<Vec<u64>> = vps.iter().map(|vp| vp["wake_ups"].as_u64()).collect();
    let wake_ups = wake_ups.with_context(|| format!("no wake-ups: {stats}"))?;
    for (vp, &times) in wake_ups.iter().enumerate().skip(1) {
        let is_interrupted = [1, 3].contains(&vp);
        ensure!(is_interrupted == (times > START), "VP {vp} is woken {times} times: {wake_ups:?}");
    }
    accepted(&mut cli, "vm kill device")
}

fn has_processors(cli: &mut Cli<'_>, vps: u32) -> Result<()> {
    let count = cli.shell("nproc", PATIENCE)?;
    ensure!(count.lines().any(|line| line.trim() == vps.to_string()), "nproc: {count}");
    Ok(())
}
