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
    let folder = paths.folder(&format!("iso-{}", std::process::id()))?;
    let mut command = Command::new("grub-mkrescue");
    command.args(["--directory", grub::PLATFORM, "--fonts=", "--locales=", "--themes="]);
    command.arg(format!("--install-modules={} iso9660 biosdisk", grub::MODULES));
    command.arg("-o").arg(out).arg(&folder);
    let made = grub::fill(&folder, parts, archive, menu).and_then(|()| step::quietly(&mut command));
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
