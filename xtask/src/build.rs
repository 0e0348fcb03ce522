//! Builds the bare-metal parts for their targets and puts them together in one folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::Result;

use crate::paths::{self, Paths};
use crate::{archive, step};

/// Packages for `x86_64-unknown-none`; the names of their binaries are the same.
pub const BARE: [&str; 6] = ["boot-bios", "hypervisor", "root-kernel", "vmms", "worker", "test-guest"];
/// Packages for `x86_64-unknown-uefi`.
pub const UEFI: [&str; 1] = ["boot-uefi"];

/// A cargo profile.
#[derive(Clone)]
pub struct Profile(String);

impl Profile {
    /// The profile of everything that is shipped or measured.
    pub fn release() -> Self {
        Self("release".to_owned())
    }

    /// Whether it is that one.
    pub fn is_release(&self) -> bool {
        self.0 == Self::release().0
    }
}

impl FromStr for Profile {
    type Err = std::convert::Infallible;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(Self(name.to_owned()))
    }
}

/// The built parts, without their debug information.
pub struct Parts {
    folder: PathBuf,
}

impl Parts {
    /// The UEFI application.
    pub fn uefi_loader(&self) -> PathBuf {
        self.folder.join("BOOTX64.EFI")
    }

    /// The loader that QEMU's `-kernel` starts.
    pub fn bios_loader(&self) -> PathBuf {
        self.folder.join("boot-bios")
    }

    /// The archive that the PVH loader takes its files from.
    pub fn archive(&self) -> PathBuf {
        self.folder.join("bulkhead.cpio")
    }

    /// The same without the hypervisor, so that the root kernel runs on the bare machine.
    pub fn bare_archive(&self) -> PathBuf {
        self.folder.join("bare.cpio")
    }

    /// The hypervisor.
    pub fn hypervisor(&self) -> PathBuf {
        self.folder.join("hypervisor")
    }

    /// The guest that measures and attacks.
    pub fn test_guest(&self) -> PathBuf {
        self.folder.join("test-guest")
    }

    /// What the loaders load, by the names they look for.
    pub fn files(&self) -> [(&'static str, PathBuf); 4] {
        [("hypervisor", "hypervisor"), ("kernel", "root-kernel"), ("vmms", "vmms"), ("worker", "worker")]
            .map(|(name, file)| (name, self.folder.join(file)))
    }
}

/// Builds every part.
pub fn everything(paths: &Paths, profile: &Profile) -> Result<Parts> {
    let folder = paths.folder("parts")?;
    let parts = Parts { folder };
    step::say("Building", format_args!("hypervisor, root partition, loaders ({})", profile.0));
    let bare = cargo(paths, profile, "x86_64-unknown-none", &BARE)?;
    let uefi = cargo(paths, profile, "x86_64-unknown-uefi", &UEFI)?;
    paths::copy(&uefi.join("boot-uefi.efi"), &parts.uefi_loader())?;
    for name in BARE {
        strip(&bare.join(name), &parts.folder.join(name))?;
    }
    let files = parts.files();
    archive::write(&parts.archive(), &files)?;
    archive::write(&parts.bare_archive(), &files[1..])?;
    Ok(parts)
}

/// Runs cargo for a target; the folder where the binaries are then.
fn cargo(paths: &Paths, profile: &Profile, target: &str, packages: &[&str]) -> Result<PathBuf> {
    let mut command = Command::new("cargo");
    command.current_dir(&paths.root).args([
        "build",
        "--profile",
        &profile.0,
        "--target",
        target,
        "--target-dir",
    ]);
    command.arg(&paths.target);
    for package in packages {
        command.args(["--package", package]);
    }
    step::run(&mut command)?;
    Ok(paths.target.join(target).join(&profile.0))
}

/// Copies a binary without its debug information, which nothing reads on the machine.
fn strip(from: &Path, to: &Path) -> Result<()> {
    step::quietly(Command::new("objcopy").arg("--strip-debug").arg(from).arg(to))?;
    Ok(())
}
