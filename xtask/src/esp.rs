//! The FAT32 system partition: what the firmware and the UEFI loader read.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::build::Parts;
use crate::step;

/// A system partition inside of an image.
pub struct SystemPartition<'a> {
    /// The image.
    pub image: &'a Path,
    /// Where the partition begins, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

impl SystemPartition<'_> {
    /// Makes the file system and its folders.
    pub fn format(&self) -> Result<()> {
        let sectors = (self.length / 512).to_string();
        self.mtools("mformat", &["-F", "-v", "BULKHEAD", "-T", &sectors, "-h", "64", "-s", "32", "::"])?;
        self.mtools("mmd", &["::/EFI", "::/EFI/BOOT", "::/bulkhead"])
    }

    /// Puts the loader and Bulkhead's files on it, in place of those that are there.
    pub fn fill(&self, parts: &Parts) -> Result<()> {
        self.copy(&parts.uefi_loader(), "::/EFI/BOOT/BOOTX64.EFI")?;
        for (name, file) in parts.files() {
            self.copy(&file, &format!("::/bulkhead/{name}"))?;
        }
        Ok(())
    }

    /// Puts the host's configuration on it, in which everything is commented out.
    pub fn configure(&self) -> Result<()> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("files/bulkhead.toml");
        self.copy(&file, "::/bulkhead/bulkhead.toml")
    }

    fn copy(&self, file: &Path, to: &str) -> Result<()> {
        self.mtools("mcopy", &["-o", &file.to_string_lossy(), to])
    }

    fn mtools(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(program);
        command.arg("-i").arg(format!("{}@@{}", self.image.display(), self.offset)).args(arguments);
        command.env("MTOOLS_SKIP_CHECK", "1").env("MTOOLSRC", "/dev/null");
        step::quietly(&mut command)?;
        Ok(())
    }
}
