//! The time that a guest's virtual processors see never goes back, whichever of them looks, and wherever it runs; and no
//! timer is missed by a guest that halts for it.

use anyhow::{Context, Result, ensure};
use machine_tests::cli::PATIENCE;
use machine_tests::kind::Kind;

use crate::machines::Bulkhead;
use crate::shares::create;

/// Virtual processors, on so many processors.
const VPS: u32 = 4;
const PROCESSORS: u32 = 2;
/// For how many seconds of the guest's they look, and how often at least.
const SECONDS: u64 = 60;
const READINGS: u64 = 10_000;

pub fn none_goes_back_for_a_minute(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot_to_wait(on, PROCESSORS)?;
    let mut cli = bulkhead.cli();
    create(&mut cli, "clocks", VPS, &format!("clocks {VPS} {SECONDS}"), "")?;
    cli.0.type_line("vm start clocks --console")?;
    cli.0.expect("READING", PATIENCE)?;
    cli.0.expect("CLOCKS ", 5 * PATIENCE)?;
    let line = cli.0.expect("\n", PATIENCE)?;
    // `60 s, 90000 readings, 20000 at least by each, 0 wrong of the TSC, 0 of the time`
    let numbers = line.split(", ").map(|part| part.split(' ').next()?.parse().ok());
    let numbers: Option<Vec<u64>> = numbers.collect();
    let [seconds, readings, least, tsc, time] =
        numbers.and_then(|numbers| numbers.try_into().ok()).with_context(|| format!("no figures: {line}"))?;
    ensure!(tsc == 0 && time == 0, "a clock went back: {line}");
    let each = READINGS / u64::from(VPS) / 2;
    ensure!(seconds >= SECONDS && readings >= READINGS && least >= each, "too little was looked at: {line}");
    cli.ready()?;
    Ok(())
}

pub fn a_timer_that_runs_out_around_sti_ends_the_halt_behind_it(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot_in_its_own_time(on, 1)?;
    let mut cli = bulkhead.cli();
    // Ticks, about half of the 100 ns in which the root arms its timer.
    let step = if on == Kind::Amd { 50 } else { 3 };
    create(&mut cli, "halts", 1, &format!("around-sti {step}"), "")?;
    cli.0.type_line("vm start halts --console")?;
    cli.0.expect("AROUND STI: ", PATIENCE)?;
    let line = cli.0.expect("\n", PATIENCE)?;
    ensure!(line.trim() == "0 wrong", "not behind HLT: {line}");
    cli.ready()?;
    Ok(())
}
