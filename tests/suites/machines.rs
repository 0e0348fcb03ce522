//! The machines that the suites use.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use machine_tests::artifacts::Artifacts;
use machine_tests::bochs;
use machine_tests::cli::{Cli, PATIENCE};
use machine_tests::kind::Kind;
use machine_tests::machine::Machine;
use machine_tests::qemu::{Boot, Bus, Description, Disk, Serial};
use tempfile::TempDir;

/// The image that the suites share; what a test writes is on top of it.
pub const IMAGE: &str = "test.img";
/// Where the data volume is in it.
const DATA: &str = "?offset=68157440";
/// The CD that starts Bulkhead at once, and the one that starts the root kernel on the bare machine.
pub const CD: &str = "test.iso";
pub const BARE_CD: &str = "bare.iso";
/// The CD for people.
pub const PEOPLE_CD: &str = "bulkhead.iso";
/// The folder of the TFTP server, with the same menu.
pub const TFTP: &str = "tftp";

/// Instructions a second where little is to be done in much time: more than the ten million units of reference time.
const SLOW: u32 = 12_000_000;

/// Where a machine is, and what its disk is connected to.
#[derive(Clone, Copy)]
enum Place {
    Qemu(Bus),
    /// With this model of a processor, and an IDE disk.
    Bochs(&'static str),
}

impl Place {
    /// Where machines of a kind are, with the disk that they have there.
    fn of(kind: Kind) -> Self {
        kind.bochs_model().map_or(Self::Qemu(Bus::Nvme), Self::Bochs)
    }
}

/// A machine with Bulkhead on a disk of its own, at the prompt.
pub struct Bulkhead {
    machine: Machine,
    off: Off,
    /// What it said before the first prompt.
    boot_log: String,
}

impl Bulkhead {
    /// Boots it the quick way.
    pub fn boot(kind: Kind) -> Result<Self> {
        Self::boot_as(kind, |_| ())
    }

    /// The same; QEMU's machine is as `adjust` has it.
    pub fn boot_as(kind: Kind, adjust: fn(&mut Description)) -> Result<Self> {
        Off { adjust, ..Off::new(Place::of(kind))? }.boot()
    }

    /// Boots it with so many processors.
    pub fn boot_with_processors(kind: Kind, processors: u32) -> Result<Self> {
        Off { processors: Some(processors), ..Off::new(Place::of(kind))? }.boot()
    }

    /// The same; in QEMU time goes with what the machine runs, as it does in Bochs, whatever else the host does meanwhile.
    pub fn boot_in_its_own_time(kind: Kind, processors: u32) -> Result<Self> {
        let adjust = |machine: &mut Description| machine.count_time();
        Off { processors: Some(processors), adjust, ..Off::new(Place::of(kind))? }.boot()
    }

    /// Boots it with so many processors; in Bochs a second has few instructions, so that waiting takes less of the host's.
    pub fn boot_to_wait(kind: Kind, processors: u32) -> Result<Self> {
        Off { processors: Some(processors), speed: Some(SLOW), ..Off::new(Place::of(kind))? }.boot()
    }

    /// The same as [`Self::boot_with_processors`], with so many MiB of memory in Bochs, whose machine has less than QEMU's.
    pub fn boot_with_processors_and_memory(kind: Kind, processors: u32, memory: u64) -> Result<Self> {
        Off { processors: Some(processors), memory: Some(memory), ..Off::new(Place::of(kind))? }.boot()
    }

    /// Boots it in Bochs with another processor.
    pub fn boot_model(model: &'static str) -> Result<Self> {
        Off::new(Place::Bochs(model))?.boot()
    }

    /// Boots it in QEMU with the disk on another bus.
    pub fn boot_from(bus: Bus) -> Result<Self> {
        Self::boot_with(bus, "")
    }

    /// The same; the machine is otherwise as `adjust` has it.
    pub fn boot_from_as(bus: Bus, adjust: fn(&mut Description)) -> Result<Self> {
        Off { adjust, ..Off::new(Place::Qemu(bus))? }.boot()
    }

    /// With a boot command line.
    pub fn boot_with(bus: Bus, command_line: &'static str) -> Result<Self> {
        Off { command_line, ..Off::new(Place::Qemu(bus))? }.boot()
    }

    /// What it said on the console before the first prompt.
    pub fn boot_log(&self) -> &str {
        &self.boot_log
    }

    /// Its command line.
    pub fn cli(&mut self) -> Cli<'_> {
        Cli(self.machine.console())
    }

