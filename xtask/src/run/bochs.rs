//! Bulkhead in Bochs: GRUB on a CD starts it, and the serial port is this terminal, or pipes.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use machine_tests::bochs::{Bochs, Boot, Description, Disk};
use machine_tests::machine::End;

use super::{Options, terminal};
use crate::build::Parts;
use crate::grub::Menu;
use crate::iso;
use crate::paths::Paths;
use crate::step;

/// How often it is looked whether the machine has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Boots, and waits for the end; nothing when it did not come in time.
pub fn run(paths: &Paths, parts: &Parts, disk: &Path, model: &str, options: &Options) -> Result<Option<End>> {
    if options.uefi {
        return boot(Boot::Uefi, disk, model, options);
    }
    let cd = paths.work.join(format!("run-{}.iso", std::process::id()));
    let archive = if options.bare { parts.bare_archive() } else { parts.archive() };
    iso::write(paths, &cd, parts, &archive, &Menu::AtOnce(&options.append))?;
    let ended = boot(Boot::Cd(cd.clone()), disk, model, options);
    let _ = std::fs::remove_file(&cd);
    ended
}

fn boot(from: Boot, disk: &Path, model: &str, options: &Options) -> Result<Option<End>> {
    let mut machine = Description::new(from);
    machine.memory = options.memory.map_or(machine.memory, |memory| memory >> 20);
    machine.processors = options.cpus.unwrap_or(machine.processors);
    machine.model = model.to_owned();
    machine.disk = Some(Disk { file: disk.to_path_buf(), throwaway: false });
    machine.log.clone_from(&options.bochs_log);
    machine.extra.clone_from(&options.bochs_line);
    step::say("Starting", format_args!("Bochs ({model})"));
    let mut bochs = Bochs::start(&machine)?;
    let terminal = terminal::connect(bochs.output()?, bochs.input()?)?;
    let deadline = options.timeout.map(|seconds| std::time::Instant::now() + Duration::from_secs(seconds));
    loop {
        if let Some(end) = bochs.wait(LOOK)? {
            terminal.finish();
            return Ok(Some(end));
        }
        if terminal.wants_end() {
            bochs.kill()?;
            return Ok(Some(End::Other("ended by Ctrl-A x".to_owned())));
        }
        if deadline.is_some_and(|deadline| deadline <= std::time::Instant::now()) {
            bochs.kill()?;
            terminal.finish();
            return Ok(None);
        }
    }
}
