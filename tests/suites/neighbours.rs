//! What is left of a guest's share beside guests that would keep it from it.

use anyhow::{Context, Result, ensure};
use machine_tests::cli::Cli;
use machine_tests::kind::Kind;
use serde_json::Value;

use crate::machines::{Bulkhead, accepted};
use crate::shares::{create, processors};
use crate::top::{answered_within, watch};

/// For how many seconds a guest alone is watched, and for how many beside others.
const ALONE: f64 = 5.0;
const BESIDE: f64 = 20.0;
/// The part of a processor that a guest alone has at least, in percent: what is left of a share is compared with that.
const WHOLE: f64 = 75.0;
/// Commands that must be answered, each within so many seconds.
const COMMANDS: u32 = 5;
const SOON: f64 = 1.0;
/// The disk of the guest that floods its own.
const DISK: &str = "data:/disks/flood.vhd";
/// What it reads at least, so that it is one.
const READS: u64 = 100;

/// The part of a processor that a guest has, in percent. Not the work that it counts: an emulated processor is the slower
/// the more others are busy.
fn part(cli: &mut Cli<'_>, name: &str, seconds: f64) -> Result<f64> {
    watch(cli, &[name], seconds)?.first().copied().context("nothing")
}

pub fn hostile_neighbours_leave_a_guest_its_share(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    create(&mut cli, "worker", 1, "work", "")?;
    accepted(&mut cli, "vm start worker")?;
    let alone = part(&mut cli, "worker", ALONE)?;
    ensure!(alone >= WHOLE, "alone one has {alone:.0} % of a processor");
    accepted(&mut cli, &format!("disk create {DISK} --size 1MiB"))?;
    let disk = format!("--disk {DISK}");
    let hostile = [
        ("spinner", 1, "spin", ""),
        ("interrupts", 4, "flood-interrupts 4", ""),
        ("hypercalls", 3, "flood-hypercalls 3", ""),
        ("disk", 2, "flood-disk", &disk),
        ("resets", 1, "reset", ""),
    ];
    for (name, vps, command_line, rest) in hostile {
        create(&mut cli, name, vps, command_line, rest)?;
        accepted(&mut cli, &format!("vm start {name}"))?;
    }
    // Six VMs want a processor each, or all there are.
    let share = f64::from(processors(on)) / 6.0;
    let had = part(&mut cli, "worker", BESIDE)? / alone / share;
    ensure!(had >= 0.9, "beside hostile guests one has {:.0} % of its share", had * 100.0);
    for _ in 0..COMMANDS {
        let seconds = answered_within(&mut cli, "vm list")?;
        ensure!(seconds < SOON, "the command line answers after {seconds:.2} s");
    }
    let stats: Value = serde_json::from_str(cli.run("vm stats disk --json")?.trim())?;
    ensure!(stats["disk_requests"].as_u64() >= Some(READS), "nobody floods a disk: {stats}");
    for (name, ..) in hostile {
        accepted(&mut cli, &format!("vm kill {name}"))?;
    }
    Ok(())
}
