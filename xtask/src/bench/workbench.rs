//! The machine that is measured: programs, plugin, image, and QEMU's deterministic mode, or Bochs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use machine_tests::bochs;
use machine_tests::kind::Kind;
use machine_tests::machine::Machine;
use machine_tests::qemu::{Boot, Description, Disk, Serial, TCG};

use super::counts::Snapshots;
use crate::archive::{Archive, Entry};
use crate::build::Parts;
use crate::grub::Menu;
use crate::image::Image;
use crate::iso;
use crate::paths::{self, Paths};
use crate::sample::Sample;
use crate::step;

/// VMs that run the test guest: name, virtual processors, command line.
const TEST_GUESTS: [(&str, u32, &str); 3] =
    [("exits", 1, "bench"), ("turns", 2, "bench-turns"), ("vps", 4, "bench-vps")];
/// A quiet Linux with the disk program.
const DISK: &str = "memory = \"256 MiB\"\nvps = 1\nkernel = \"data:/kernels/vmlinuz\"\n\
    initrd = \"data:/kernels/initrd-bench\"\ncmdline = \"console=ttyS0 quiet\"\n\
    [[disk]]\npath = \"data:/disks/demo.vhd\"\n";
/// The same for parallel work.
const WORK: [(&str, u32); 3] = [("work-1", 1), ("work-2", 2), ("work-4", 4)];
/// The command line of a Linux on the bare machine.
const LINUX: &str = "console=ttyS0 quiet";
/// Memory of the machine, in MiB.
const MEMORY: u64 = 1024;
/// The size of the data volume.
const DATA: u64 = 512 << 20;

/// Everything that a measurement needs.
pub struct Workbench {
    folder: PathBuf,
    boot: Boot,
    /// Linux, on the bare machine.
    linux: Boot,
    kind: Kind,
}

impl Workbench {
    /// Compiles the programs and writes the image.
    pub fn prepare(paths: &Paths, parts: &Parts, kind: Kind) -> Result<Self> {
        let folder = paths.folder("bench")?;
        let tests = paths.root.join("tests");
        compile(&tests.join("plugin/count.c"), &folder.join("count.so"), &["-shared", "-fPIC"])?;
        let mut archive = Archive::default();
        for name in ["mark", "disk", "work"] {
            let program = folder.join(name);
            compile(&tests.join(format!("programs/{name}.c")), &program, &["-static", "-s"])?;
            archive.add(&format!("usr/bin/{name}"), &Entry::File(paths::read(&program)?, true));
        }
        // Linux unpacks archives that follow each other; a later file takes the place of an earlier one.
        let rc = Sample::first_script().replacen('\n', "\n/usr/bin/mark 1\n", 1);
        archive.add("etc/rc", &Entry::File(rc.into_bytes(), true));
        let sample = Sample::prepare(paths)?;
        let mut initrd = paths::read(&sample.initrd)?;
        initrd.extend(archive.finish());
        paths::write(&folder.join("initrd"), initrd)?;
        step::say("Writing", folder.join("bench.img").display());
        let image = Image::create(&folder.join("bench.img"), parts, &sample, DATA)?;
        image.data().put(&parts.test_guest(), "/kernels/test-guest")?;
        image.data().put(&folder.join("initrd"), "/kernels/initrd-bench")?;
        let guests = TEST_GUESTS.map(|(name, vps, does)| (name, test_guest(vps, does)));
        let work = WORK.map(|(name, vps)| (name, DISK.replace("vps = 1", &format!("vps = {vps}"))));
        for (name, definition) in guests.into_iter().chain(work).chain([("disk", DISK.to_owned())]) {
            let file = folder.join(format!("{name}.toml"));
            paths::write(&file, definition)?;
            image.data().put(&file, &format!("/vms/{name}/{name}.toml"))?;
        }
        let initrd = folder.join("initrd");
        if kind != Kind::Amd {
            iso::write_linux(paths, &folder.join("linux.iso"), &sample.kernel, &initrd, LINUX)?;
        }
        let linux =
            Boot::Pvh { kernel: sample.kernel.clone(), module: Some(initrd), command_line: LINUX.to_owned() };
        let boot = Boot::Pvh {
            kernel: parts.bios_loader(),
            module: Some(parts.archive()),
            command_line: String::new(),
        };
        iso::write(paths, &folder.join("bench.iso"), parts, &parts.archive(), &Menu::AtOnce(""))?;
        Ok(Self { folder, boot, linux, kind })
    }

