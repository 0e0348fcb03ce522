//! `cargo xtask run`: Bulkhead in QEMU, its console on this terminal or on pipes.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use machine_tests::control::Listener;
use machine_tests::qemu::{Boot, Description, Disk, Serial};

use crate::build::{self, Parts, Profile};
use crate::image::Image;
use crate::paths::Paths;
use crate::sample::Sample;
use crate::{host, size, step};

/// What the machine is to be.
#[derive(Args)]
pub struct Options {
    /// Memory of the machine.
    #[arg(long, default_value = "2G", value_parser = size::parse)]
    memory: u64,
    /// Processors of the machine.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=255))]
    cpus: u32,
    /// Puts a file of the host on the data volume first.
    #[arg(long, value_name = "HOSTFILE=data:/PATH", value_parser = parse_addition)]
    add: Vec<Addition>,
    /// One more argument for QEMU.
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    qemu_arg: Vec<OsString>,
    /// Ends the machine after this time.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// The machine's disk, made when it is not there; by default one under target/ that every run uses.
    #[arg(long, value_name = "FILE")]
    disk: Option<PathBuf>,
    /// Begins with a new disk, in place of the one that earlier runs wrote to.
    #[arg(long)]
    fresh: bool,
    /// Skips the firmware: QEMU starts the PVH loader (a development aid that boots in a fraction of a second).
    #[arg(long)]
    pvh: bool,
    /// With --pvh: leaves the hypervisor out, so that the root kernel runs on the bare machine.
    #[arg(long, requires = "pvh")]
    bare: bool,
    /// With --pvh: the command line.
    #[arg(long, requires = "pvh", default_value = "")]
    append: String,
    /// The cargo profile of the bare-metal parts; `fast` builds quicker.
    #[arg(long, default_value = "release")]
    profile: Profile,
    /// The size of the data volume of a new disk.
    #[arg(long, default_value = "1G", value_parser = size::parse)]
    data_size: u64,
}

/// A file for the data volume.
#[derive(Clone)]
struct Addition {
    file: PathBuf,
    path: String,
}

fn parse_addition(text: &str) -> Result<Addition, String> {
    let (file, path) = text.rsplit_once("=data:").ok_or("it is not HOSTFILE=data:/PATH")?;
    let named = path.strip_prefix('/').is_some_and(|path| !path.is_empty() && !path.ends_with('/'));
    if !named || path.contains(['"', '\n']) || path.split('/').any(|part| part == "..") {
        return Err(format!("'data:{path}' is not the path of a file"));
    }
    if !Path::new(file).is_file() {
        return Err(format!("{file}: no such file"));
    }
    Ok(Addition { file: PathBuf::from(file), path: path.to_owned() })
}

/// Builds, boots, and waits for the end; 0 when the machine powered off by itself.
pub fn run(paths: &Paths, options: &Options) -> Result<ExitCode> {
    host::require(&[host::BUILD, host::IMAGE, host::RUN])?;
    let parts = build::everything(paths, &options.profile)?;
    let disk = working_disk(paths, &parts, options)?;
    let control = Listener::new(&paths.work.join(format!("control-{}", std::process::id())))?;
    let mut machine = Description::new(boot(&parts, options), serial());
    machine.memory = options.memory >> 20;
    machine.processors = options.cpus;
    machine.disks = vec![Disk::nvme(&disk)];
    machine.control = Some(control.path().to_path_buf());
    machine.extra.clone_from(&options.qemu_arg);
    machine.accelerate_if_possible();
    step::say("Starting", "QEMU");
    if matches!(machine.serial, Serial::Terminal) {
        step::say("", "Ctrl-A x ends the machine");
    }
    let mut child = machine.command().spawn().context("qemu-system-x86_64: can not be started")?;
    let control = control.accept();
    let limit = options.timeout.map(Duration::from_secs);
    let Some(status) = wait(&mut child, limit)? else {
        control.quit();
        if wait(&mut child, Some(Duration::from_secs(5)))?.is_none() {
            child.kill()?;
            child.wait()?;
        }
        eprintln!("error: the machine did not power off in {} seconds", options.timeout.unwrap_or_default());
        return Ok(ExitCode::FAILURE);
    };
    let reason = control.reason();
    if status.success() && reason.is_power_off() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: the machine did not power itself off: {} (QEMU: {status})", reason.name());
    Ok(ExitCode::FAILURE)
}

fn boot(parts: &Parts, options: &Options) -> Boot {
    if !options.pvh {
        return Boot::Uefi;
    }
    Boot::Pvh {
        kernel: parts.bios_loader(),
        module: Some(if options.bare { parts.bare_archive() } else { parts.archive() }),
        command_line: options.append.clone(),
    }
}

fn serial() -> Serial {
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if terminal { Serial::Terminal } else { Serial::Pipes }
}

/// The disk that runs keep: its system partition is written anew, its data volume stays.
fn working_disk(paths: &Paths, parts: &Parts, options: &Options) -> Result<PathBuf> {
    let file = options.disk.clone().unwrap_or_else(|| paths.work.join("run.img"));
    let image = if file.exists() && !options.fresh {
        let image = Image::at(&file);
        image.system().fill(parts)?;
        image
    } else {
        let sample = Sample::prepare(paths)?;
        step::say("Writing", file.display());
        Image::create(&file, parts, &sample, options.data_size)?
    };
    if !options.add.is_empty() {
        image.recover_data()?;
    }
    for Addition { file, path } in &options.add {
        step::say("Adding", format_args!("{} as data:{path}", file.display()));
        image.data().put(file, path)?;
    }
    Ok(file)
}

/// Waits for the end of a process; nothing when it takes longer than `limit`.
fn wait(child: &mut Child, limit: Option<Duration>) -> Result<Option<ExitStatus>> {
    let Some(limit) = limit else { return Ok(Some(child.wait()?)) };
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(None)
}
