//! Guests with several virtual processors, on machines with several processors.
//!
//! All guests of a QEMU machine run at once, so there are more virtual processors than processors. What they do checks its own
//! results: Debian's stress-ng, in few operations; in Bochs sums.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use machine_tests::cli::{Cli, PATIENCE};
use machine_tests::kind::Kind;

use crate::machines::{Bulkhead, accepted};

/// Processors of the guests.
const GUESTS: [u32; 4] = [1, 2, 4, 8];
/// How long a guest may take to boot, and for its work.
const WORK: Duration = Duration::from_secs(900);
/// What md5sum says of 256 KiB of zeros.
const SUM: &str = "ec87a838931d4d5d2e94a04644788a55  -";

/// On a machine with two processors.
pub fn guests_compute_right_on_two_processors(on: Kind) -> Result<()> {
    compute(on, 2)
}

/// On a machine with four.
pub fn guests_compute_right_on_four_processors(on: Kind) -> Result<()> {
    compute(on, 4)
}

/// Shorter, for a machine on which that takes too long: one guest, with work of a few seconds.
pub fn a_guest_adds_up_on_two_processors(on: Kind) -> Result<()> {
    add_up(on, 2)
}

/// The same on four.
pub fn a_guest_adds_up_on_four_processors(on: Kind) -> Result<()> {
    add_up(on, 4)
}

/// A guest with as many processors as the machine: eight sums at a time, which have to come to the same.
fn add_up(on: Kind, processors: u32) -> Result<()> {
    let mut bulkhead = Bulkhead::boot_with_processors(on, processors)?;
    let mut cli = bulkhead.cli();
    accepted(&mut cli, &format!("vm start smp{processors}"))?;
    cli.enter_for(&format!("smp{processors}"), WORK)?;
    has_processors(&mut cli, processors)?;
    cli.shell("sum() { head -c 256k /dev/zero | md5sum >/tmp/$1; }", PATIENCE)?;
    cli.shell("for i in 1 2 3 4 5 6 7 8; do sum $i & done; wait", WORK)?;
    let said = cli.shell("cat /tmp/[1-8]", PATIENCE)?;
    let same = said.lines().filter(|line| line.trim() == SUM).count();
    ensure!(same == 8, "{same} of 8 are right: {said}");
    cli.power_off().map(|_| ())
}

fn compute(on: Kind, processors: u32) -> Result<()> {
    let mut bulkhead = Bulkhead::boot_with_processors(on, processors)?;
    let mut cli = bulkhead.cli();
    for vps in GUESTS {
        accepted(&mut cli, &format!("vm start smp{vps}"))?;
    }
    for vps in GUESTS {
        check(&mut cli, vps).with_context(|| format!("the guest with {vps} processors"))?;
    }
    Ok(())
}

/// The guest with `vps` processors works, and its kernel has nothing to complain of.
fn check(cli: &mut Cli<'_>, vps: u32) -> Result<()> {
    cli.enter_for(&format!("smp{vps}"), WORK)?;
    has_processors(cli, vps)?;
    cli.shell("mount -o ro /dev/sda /mnt", PATIENCE)?;
    let said = cli.shell(&format!("/mnt/smp.sh {vps}"), WORK)?;
    let good = ["successful run completed", "stress-ng ended with 0", "0 complaints"];
    ensure!(good.iter().all(|line| said.contains(line)), "{said}");
    cli.power_off().map(|_| ())
}

fn has_processors(cli: &mut Cli<'_>, vps: u32) -> Result<()> {
    let count = cli.shell("nproc", PATIENCE)?;
    ensure!(count.lines().any(|line| line.trim() == vps.to_string()), "nproc: {count}");
    Ok(())
}