    /// Starts a machine whose instructions are counted; who executed them, on one with one processor only.
    pub fn start(&self, processors: u32) -> Result<Machine> {
        self.start_with_memory(processors, MEMORY)
    }

    /// The same, with this much memory, in MiB.
    pub fn start_with_memory(&self, processors: u32, memory: u64) -> Result<Machine> {
        if let Some(model) = self.kind.bochs_model() {
            let mut machine = self.bochs(model, "bench.iso");
            machine.processors = processors;
            machine.memory = memory;
            return Machine::start_bochs(&machine);
        }
        self.start_qemu(self.boot.clone(), processors, memory)
    }

    /// Starts a machine with one processor without Bulkhead.
    pub fn start_linux(&self) -> Result<Machine> {
        if let Some(model) = self.kind.bochs_model() {
            let mut machine = self.bochs(model, "linux.iso");
            // Linux reads registers of its processor that Bochs does not have.
            machine.extra = vec!["cpu: ignore_bad_msrs=1".to_owned()];
            return Machine::start_bochs(&machine);
        }
        self.start_qemu(self.linux.clone(), 1, MEMORY)
    }

    /// Ticks of the time stamp counter in 100 ns.
    pub fn ticks_in_100_ns(&self) -> u64 {
        /// 100 ns in a second.
        const SECOND: u64 = 10_000_000;
        // QEMU counts a nanosecond an instruction.
        if self.kind == Kind::Amd { 100 } else { u64::from(bochs::SPEED) / SECOND }
    }

    /// Which machine it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A machine in Bochs that boots from a CD.
    fn bochs(&self, model: &str, cd: &str) -> bochs::Description {
        let mut machine = bochs::Description::new(bochs::Boot::Cd(self.folder.join(cd)));
        machine.model = model.to_owned();
        machine.memory = MEMORY;
        machine.disk = Some(bochs::Disk { file: self.folder.join("bench.img"), throwaway: true });
        machine
    }

    fn start_qemu(&self, boot: Boot, processors: u32, memory: u64) -> Result<Machine> {
        let mut disk = Disk::nvme(&self.folder.join("bench.img"));
        disk.throwaway = true;
        let mut machine = Description::new(boot, Serial::Pipes);
        machine.memory = memory;
        machine.processors = processors;
        machine.disks = vec![disk];
        machine.acceleration =
            ["-accel", TCG, "-icount", "shift=0,sleep=off", "-rtc", "clock=vm", "-seed", "42"]
                .map(OsString::from)
                .to_vec();
        let plugin = format!("{},out={}", self.folder.join("count.so").display(), self.output().display());
        machine.extra = vec!["-plugin".into(), plugin.into()];
        Machine::start(machine)
    }

    /// What was counted; asked when the machine has ended. Nothing in Bochs.
    pub fn snapshots(&self) -> Result<Option<Snapshots>> {
        (self.kind == Kind::Amd).then(|| Snapshots::read(&self.output())).transpose()
    }

    fn output(&self) -> PathBuf {
        self.folder.join("counts.txt")
    }
}

/// The definition of a VM that runs the test guest.
fn test_guest(vps: u32, command_line: &str) -> String {
    format!(
        "memory = \"64 MiB\"\nvps = {vps}\nkernel = \"data:/kernels/test-guest\"\ncmdline = \"{command_line}\"\n"
    )
}

fn compile(source: &Path, to: &Path, options: &[&str]) -> Result<()> {
    let mut command = Command::new("cc");
    command.args(["-O2", "-Wall", "-o"]).arg(to).args(options).arg(source);
    step::quietly(&mut command)?;
    Ok(())
}
