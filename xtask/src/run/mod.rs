//! `cargo xtask run`: Bulkhead in an emulated machine, its console on this terminal or on pipes.

mod bochs;
mod disk;
mod qemu;
mod terminal;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use machine_tests::bochs::{INTEL, RYZEN};
use machine_tests::machine::End;
use machine_tests::qemu::Acceleration;

use crate::build::{self, Profile};
use crate::kind::Machine;
use crate::paths::Paths;
use crate::{host, size};
use disk::{Addition, parse_addition};

/// What the machine is to be.
#[derive(Args)]
pub struct Options {
    /// The machine.
    #[arg(long, default_value = "amd")]
    machine: Machine,
    /// Whether the host's own virtualization is used, when it can be nested.
    #[arg(long, default_value = "auto")]
    accel: Accel,
    /// Memory of the machine; 2G by default, 1G in Bochs.
    #[arg(long, value_parser = size::parse)]
    memory: Option<u64>,
    /// Processors of the machine; 2 by default, 1 in Bochs.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=255))]
    cpus: Option<u32>,
    /// Puts a file of the host on the data volume first.
    #[arg(long, value_name = "HOSTFILE=data:/PATH", value_parser = parse_addition)]
    add: Vec<Addition>,
    /// One more argument for QEMU.
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    qemu_arg: Vec<OsString>,
    /// One more line of configuration for Bochs.
    #[arg(long, value_name = "LINE")]
    bochs_line: Vec<String>,
    /// Leaves Bochs' messages, with its lesser ones, in a file.
    #[arg(long, value_name = "FILE")]
    bochs_log: Option<PathBuf>,
    /// Ends the machine after this time.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// The machine's disk, made when it is not there; by default one under target/ that every run uses.
    #[arg(long, value_name = "FILE")]
    disk: Option<PathBuf>,
    /// Begins with a new disk, in place of the one that earlier runs wrote to.
    #[arg(long)]
    fresh: bool,
    /// Skips QEMU's firmware and starts the loader at once (a development aid: it boots in a fraction of a second).
    #[arg(long)]
    pvh: bool,
    /// In Bochs: starts from the disk with UEFI firmware, which takes longer, and not from a CD with BIOS.
    #[arg(long, conflicts_with_all = ["bare", "append"])]
    uefi: bool,
    /// With --pvh or in Bochs: leaves the hypervisor out, so that the root kernel runs on the bare machine.
    #[arg(long)]
    bare: bool,
    /// With --pvh or in Bochs: the command line.
    #[arg(long, default_value = "")]
    append: String,
    /// The cargo profile of the bare-metal parts; `fast` builds quicker.
    #[arg(long, default_value = "release")]
    profile: Profile,
    /// The size of the data volume of a new disk.
    #[arg(long, default_value = "1G", value_parser = size::parse)]
    data_size: u64,
}

/// Whether the host's processor is used.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Accel {
    /// Where it can be.
    Auto,
    /// It must be.
    Kvm,
    /// It is not: everything is emulated.
    None,
}

/// Which program is the machine.
enum Emulator {
    Qemu(Option<Acceleration>),
    Bochs(&'static str),
}

/// Builds, boots, and waits for the end; 0 when the machine powered off by itself.
pub fn run(paths: &Paths, options: &Options) -> Result<ExitCode> {
    let emulator = options.emulator()?;
    let needs = match emulator {
        Emulator::Qemu(_) => &[host::BUILD, host::IMAGE, host::RUN][..],
        Emulator::Bochs(_) => &[host::BUILD, host::IMAGE, host::ISO, host::BOCHS],
    };
    host::require(needs)?;
    let parts = build::everything(paths, &options.profile)?;
    let disk = disk::prepare(paths, &parts, options)?;
    let end = match emulator {
        Emulator::Qemu(acceleration) => qemu::run(paths, &parts, &disk, acceleration, options)?,
        Emulator::Bochs(model) => bochs::run(paths, &parts, &disk, model, options)?,
    };
    let why = match end {
        Some(End::PowerOff) => return Ok(ExitCode::SUCCESS),
        Some(End::Other(why)) => format!("the machine did not power itself off: {why}"),
        None => format!("the machine did not power off in {} seconds", options.timeout.unwrap_or_default()),
    };
    eprintln!("error: {why}");
    Ok(ExitCode::FAILURE)
}

impl Options {
    /// Decides, and refuses what does not fit together.
    fn emulator(&self) -> Result<Emulator> {
        let found = match (self.machine, self.accel) {
            (Machine::Ryzen, _) | (_, Accel::None) => None,
            (Machine::Amd, _) => Acceleration::amd(),
            (Machine::Intel, _) => Acceleration::intel(),
        };
        if self.accel == Accel::Kvm && found.is_none() {
            bail!("--accel kvm: this host has no KVM that nests what the machine needs");
        }
        let emulator = match (self.machine, found) {
            (Machine::Intel, None) => Emulator::Bochs(INTEL),
            (Machine::Ryzen, _) => Emulator::Bochs(RYZEN),
            (_, found) => Emulator::Qemu(found),
        };
        match emulator {
            Emulator::Qemu(_) if !self.pvh && (self.bare || !self.append.is_empty()) => {
                bail!("--bare and --append need --pvh, or a machine in Bochs")
            }
            Emulator::Qemu(_) if self.uefi || !self.bochs_line.is_empty() || self.bochs_log.is_some() => {
                bail!("--uefi, --bochs-line and --bochs-log: this machine is in QEMU")
            }
            Emulator::Bochs(_) if self.pvh || !self.qemu_arg.is_empty() => {
                bail!("--pvh and --qemu-arg: this machine is in Bochs")
            }
            emulator => Ok(emulator),
        }
    }
}

/// Whether a person sits in front of this process.
fn is_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}
