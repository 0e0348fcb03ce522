//! What is left of a guest's share beside guests that would keep it from it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use machine_tests::cli::Cli;
use machine_tests::kind::Kind;

use crate::machines::{Bulkhead, accepted};
use crate::shares::{TRIES, create, processors, watch};

/// The part of a processor that a guest has, in percent. Not the work that it counts: an emulated processor is the slower
/// the more others are busy.
fn part(cli: &mut Cli<'_>, name: &str) -> Result<f64> {
    watch(cli, &[name])?.first().copied().context("nothing")
}

pub fn hostile_neighbours_leave_a_guest_its_share(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    create(&mut cli, "worker", 1, "work", "")?;
    accepted(&mut cli, "vm start worker")?;
    let alone = part(&mut cli, "worker")?;
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
    let mut had = 0.0;
    for _ in 0..TRIES {
        had = part(&mut cli, "worker")? / alone / share;
        if had >= 0.9 {
            break;
        }
    }
    ensure!(had >= 0.9, "beside hostile guests one has {:.0} % of its share", had * 100.0);
    let answers = (0..TRIES).map(|_| {
        let start = Instant::now();
        cli.run("vm list").map(|_| start.elapsed())
    });
    let quickest = answers.collect::<Result<Vec<_>>>()?.into_iter().min().unwrap_or_default();
    ensure!(quickest < Duration::from_secs(1), "the command line answers after {quickest:?}");
    for (name, ..) in hostile {
        accepted(&mut cli, &format!("vm kill {name}"))?;
    }
    Ok(())
}
