//! What a person sees: `cargo xtask run`, a stock Linux guest, what it wrote, and the way out.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use machine_tests::artifacts::Artifacts;
use machine_tests::cli::{Cli, PATIENCE};
use machine_tests::console::Console;
use machine_tests::kind::Kind;
use machine_tests::machine::wait;

/// What Linux's log must have, in this order.
const LOG: [&str; 4] =
    ["Linux version 6.1", "Hypervisor detected: Microsoft Hyper-V", "Vmbus version:5.3", "[sda]"];
const WRITTEN: &str = "written by the first run";

pub fn a_guest_keeps_what_it_wrote(on: Kind) -> Result<()> {
    // Fails early where nothing is built.
    Artifacts::find()?;
    let folder = tempfile::tempdir()?;
    let mut command = Command::new("cargo");
    command.args(["xtask", "run", "--machine", on.name(), "--accel", "none", "--timeout", "1200"]);
    command.args(["--data-size", "256M", "--disk"]).arg(folder.path().join("story.img"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cargo: can not be started")?;
    let output = child.stdout.take().context("no output")?;
    let input = child.stdin.take().context("no input")?;
    let mut console = Console::new(output, input);
    let told = tell(&mut Cli(&mut console), on);
    if told.is_err() {
        // Its input ends, it is told nothing more, and its time-out would be long.
        child.kill()?;
    }
    told?;
    let status = wait(&mut child, PATIENCE)?.context("cargo xtask run does not end")?;
    ensure!(status.success(), "cargo xtask run: {status}; {}", console.end());
    Ok(())
}

fn tell(cli: &mut Cli<'_>, on: Kind) -> Result<()> {
    cli.0.expect(on.described(), Duration::from_secs(600))?;
    cli.ready()?;
    let list = cli.listed("demo")?;
    ensure!(
        list == ["demo", "off", "1", "256", "MiB", "-", "data:/disks/demo.vhd"],
        "listed otherwise: {list:?}"
    );
    let log = cli.start_linux("demo")?;
    let mut rest = log.as_str();
    for line in LOG {
        let at = rest.find(line).with_context(|| format!("'{line}' is not where it should be in: {log}"))?;
        rest = &rest[at..];
    }
    let welcome = cli.shell("mount /dev/sda /mnt && cat /mnt/welcome.txt", PATIENCE)?;
    ensure!(welcome.contains("Welcome to Bulkhead"), "the disk says: {welcome}");
    cli.shell(&format!("echo {WRITTEN} >/mnt/note"), PATIENCE)?;
    cli.power_off()?;
    ensure!(cli.state("demo")? == "off", "the VM is not off");
    cli.start_linux("demo")?;
    let note = cli.shell("mount /dev/sda /mnt && cat /mnt/note", PATIENCE)?;
    ensure!(note.contains(WRITTEN), "the note says: {note}");
    cli.leave()?;
    ensure!(cli.state("demo")?.starts_with("running"), "the VM does not run");
    // Graceful: the guest unmounts and powers off by itself.
    cli.run("vm stop demo")?;
    cli.wait_for_state("demo", "off", PATIENCE)?;
    cli.0.type_line("host shutdown")
}
