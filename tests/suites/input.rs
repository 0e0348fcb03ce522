//! Bad input gets one line that says what was wrong, and changes nothing.

use anyhow::{Result, ensure};
use machine_tests::kind::Kind;

use crate::machines::{Bulkhead, accepted, create_guest, expect_echo, expect_memory, free_memory};

/// Commands that are mistakes, and what the answer must name.
const MISTAKES: [(&str, &str); 12] = [
    ("frobnicate", "frobnicate"),
    ("vm", "vm"),
    ("vm fly demo", "fly"),
    ("vm start nobody", "nobody"),
    ("vm start", "NAME"),
    ("vm create demo --memory 64MiB --vps 1 --kernel data:/kernels/vmlinuz", "demo"),
    ("vm create lost --memory 64MiB --vps 1 --kernel data:/kernels/nothing", "data:/kernels/nothing"),
    ("vm create odd --memory 64 --vps none --kernel data:/kernels/vmlinuz", "none"),
    ("vm create odd --memory -5MiB --vps 1 --kernel data:/kernels/vmlinuz", "-5MiB"),
    ("disk create data:/disks/demo.vhd --size 1MiB", "data:/disks/demo.vhd"),
    ("disk create data:/disks/huge.raw --size 100TiB", "full"),
    ("file list data:/nowhere", "data:/nowhere"),
];

/// Kernels that are none.
const KERNELS: [&str; 4] = ["truncated", "random", "empty", "welcome"];

pub fn mistakes_get_one_line(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    let before = (cli.run("vm list")?, free_memory(&mut cli)?);
    for (command, why) in MISTAKES {
        cli.refused(command, why)?;
    }
    ensure!(cli.run("vm list")? == before.0, "the list changed");
    expect_memory(&mut cli, before.1)
}

pub fn a_file_that_is_no_kernel_is_refused(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    create_guest(&mut cli, "neighbour", "echo")?;
    accepted(&mut cli, "vm start neighbour")?;
    for kernel in KERNELS {
        accepted(
            &mut cli,
            &format!("vm create {kernel} --memory 64MiB --vps 1 --kernel data:/kernels/{kernel}"),
        )?;
    }
    let mut free = None;
    // The first time, heaps grow.
    for _ in 0..2 {
        for kernel in KERNELS {
            cli.refused(&format!("vm start {kernel}"), "kernel")?;
            ensure!(cli.state(kernel)? == "off", "'{kernel}' is not off");
        }
        match free {
            Some(free) => expect_memory(&mut cli, free)?,
            None => free = Some(free_memory(&mut cli)?),
        }
    }
    expect_echo(&mut cli, "neighbour", "all is well")
}

pub fn more_memory_than_there_is_is_refused(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    let free = free_memory(&mut cli)?;
    accepted(&mut cli, "vm create fat --memory 1024GiB --vps 1 --kernel data:/kernels/test-guest")?;
    let answer = cli.refused("vm start fat", "fat needs 1 TiB of memory, ")?;
    ensure!(answer.contains(" is free"), "it is not told how much there is: {answer}");
    ensure!(cli.state("fat")? == "off", "'fat' is not off");
    expect_memory(&mut cli, free)
}

pub fn malformed_definitions_are_named_with_their_line(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    for (name, why) in [("unknown-key", "colour"), ("negative-size", "-5"), ("not-toml", "line 2")] {
        ensure!(cli.state(name)? == "invalid", "'{name}' is not invalid");
        let answer = cli.refused(&format!("vm start {name}"), why)?;
        ensure!(answer.contains("line"), "no line is named: {answer}");
    }
    ensure!(cli.state("demo")? == "off", "the sample VM is gone");
    Ok(())
}

pub fn damaged_vhds_are_refused(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    let free = free_memory(&mut cli)?;
    for (disk, why) in [("bad-checksum", "checksum"), ("too-large", "size")] {
        let options = format!("--kernel data:/kernels/test-guest --disk data:/disks/{disk}.vhd");
        let made = cli.run(&format!("vm create {disk} --memory 64MiB --vps 1 {options}"))?;
        if made.contains("error") {
            ensure!(made.contains(why), "{made}");
            continue;
        }
        cli.refused(&format!("vm start {disk}"), why)?;
    }
    expect_memory(&mut cli, free)
}
