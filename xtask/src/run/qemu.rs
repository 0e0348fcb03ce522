//! Bulkhead in QEMU, which has the terminal to itself.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use machine_tests::control::Listener;
use machine_tests::machine::{End, wait};
use machine_tests::qemu::{Acceleration, Boot, Description, Disk, Serial};

use super::{Options, is_terminal};
use crate::build::Parts;
use crate::paths::Paths;
use crate::step;

/// How long QEMU may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);

/// Boots, and waits for the end; nothing when it did not come in time.
pub fn run(
    paths: &Paths,
    parts: &Parts,
    disk: &Path,
    acceleration: Option<Acceleration>,
    options: &Options,
) -> Result<Option<End>> {
    let control = Listener::new(&paths.work.join(format!("control-{}", std::process::id())))?;
    let serial = if is_terminal() { Serial::Terminal } else { Serial::Pipes };
    let mut machine = Description::new(boot(parts, options), serial);
    machine.memory = options.memory.unwrap_or(2 << 30) >> 20;
    machine.processors = options.cpus.unwrap_or(2);
    machine.disks = vec![Disk::nvme(disk)];
    machine.control = Some(control.path().to_path_buf());
    machine.extra.clone_from(&options.qemu_arg);
    if let Some(acceleration) = acceleration {
        machine.accelerate(acceleration);
    }
    step::say("Starting", format_args!("QEMU ({})", machine.accelerator()));
    if matches!(machine.serial, Serial::Terminal) {
        step::say("", "Ctrl-A x ends the machine");
    }
    let mut child = machine.command().spawn().context("qemu-system-x86_64: can not be started")?;
    let control = control.accept(machine.counts_time);
    let limit = options.timeout.map_or(Duration::MAX, Duration::from_secs);
    let Some(status) = wait(&mut child, limit)? else {
        control.quit();
        if wait(&mut child, PATIENCE)?.is_none() {
            child.kill()?;
            child.wait()?;
        }
        return Ok(None);
    };
    let reason = control.reason();
    Ok(Some(match status.success() && reason.is_power_off() {
        true => End::PowerOff,
        false => End::Other(format!("{} (QEMU: {status})", reason.name())),
    }))
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
