//! The CD image that BIOS machines boot.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::build::{self, Parts, Profile};
use crate::grub::{self, Menu};
use crate::paths::Paths;
use crate::step;

/// Writes an image with an archive of Bulkhead's files.
pub fn write(paths: &Paths, out: &Path, parts: &Parts, archive: &Path, menu: &Menu<'_>) -> Result<()> {
    write_with(paths, out, grub::MODULES, |folder| grub::fill(folder, parts, archive, menu))
}

/// Writes an image that starts Linux without Bulkhead.
pub fn write_linux(
    paths: &Paths,
    out: &Path,
    kernel: &Path,
    initrd: &Path,
    command_line: &str,
) -> Result<()> {
    let modules = format!("{} linux", grub::MODULES);
    write_with(paths, out, &modules, |folder| grub::fill_with_linux(folder, kernel, initrd, command_line))
}

/// Writes an image with these modules of GRUB and with what `fill` puts into its folder.
fn write_with(
    paths: &Paths,
    out: &Path,
    modules: &str,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let folder = paths.folder(&format!("iso-{}", std::process::id()))?;
    let mut command = Command::new("grub-mkrescue");
    command.args(["--directory", grub::PLATFORM, "--fonts=", "--locales=", "--themes="]);
    command.arg(format!("--install-modules={modules} iso9660 biosdisk"));
    command.arg("-o").arg(out).arg(&folder);
    let made = fill(&folder).and_then(|()| step::quietly(&mut command));
    let _ = std::fs::remove_dir_all(&folder);
    made?;
    Ok(())
}

/// `cargo xtask image --bios`: builds everything and writes an image.
pub fn build(paths: &Paths, profile: &Profile, out: &Path) -> Result<()> {
    let parts = build::everything(paths, profile)?;
    step::say("Writing", out.display());
    write(paths, out, &parts, &parts.archive(), &Menu::People)?;
    step::say("Finished", "burn it, or copy it to a USB stick; the data volume is on another disk");
    Ok(())
}
