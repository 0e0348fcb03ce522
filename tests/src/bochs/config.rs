//! A machine as Bochs' configuration file.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{Boot, CYLINDER, Description};

/// Heads of a disk, and sectors of a track.
pub const HEADS: u64 = 16;
pub const SECTORS: u64 = 63;
/// The memory that Bochs takes at once from the host, in MiB.
const HOST_MEMORY: u64 = 2048;
/// Bochs' own firmware, and the UEFI firmware that is small enough for Bochs, which reads registers that it has not.
const BIOS: &str = "/usr/share/bochs/BIOS-bochs-latest, options=fastboot";
const OVMF: &str = "/usr/share/ovmf/OVMF.fd";
/// 2000-01-01: the machine's clock begins there, so that each run is like the other.
const START: u32 = 946_684_800;

/// The configuration of a machine whose serial port is `terminal`, and whose messages go to `log`.
pub fn text(machine: &Description, terminal: &Path, log: &Path, folder: &Path) -> Result<String> {
    let (memory, processors, model) = (machine.memory, machine.processors, &machine.model);
    let speed = machine.speed;
    let host_memory = memory.min(HOST_MEMORY);
    let (firmware, lenient) = match &machine.boot {
        Boot::Cd(_) => (BIOS, 0),
        Boot::Uefi => (OVMF, 1),
    };
    let level = if machine.log.is_some() { "report" } else { "ignore" };
    let mut text = format!(
        "config_interface: textconfig\n\
         display_library: term\n\
         cpu: model={model}, count={processors}, ips={speed}, reset_on_triple_fault=0, ignore_bad_msrs={lenient}\n\
         memory: guest={memory}, host={host_memory}\n\
         romimage: file={firmware}\n\
         vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest\n\
         pci: enabled=1, chipset=i440fx\n\
         clock: sync=none, time0={START}\n\
         ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14\n\
         ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15\n\
         com1: enabled=1, mode=term, dev={}\n\
         log: {}\n\
         panic: action=fatal\n\
         error: action={level}\n\
         info: action={level}\n\
         debug: action=ignore\n\
         sound: driver=dummy\n\
         speaker: enabled=0\n",
        quoted(terminal)?,
        quoted(log)?,
    );
    if let Boot::Cd(image) = &machine.boot {
        let image = quoted(image)?;
        writeln!(text, "ata1-master: type=cdrom, path={image}, status=inserted\nboot: cdrom")?;
    }
    if let Some(disk) = &machine.disk {
        let length =
            disk.file.metadata().with_context(|| format!("{}: no such disk", disk.file.display()))?;
        let cylinders = length.len() / CYLINDER;
        if length.len() % CYLINDER != 0 || cylinders == 0 {
            bail!("{}: not a whole number of cylinders ({CYLINDER} bytes)", disk.file.display());
        }
        let mode = match disk.throwaway {
            true => format!("volatile, journal={}", quoted(&folder.join("journal"))?),
            false => "flat".to_owned(),
        };
        let file = quoted(&disk.file)?;
        writeln!(
            text,
            "ata0-master: type=disk, path={file}, mode={mode}, \
             cylinders={cylinders}, heads={HEADS}, spt={SECTORS}"
        )?;
    }
    for line in &machine.extra {
        writeln!(text, "{line}")?;
    }
    Ok(text)
}

/// A path as a value; the format has no escapes.
fn quoted(path: &Path) -> Result<String> {
    match path.to_str() {
        Some(text) if !text.contains(['"', '\n']) => Ok(format!("\"{text}\"")),
        _ => bail!("{}: Bochs can not be given such a path", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bochs::Disk;

    fn text_of(machine: &Description) -> Result<String> {
        text(machine, Path::new("/dev/pts/9"), Path::new("/tmp/log"), Path::new("/tmp"))
    }

    #[test]
    fn a_disk_is_given_in_whole_cylinders() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut machine = Description::new(Boot::Cd("/cd.iso".into()));
        machine.disk = Some(Disk { file: file.path().to_path_buf(), throwaway: false });
        assert!(text_of(&machine).is_err());
        file.as_file().set_len(3 * CYLINDER).unwrap();
        let text = text_of(&machine).unwrap();
        assert!(text.contains("mode=flat, cylinders=3, heads=16, spt=63"), "{text}");
        file.as_file().set_len(3 * CYLINDER + 512).unwrap();
        assert!(text_of(&machine).is_err());
    }

    #[test]
    fn a_path_that_would_be_another_line_is_refused() {
        assert!(text_of(&Description::new(Boot::Cd("a\nboot: disk".into()))).is_err());
    }
}
