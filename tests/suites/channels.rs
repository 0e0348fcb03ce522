//! The channels of a guest's disk: one for each of its processors, each of which carries requests.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use machine_tests::cli::{Cli, PATIENCE};
use machine_tests::kind::Kind;

use crate::machines::{Bulkhead, accepted, create_linux_with};

/// Processors of the guest.
const PROCESSORS: u32 = 4;
const DISK: &str = "data:/disks/channels.raw";
const LONG: Duration = Duration::from_secs(900);
/// Where Linux tells of the channels of its disk controller.
const CHANNELS: &str = "ln -s /sys/bus/vmbus/devices/7be10000-*/channels /c";
/// Writes a part of so many (`n`) times 64 KiB on each processor. Lines are short, since the guest's shell wraps longer ones.
const LINES: [&str; 6] = [
    "for i in 0 1 2 3; do head -c $((n*65536)) /dev/urandom > /r$i; done",
    r#"d() { c=$1; shift; taskset -c $c dd bs=64k count=$n "$@" 2>/dev/null; }"#,
    "w() { d $1 if=/r$1 of=/dev/sda seek=$(($1*n)) conv=fsync; }",
    "r() { d $((($1+2)%4)) if=/dev/sda skip=$(($1*n)) | cmp - /r$1; }",
    "for i in 0 1 2 3; do w $i & done; wait",
    "echo 3 > /proc/sys/vm/drop_caches",
];
/// Reads each part on another processor.
const READ: &str = "for i in 0 1 2 3; do r $i && echo part $i is the same & done; wait";

/// Has the driver leave its device and come back to it.
const AGAIN: [&str; 4] = [
    "d=7be10000-5c51-4b75-8a5e-0d15c0000000",
    "t() { echo $d > /sys/bus/vmbus/drivers/hv_storvsc/$1; }",
    "t unbind; while [ -b /dev/sda ]; do sleep 1; done",
    "t bind; while ! [ -b /dev/sda ]; do sleep 1; done",
];

/// Waits until there are four channels, each for another processor: the driver does not wait for them.
fn one_for_each_processor(cli: &mut Cli<'_>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let targets = of_each(cli, "cpu")?;
        let different: BTreeSet<u64> = targets.iter().copied().collect();
        if targets.len() == 4 && different == (0..4).collect() {
            return Ok(());
        }
        ensure!(Instant::now() < end, "channels interrupt {targets:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// A number for each channel, from the file `name` of each.
fn of_each(cli: &mut Cli<'_>, name: &str) -> Result<Vec<u64>> {
    let said = cli.shell(&format!("cat /c/*/{name} 2>/dev/null"), PATIENCE)?;
    said.lines().map(|line| line.trim().parse().with_context(|| format!("{name}: {said}"))).collect()
}

/// Four programs write at once, each on a processor of its own and to its own part of the disk; then each part is read on
/// another processor, all at once too; and once more when the driver has opened its channels anew.
pub fn every_processor_has_its_channel_and_all_carry_requests(on: Kind) -> Result<()> {
    // Bochs is slow: fewer processors, and smaller parts.
    let (processors, blocks) = if on.bochs_model().is_some() { (2, 8) } else { (PROCESSORS, 64) };
    let mut bulkhead = Bulkhead::boot_with_processors(on, processors)?;
    let mut cli = bulkhead.cli();
    accepted(&mut cli, &format!("disk create {DISK} --size 32MiB"))?;
    create_linux_with(&mut cli, "channels", DISK, PROCESSORS)?;
    accepted(&mut cli, "vm start channels")?;
    cli.enter_for("channels", LONG)?;
    cli.shell(CHANNELS, PATIENCE)?;
    one_for_each_processor(&mut cli)?;
    let before = [of_each(&mut cli, "interrupts")?, of_each(&mut cli, "events")?];

    cli.shell(&format!("n={blocks}"), PATIENCE)?;
    for line in LINES {
        cli.shell(line, LONG)?;
    }
    let said = cli.shell(READ, LONG)?;
    ensure!((0..4).all(|part| said.contains(&format!("part {part} is the same"))), "{said}");

    let after = [of_each(&mut cli, "interrupts")?, of_each(&mut cli, "events")?];
    for (what, before, after) in
        [("interrupted", &before[0], &after[0]), ("signalled", &before[1], &after[1])]
    {
        let used = before.iter().zip(after).all(|(before, after)| before < after);
        ensure!(used, "not every channel was {what}: {before:?} before, {after:?} after");
    }

    // The driver lets go of all of them, and asks for others.
    for line in AGAIN {
        cli.shell(line, LONG)?;
    }
    one_for_each_processor(&mut cli)?;
    let said = cli.shell(READ, LONG)?;
    ensure!((0..4).all(|part| said.contains(&format!("part {part} is the same"))), "{said}");
    cli.power_off().map(|_| ())
}
