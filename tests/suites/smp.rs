//! Guests with several virtual processors, on machines with several processors.
//!
//! All guests of a machine run at once, so there are more virtual processors than processors. What they do checks its own
//! results: Debian's stress-ng, in few operations.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use machine_tests::cli::{Cli, PATIENCE};
use machine_tests::kind::Kind;

use crate::machines::{Bulkhead, accepted};

/// Processors of the guests.
const GUESTS: [u32; 4] = [1, 2, 4, 8];
/// How long a guest may take to boot, and for its work.
const WORK: Duration = Duration::from_secs(900);

/// On a machine with two processors.
pub fn guests_compute_right_on_two_processors(on: Kind) -> Result<()> {
    compute(on, 2)
}

/// On a machine with four.
pub fn guests_compute_right_on_four_processors(on: Kind) -> Result<()> {
    compute(on, 4)
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
    let count = cli.shell("nproc", PATIENCE)?;
    ensure!(count.lines().any(|line| line.trim() == vps.to_string()), "nproc: {count}");
    cli.shell("mount -o ro /dev/sda /mnt", PATIENCE)?;
    let said = cli.shell(&format!("/mnt/smp.sh {vps}"), WORK)?;
    let good = ["successful run completed", "stress-ng ended with 0", "0 complaints"];
    ensure!(good.iter().all(|line| said.contains(line)), "{said}");
    cli.power_off().map(|_| ())
}