    /// In QEMU: its disk moves so many bytes a second from now on; 0: as many as it can.
    pub fn limit_disk(&self, bytes: u64) -> Result<()> {
        self.machine.limit_disk(bytes)
    }

    /// Shuts the host down by command; its disk stays.
    pub fn shut_down(mut self) -> Result<Off> {
        self.cli().0.type_line("host shutdown")?;
        self.machine.wait_for_power_off(PATIENCE)?;
        Ok(self.off)
    }

    /// Cuts the power; its disk stays.
    pub fn cut_power(self) -> Result<Off> {
        self.machine.cut_power()?;
        Ok(self.off)
    }
}

/// A machine that is off.
pub struct Off {
    artifacts: Artifacts,
    folder: TempDir,
    disk: PathBuf,
    place: Place,
    /// In QEMU.
    command_line: &'static str,
    /// In QEMU.
    adjust: fn(&mut Description),
    /// If other than the machine's usual number.
    processors: Option<u32>,
    /// In Bochs.
    memory: Option<u64>,
    /// In Bochs, if other than the usual.
    speed: Option<u32>,
}

impl Off {
    fn new(place: Place) -> Result<Self> {
        let artifacts = Artifacts::find()?;
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let disk = match place {
            Place::Qemu(_) => artifacts.own_disk(IMAGE, folder.path())?,
            Place::Bochs(_) => artifacts.own_copy(IMAGE, folder.path())?,
        };
        let adjust = |_: &mut Description| ();
        Ok(Self {
            artifacts,
            folder,
            disk,
            place,
            command_line: "",
            adjust,
            processors: None,
            memory: None,
            speed: None,
        })
    }

    /// Boots it.
    pub fn boot(self) -> Result<Bulkhead> {
        let file = self.disk.clone();
        let mut machine = match self.place {
            Place::Qemu(bus) => {
                let mut description = Description::new(self.artifacts.pvh(self.command_line), Serial::Pipes);
                description.disks = vec![Disk { file, format: "qcow2", bus, throwaway: false }];
                description.processors = self.processors.unwrap_or(description.processors);
                if bus == Bus::Ide {
                    // Such a controller reaches 4 GiB, so let there be more.
                    description.memory = 6 << 10;
                }
                (self.adjust)(&mut description);
                Machine::start(description)?
            }
            Place::Bochs(model) => {
                let mut description = bochs::Description::new(bochs::Boot::Cd(self.artifacts.file(CD)));
                description.model = model.to_owned();
                description.processors = self.processors.unwrap_or(description.processors);
                description.memory = self.memory.unwrap_or(description.memory);
                description.speed = self.speed.unwrap_or(description.speed);
                description.disk = Some(bochs::Disk { file, throwaway: false });
                Machine::start_bochs(&description)?
            }
        };
        let boot_log = Cli(machine.console()).ready()?;
        Ok(Bulkhead { machine, off: self, boot_log })
    }

    /// Checks that the data volume is sound.
    pub fn check_data_volume(&self) -> Result<()> {
        let raw = match self.place {
            Place::Qemu(_) => self.raw_copy()?,
            Place::Bochs(_) => self.disk.clone(),
        };
        let mut command = Command::new("e2fsck");
        let check = command.arg("-fn").arg(format!("{}{DATA}", raw.display())).output()?;
        if raw != self.disk {
            std::fs::remove_file(raw)?;
        }
        match check.status.success() {
            true => Ok(()),
            false => bail!("the data volume is damaged: {}", String::from_utf8_lossy(&check.stdout)),
        }
    }

    /// A copy of its disk as a raw image.
    fn raw_copy(&self) -> Result<PathBuf> {
        let raw = self.folder.path().join("disk.raw");
        let mut command = Command::new("qemu-img");
        command.args(["convert", "-O", "raw"]).arg(&self.disk).arg(&raw);
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
    create_linux_with(cli, name, disk, 1)
}

/// The same with so many processors.
pub fn create_linux_with(cli: &mut Cli<'_>, name: &str, disk: &str, vps: u32) -> Result<()> {
    let files = "--kernel data:/kernels/vmlinuz --initrd data:/kernels/initrd";
    let rest = format!("--cmdline \"console=ttyS0 quiet cryptomgr.notests\" --disk {disk}");
    accepted(cli, &format!("vm create {name} --memory 256MiB --vps {vps} {files} {rest}"))
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

/// Checks that as much memory is free as before: a VM that is off has given all of it back.
pub fn expect_memory(cli: &mut Cli<'_>, before: u64) -> Result<()> {
    let now = free_memory(cli)?;
    ensure!(now == before, "{before} KiB were free before, {now} KiB are now");
    Ok(())
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
