//! The folder of a TFTP server from which BIOS machines boot by PXE.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use machine_tests::qemu::NETWORK_BOOT_FILE;

use crate::build::{self, Parts, Profile};
use crate::grub::{self, Menu};
use crate::paths::Paths;
use crate::step;

/// Fills a folder with GRUB and an archive of Bulkhead's files.
pub fn write(out: &Path, parts: &Parts, archive: &Path, menu: &Menu<'_>) -> Result<()> {
    grub::fill(out, parts, archive, menu)?;
    let mut command = Command::new("grub-mknetdir");
    command.args(["--directory", grub::PLATFORM, "--fonts=", "--locales=", "--themes="]);
    command.arg(format!("--install-modules={} tftp", grub::MODULES));
    command.args(["--subdir=boot/grub", "--net-directory"]).arg(out);
    step::quietly(&mut command)?;
    Ok(())
}

/// `cargo xtask image --pxe`: builds everything and fills a folder.
pub fn build(paths: &Paths, profile: &Profile, out: &Path) -> Result<()> {
    let parts = build::everything(paths, profile)?;
    step::say("Writing", out.display());
    write(out, &parts, &parts.archive(), &Menu::People)?;
    step::say(
        "Finished",
        format_args!("it is a TFTP server's root; DHCP's boot file is {NETWORK_BOOT_FILE}"),
    );
    Ok(())
}
