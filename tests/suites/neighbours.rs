//! What is left of a guest's share beside guests that would keep it from it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use machine_tests::cli::{Cli, PATIENCE};
use machine_tests::kind::Kind;

use crate::machines::{Bulkhead, accepted};
use crate::shares::{TRIES, WINDOW, create, processors};

/// The work that a guest has counted.
fn work(cli: &mut Cli<'_>, name: &str) -> Result<f64> {
    cli.attach(name)?;
    cli.0.send(b"\r")?;
    cli.0.expect("WORK ", PATIENCE).with_context(|| format!("'{name}' does not answer"))?;
    let number = cli.0.expect("\n", PATIENCE)?;
    cli.leave()?;
    number.trim().parse().with_context(|| format!("no number: {number}"))
}

/// What a guest counts in a second.
fn pace(cli: &mut Cli<'_>, name: &str) -> Result<f64> {
    let (start, before) = (Instant::now(), work(cli, name)?);
    sleep(WINDOW);
    let after = work(cli, name)?;
    Ok((after - before) / start.elapsed().as_secs_f64())
}

pub fn hostile_neighbours_leave_a_guest_its_share(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    create(&mut cli, "worker", 1, "work", "")?;
    accepted(&mut cli, "vm start worker")?;
    let alone = pace(&mut cli, "worker")?;
    let hostile = [
        ("spinner", 1, "spin"),
        ("interrupts", 4, "flood-interrupts 4"),
        ("hypercalls", 1, "flood-hypercalls"),
        ("resets", 1, "reset"),
    ];
    for (name, vps, command_line) in hostile {
        create(&mut cli, name, vps, command_line, "")?;
        accepted(&mut cli, &format!("vm start {name}"))?;
    }
    // Five VMs want a processor each, or all there are.
    let share = f64::from(processors(on)) / 5.0;
    let mut part = 0.0;
    for _ in 0..TRIES {
        part = pace(&mut cli, "worker")? / alone / share;
        if part >= 0.9 {
            break;
        }
    }
    ensure!(part >= 0.9, "beside hostile guests one has {:.0} % of its share", part * 100.0);
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
