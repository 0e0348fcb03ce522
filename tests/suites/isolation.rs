//! What one VM does, or what is done to it, is nothing to its neighbour and to the host.

use std::time::Duration;

use anyhow::{Result, ensure};
use machine_tests::cli::{Cli, PATIENCE};
use machine_tests::kind::Kind;

use crate::machines::{Bulkhead, accepted, create_guest, expect_echo, expect_memory, free_memory};
use crate::shares::processors;

const LONG: Duration = Duration::from_secs(600);
const CYCLES: u32 = 200;
/// As many of them have more than half of the memory.
const LARGE_LIVES: u32 = 3;

pub fn a_hostile_guest_is_survived(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    create_guest(&mut cli, "neighbour", "echo")?;
    accepted(&mut cli, "vm start neighbour")?;
    expect_echo(&mut cli, "neighbour", "before")?;
    // The first time, heaps grow.
    live(&mut cli)?;
    let free = free_memory(&mut cli)?;
    create_guest(&mut cli, "hostile", "hostile 1")?;
    cli.0.type_line("vm start hostile --console")?;
    cli.0.expect("HOSTILE SURVIVED", LONG)?;
    cli.ready()?;
    expect_echo(&mut cli, "neighbour", "after")?;
    accepted(&mut cli, "vm delete hostile")?;
    expect_memory(&mut cli, free)
}

pub fn a_guest_that_spins_or_triple_faults_is_alone_with_it(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    create_guest(&mut cli, "neighbour", "echo")?;
    create_guest(&mut cli, "spinner", "spin")?;
    create_guest(&mut cli, "faulty", "triple-fault")?;
    accepted(&mut cli, "vm start neighbour")?;
    accepted(&mut cli, "vm start spinner")?;
    expect_echo(&mut cli, "neighbour", "beside a spinner")?;
    cli.run("vm start faulty")?;
    cli.wait_for_state("faulty", "off", PATIENCE)?;
    expect_echo(&mut cli, "neighbour", "beside a fault")?;
    ensure!(cli.state("spinner")?.starts_with("running"), "the spinner does not run");
    accepted(&mut cli, "vm kill spinner")?;
    cli.wait_for_state("spinner", "off", PATIENCE)
}

pub fn a_worker_that_crashes_takes_down_its_machine_only(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    create_guest(&mut cli, "neighbour", "echo")?;
    accepted(&mut cli, "vm start neighbour")?;
    create_guest(&mut cli, "victim", "echo")?;
    let mut free = None;
    // The first time, heaps grow.
    for _ in 0..2 {
        accepted(&mut cli, "vm start victim")?;
        cli.run("vm crash victim")?;
        cli.wait_for_state("victim", "off", PATIENCE)?;
        expect_echo(&mut cli, "neighbour", "still here")?;
        match free {
            Some(free) => expect_memory(&mut cli, free)?,
            None => free = Some(free_memory(&mut cli)?),
        }
    }
    accepted(&mut cli, "vm start victim")?;
    expect_echo(&mut cli, "victim", "here again")
}

pub fn a_worker_that_listens_to_nobody_is_killed(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    create_guest(&mut cli, "victim", "echo")?;
    // Alone on a processor nothing else interrupts it.
    accepted(&mut cli, &format!("vm set victim --affinity {}", processors(on) - 1))?;
    accepted(&mut cli, "vm start victim")?;
    expect_echo(&mut cli, "victim", "here")?;
    cli.run("vm spin victim")?;
    accepted(&mut cli, "vm kill victim")?;
    accepted(&mut cli, "vm start victim")?;
    expect_echo(&mut cli, "victim", "here again")
}

/// The whole life of a VM.
fn live(cli: &mut Cli<'_>) -> Result<()> {
    create_guest(cli, "brief", "spin")?;
    for command in ["vm start brief", "vm kill brief", "vm delete brief"] {
        accepted(cli, command)?;
    }
    Ok(())
}

pub fn two_hundred_lives_of_a_machine_lose_no_page(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    // Heaps grow once.
    for _ in 0..2 {
        live(&mut cli)?;
    }
    let free = free_memory(&mut cli)?;
    for _ in 0..CYCLES {
        live(&mut cli)?;
    }
    expect_memory(&mut cli, free)?;
    // One that needs most of it finds it as soon as its predecessor is off, on whatever processors that ran.
    let memory = free * 6 / 10 / 1024 / 2 * 2;
    let vps = processors(on);
    let kernel = "--kernel data:/kernels/test-guest --cmdline \"spin\"";
    accepted(&mut cli, &format!("vm create large --memory {memory}MiB --vps {vps} {kernel}"))?;
    for _ in 0..LARGE_LIVES {
        accepted(&mut cli, "vm start large")?;
        accepted(&mut cli, "vm kill large")?;
    }
    accepted(&mut cli, "vm delete large")?;
    expect_memory(&mut cli, free)
}
