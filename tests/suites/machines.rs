//! The machines that the suites use.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use machine_tests::artifacts::Artifacts;
use machine_tests::cli::{Cli, PATIENCE};
use machine_tests::machine::Machine;
use machine_tests::qemu::{Boot, Bus, Description, Disk, Serial};
use tempfile::TempDir;

/// The image that the suites share; what a test writes is on top of it.
pub const IMAGE: &str = "test.img";

/// A machine with Bulkhead on a disk of its own, at the prompt.
pub struct Bulkhead {
    machine: Machine,
    artifacts: Artifacts,
    folder: TempDir,
    bus: Bus,
}

impl Bulkhead {
    /// Boots it the quick way, its disk on an NVMe controller.
    pub fn boot() -> Result<Self> {
        Self::boot_from(Bus::Nvme)
    }

    /// The same with the disk on another bus.
    pub fn boot_from(bus: Bus) -> Result<Self> {
        let artifacts = Artifacts::find()?;
        let folder = tempfile::tempdir().context("no temporary folder")?;
        artifacts.own_disk(IMAGE, folder.path())?;
        let machine = Self::start(&artifacts, &folder, bus)?;
        Ok(Self { machine, artifacts, folder, bus })
    }

    /// Its command line.
    pub fn cli(&mut self) -> Cli<'_> {
        Cli(self.machine.console())
    }

    /// Shuts the host down by command; its disk stays.
    pub fn shut_down(mut self) -> Result<Off> {
        self.cli().0.type_line("host shutdown")?;
        self.machine.wait_for_power_off(PATIENCE)?;
        Ok(Off { artifacts: self.artifacts, folder: self.folder, bus: self.bus })
    }

    /// Cuts the power; its disk stays.
    pub fn cut_power(self) -> Result<Off> {
        self.machine.cut_power()?;
        Ok(Off { artifacts: self.artifacts, folder: self.folder, bus: self.bus })
    }

    fn start(artifacts: &Artifacts, folder: &TempDir, bus: Bus) -> Result<Machine> {
        let file = folder.path().join("disk.qcow2");
        let mut description = Description::new(artifacts.pvh(""), Serial::Pipes);
        description.disks = vec![Disk { file, format: "qcow2", bus, throwaway: false }];
        let mut machine = Machine::start(description)?;
        Cli(machine.console()).ready()?;
        Ok(machine)
    }
}

/// A machine that is off.
pub struct Off {
    artifacts: Artifacts,
    folder: TempDir,
    bus: Bus,
}

impl Off {
    /// Boots it again.
    pub fn boot(self) -> Result<Bulkhead> {
        let machine = Bulkhead::start(&self.artifacts, &self.folder, self.bus)?;
        Ok(Bulkhead { machine, artifacts: self.artifacts, folder: self.folder, bus: self.bus })
    }

    /// Its disk as a raw image.
    pub fn raw_disk(&self) -> Result<std::path::PathBuf> {
        let raw = self.folder.path().join("disk.raw");
        let mut command = std::process::Command::new("qemu-img");
        command.args(["convert", "-O", "raw"]).arg(self.folder.path().join("disk.qcow2")).arg(&raw);
        let status = command.status().context("qemu-img: can not be started")?;
        if !status.success() {
            bail!("qemu-img failed ({status})");
        }
        Ok(raw)
    }
}

/// Creates a VM that runs the test guest with a command line.
pub fn create_guest(cli: &mut Cli<'_>, name: &str, command_line: &str) -> Result<()> {
    let kernel = "--kernel data:/kernels/test-guest";
    accepted(cli, &format!("vm create {name} --memory 32MiB --vps 1 {kernel} --cmdline \"{command_line}\""))
}

/// Creates a quiet Linux VM with one disk.
pub fn create_linux(cli: &mut Cli<'_>, name: &str, disk: &str) -> Result<()> {
    let files = "--kernel data:/kernels/vmlinuz --initrd data:/kernels/initrd";
    let rest = format!("--cmdline \"console=ttyS0 quiet\" --disk {disk}");
    accepted(cli, &format!("vm create {name} --memory 256MiB --vps 1 {files} {rest}"))
}

/// Gives a command that must be carried out.
pub fn accepted(cli: &mut Cli<'_>, command: &str) -> Result<()> {
    let answer = cli.run(command)?;
    if answer.contains("error") {
        bail!("'{command}' was refused: {answer}");
    }
    Ok(())
}

/// The free memory that `host info` tells, in KiB.
pub fn free_memory(cli: &mut Cli<'_>) -> Result<u64> {
    let info = cli.run("host info")?;
    let line = info.lines().find_map(|line| line.trim().strip_prefix("memory free:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).with_context(|| format!("no free memory in: {info}"))
}

/// Waits until as much memory is free as before, for as long as what was ended may take to be taken down.
pub fn expect_memory_back(cli: &mut Cli<'_>, before: u64) -> Result<()> {
    let mut now = 0;
    for _ in 0..20 {
        now = free_memory(cli)?;
        if now == before {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    bail!("{before} KiB were free before, {now} KiB are now")
}

/// Checks that an echo guest answers.
pub fn expect_echo(cli: &mut Cli<'_>, name: &str, text: &str) -> Result<()> {
    cli.attach(name)?;
    cli.0.type_line(text)?;
    cli.0.expect(&format!("echo: {text}"), PATIENCE).with_context(|| format!("'{name}' does not answer"))?;
    cli.leave()
}

/// A machine that boots from firmware, with these disks.
pub fn firmware_machine(disks: Vec<Disk>) -> Result<Machine> {
    let mut description = Description::new(Boot::Uefi, Serial::Pipes);
    description.disks = disks;
    Machine::start(description)
}
