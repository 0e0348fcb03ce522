//! Many processors and much memory, more than the host has.

use anyhow::{Context, Result, ensure};
use machine_tests::cli::{Cli, PATIENCE};
use machine_tests::kind::Kind;
use machine_tests::qemu::Description;

use crate::machines::{Bulkhead, accepted, create_guest, expect_echo};

/// Processors that Bulkhead uses at most.
const PROCESSORS: u32 = 240;
/// MiB of memory: 256 GiB.
const MUCH: u64 = 256 << 10;

/// A VM runs, and the host shuts down.
fn goes_on(mut bulkhead: Bulkhead) -> Result<()> {
    create_guest(&mut bulkhead.cli(), "one", "echo")?;
    accepted(&mut bulkhead.cli(), "vm start one")?;
    expect_echo(&mut bulkhead.cli(), "one", "hello")?;
    bulkhead.shut_down()?;
    Ok(())
}

/// On every processor there is a root VP. Those that are too many are not forgotten silently.
pub fn processors_up_to_the_limit_start_and_the_others_are_counted() -> Result<()> {
    let mut bulkhead = Bulkhead::boot_as(Kind::Amd, |machine| machine.processors = PROCESSORS + 2)?;
    let boot = bulkhead.boot_log().to_owned();
    ensure!(boot.contains("| 240 processors |"), "not all start: {boot}");
    let line = "2 more processors are not used: there can be 240";
    ensure!(boot.contains(line), "nobody tells of the others: {boot}");
    let log = bulkhead.cli().run("host log")?;
    ensure!(log.contains("240 of 240 processors, started in"), "root VPs are missing: {log}");
    ensure!(bulkhead.cli().run("host info")?.contains("processors: 240 of 242, "));
    goes_on(bulkhead)
}

/// Memory that is there when it is touched: the host has less.
fn sparse(machine: &mut Description) {
    machine.memory = MUCH;
    let size = format!("memory-backend-ram,id=ram,reserve=off,size={MUCH}M");
    machine.extra = ["-machine", "memory-backend=ram", "-object", &size].map(Into::into).into();
}

/// The figure in KiB that `host info` tells behind `name`.
fn figure(info: &str, name: &str) -> Result<u64> {
    let line = info.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).with_context(|| format!("no {name} in {info}"))
}

/// What the hypervisor takes at the start grows with the memory, by a four-hundredth at most.
pub fn two_hundred_and_fifty_six_gibibytes_are_used() -> Result<()> {
    let mut bulkhead = Bulkhead::boot_as(Kind::Amd, sparse)?;
    let info = bulkhead.cli().run("host info")?;
    let (memory, free, taken) =
        (figure(&info, "memory")?, figure(&info, "memory free")?, figure(&info, "memory of the hypervisor")?);
    ensure!(memory > (MUCH - 1024) << 10, "some is missing: {info}");
    ensure!(free > memory / 100 * 99 && taken < memory / 400, "too much is taken: {info}");
    each_virtual_processor_comes_up(&mut bulkhead.cli())?;
    goes_on(bulkhead)
}

/// A VM has as many as there can be, and one more is refused. Others that only halt have taken the 2,048 event flags of the
/// root's first SINT before: what wakes up its processors comes through the next.
fn each_virtual_processor_comes_up(cli: &mut Cli<'_>) -> Result<()> {
    let create = |name: &str, vps, command_line| {
        let rest = format!("--kernel data:/kernels/test-guest --cmdline \"{command_line}\"");
        format!("vm create {name} --memory 4MiB --vps {vps} {rest}")
    };
    let refused = cli.run(&create("many", 241, "many 240"))?;
    ensure!(refused.contains("a VM has 1 to 240 virtual processors, not 241"), "it is not: {refused}");
    accepted(cli, &create("many", 240, "many 240"))?;
    for number in 0..2048 / 240 {
        accepted(cli, &create(&format!("idle{number}"), 240, "idle"))?;
        accepted(cli, &format!("vm start idle{number}"))?;
    }
    cli.0.type_line("vm start many --console")?;
    cli.0.expect("RUNNING 240", PATIENCE).context("some do not come up")?;
    cli.ready()?;
    Ok(())
}
