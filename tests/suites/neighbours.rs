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

/// A guest: its name, its virtual processors, its command line, and the rest of its definition.
type Guest = (&'static str, u32, &'static str, &'static str);

const FLOODS: [Guest; 4] = [
    ("spinner", 1, "spin", ""),
    ("interrupts", 4, "flood-interrupts 4", ""),
    ("hypercalls", 3, "flood-hypercalls 3", ""),
    ("resets", 1, "reset", ""),
];
/// The one that floods its disk is watched for what it does to others of which each wants all that it can have.
const DISK_FLOOD: [Guest; 3] = [
    ("busy", 2, "work 2", ""),
    ("busier", 1, "spin", ""),
    ("disk", 2, "flood-disk", "--disk data:/disks/flood.vhd"),
];

pub fn hostile_neighbours_leave_a_guest_its_share(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    create(&mut cli, "worker", 1, "work", "")?;
    accepted(&mut cli, "vm start worker")?;
    let alone = part(&mut cli, "worker", ALONE)?;
    ensure!(alone >= WHOLE, "alone one has {alone:.0} % of a processor");
    beside(&mut cli, on, alone, &FLOODS, |_| Ok(()))?;
    accepted(&mut cli, &format!("disk create {DISK} --size 1MiB"))?;
    beside(&mut cli, on, alone, &DISK_FLOOD, |cli| {
        let stats: Value = serde_json::from_str(cli.run("vm stats disk --json")?.trim())?;
        ensure!(stats["disk_requests"].as_u64() >= Some(READS), "nobody floods a disk: {stats}");
        Ok(())
    })
}

/// Watches the guest that has this part of a processor alone beside others, then looks at those.
fn beside(
    cli: &mut Cli<'_>,
    on: Kind,
    alone: f64,
    others: &[Guest],
    look: impl FnOnce(&mut Cli<'_>) -> Result<()>,
) -> Result<()> {
    for (name, vps, command_line, rest) in others {
        create(cli, name, *vps, command_line, rest)?;
        accepted(cli, &format!("vm start {name}"))?;
    }
    // All of them want a processor each, or all there are.
    let share = f64::from(processors(on)) / (others.len() + 1) as f64;
    let had = part(cli, "worker", BESIDE)? / alone / share;
    let names: Vec<&str> = others.iter().map(|guest| guest.0).collect();
    ensure!(had >= 0.9, "beside {names:?} one has {:.0} % of its share", had * 100.0);
    for _ in 0..COMMANDS {
        let seconds = answered_within(cli, "vm list")?;
        ensure!(seconds < SOON, "the command line answers after {seconds:.2} s");
    }
    look(cli)?;
    names.iter().try_for_each(|name| accepted(cli, &format!("vm kill {name}")))
}
