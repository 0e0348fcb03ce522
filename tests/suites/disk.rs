//! Data on disks: it is what was written, it outlives its VM and its host, and what was synced outlives a power cut.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use machine_tests::cli::{Cli, PATIENCE};
use machine_tests::kind::Kind;

use crate::machines::{Bulkhead, accepted, create_linux};

const DISK: &str = "data:/disks/scratch.raw";
const LONG: Duration = Duration::from_secs(400);
/// The write after which the power is cut.
const SYNCED: u32 = 25;

fn scratch(cli: &mut Cli<'_>, size: &str) -> Result<()> {
    accepted(cli, &format!("disk create {DISK} --size {size}"))?;
    create_linux(cli, "scratch", DISK)?;
    cli.start_linux("scratch")?;
    Ok(())
}

pub fn random_data_is_the_same_after_everything_was_off(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    scratch(&mut cli, "64MiB")?;
    cli.shell("dd if=/dev/urandom of=/dev/sda bs=1M count=64", LONG)?;
    let before = cli.shell("md5sum /dev/sda", LONG)?;
    ensure!(before.contains("/dev/sda") && before.len() > 32, "no checksum: {before}");
    cli.power_off()?;
    let off = bulkhead.shut_down()?;
    off.check_data_volume()?;
    let mut bulkhead = off.boot()?;
    let mut cli = bulkhead.cli();
    cli.start_linux("scratch")?;
    let after = cli.shell("md5sum /dev/sda", LONG)?;
    ensure!(before == after, "{before} became {after}");
    Ok(())
}

pub fn what_was_synced_is_there_after_a_power_cut(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    scratch(&mut cli, "16MiB")?;
    cli.shell("put() { echo block $1 | dd of=/dev/sda bs=4k seek=$1 conv=sync,fsync; }", PATIENCE)?;
    cli.shell_begin("i=0; while put $i 2>/dev/null; do echo SYNCED $i; i=$((i+1)); done")?;
    cli.0.expect(&format!("SYNCED {SYNCED}\n"), LONG)?;
    let mut bulkhead = bulkhead.cut_power()?.boot()?;
    let mut cli = bulkhead.cli();
    cli.start_linux("scratch")?;
    cli.shell("get() { dd if=/dev/sda bs=4k skip=$1 count=1 2>/dev/null | head -n 1; }", PATIENCE)?;
    let read = format!("for i in $(seq 0 {SYNCED}); do get $i; done");
    let blocks = cli.shell(&read, LONG)?;
    let found: Vec<&str> = blocks.lines().filter(|line| line.starts_with("block ")).collect();
    let expected: Vec<String> = (0..=SYNCED).map(|number| format!("block {number}")).collect();
    ensure!(found == expected, "on the disk is: {blocks}");
    Ok(())
}

pub fn two_machines_run_at_once_on_their_own_disks(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    for name in ["left", "right"] {
        let disk = format!("data:/disks/{name}.vhd");
        accepted(&mut cli, &format!("disk create {disk} --size 16MiB"))?;
        create_linux(&mut cli, name, &disk)?;
        accepted(&mut cli, &format!("vm start {name}"))?;
    }
    for name in ["left", "right"] {
        cli.enter(name).with_context(|| format!("'{name}'"))?;
        cli.shell(&format!("echo I am {name} | dd of=/dev/sda conv=sync,fsync"), PATIENCE)?;
        cli.leave()?;
    }
    for name in ["left", "right"] {
        cli.enter(name)?;
        let says = cli.shell("head -n 1 /dev/sda", PATIENCE)?;
        ensure!(says.contains(&format!("I am {name}")), "the disk of '{name}' says: {says}");
        cli.leave()?;
        ensure!(cli.state(name)?.starts_with("running"), "'{name}' does not run");
    }
    Ok(())
}
