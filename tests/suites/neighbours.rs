//! What is left of a guest's share beside guests that would keep it from it.

use anyhow::{Context, Result, ensure};
use machine_tests::cli::Cli;
use machine_tests::kind::Kind;

use crate::machines::{Bulkhead, accepted};
use crate::shares::{create, processors};
use crate::top::{answered_within, watch};

/// For how many seconds a guest alone is watched, and for how many beside others.
const ALONE: f64 = 5.0;
const BESIDE: f64 = 20.0;
/// Commands that must be answered, each within so many seconds.
const COMMANDS: u32 = 5;
const SOON: f64 = 1.0;

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
    let hostile = [
        ("spinner", 1, "spin"),
        ("interrupts", 4, "flood-interrupts 4"),
        ("hypercalls", 3, "flood-hypercalls 3"),
        ("resets", 1, "reset"),
    ];
    for (name, vps, command_line) in hostile {
        create(&mut cli, name, vps, command_line, "")?;
        accepted(&mut cli, &format!("vm start {name}"))?;
    }
    // Five VMs want a processor each, or all there are.
    let share = f64::from(processors(on)) / 5.0;
    let had = part(&mut cli, "worker", BESIDE)? / alone / share;
    ensure!(had >= 0.9, "beside hostile guests one has {:.0} % of its share", had * 100.0);
    for _ in 0..COMMANDS {
        let seconds = answered_within(&mut cli, "vm list")?;
        ensure!(seconds < SOON, "the command line answers after {seconds:.2} s");
    }
    for (name, ..) in hostile {
        accepted(&mut cli, &format!("vm kill {name}"))?;
    }
    Ok(())
}
