//! What `cargo xtask test` has built for the suites.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::qemu::Boot;

/// The environment variable that names the folder.
pub const FOLDER: &str = "BULKHEAD_ARTIFACTS";

/// The environment variable that names the file to which tests that passed append how long they took.
pub const TIMES: &str = "BULKHEAD_TIMES";

/// The environment variables that say for how many minutes everything is tried at random, and where the random numbers
/// begin.
pub const SOAK_MINUTES: &str = "BULKHEAD_SOAK_MINUTES";
/// See [`SOAK_MINUTES`].
pub const SOAK_SEED: &str = "BULKHEAD_SOAK_SEED";

/// The folder that xtask works in.
pub struct Artifacts(PathBuf);

impl Artifacts {
    /// Finds it: named by the environment, or where a build without special folders has it.
    pub fn find() -> Result<Self> {
        let folder = match std::env::var_os(FOLDER) {
            Some(folder) => PathBuf::from(folder),
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bulkhead"),
        };
        if !folder.join("test.img").exists() {
            bail!("{}: nothing is built there; run `cargo xtask test machine`", folder.display());
        }
        Ok(Self(folder))
    }

    /// A built part by its file's name.
    pub fn part(&self, name: &str) -> PathBuf {
        self.0.join("parts").join(name)
    }

    /// A file for the tests by its name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The quick way to start Bulkhead.
    pub fn pvh(&self, command_line: &str) -> Boot {
        Boot::Pvh {
            kernel: self.part("boot-bios"),
            module: Some(self.part("bulkhead.cpio")),
            command_line: command_line.to_owned(),
        }
    }

    /// A disk of its own for a test, in `folder`: what is written is on top of the shared image.
    ///
    /// It is qcow2, and QEMU keeps that format's tables in memory until the machine flushes; so what a machine did not
    /// flush is really lost when its power is cut.
    pub fn own_disk(&self, image: &str, folder: &Path) -> Result<PathBuf> {
        let own = folder.join("disk.qcow2");
        let mut command = Command::new("qemu-img");
        command.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(self.file(image)).arg(&own);
        let status = command.status().context("qemu-img: can not be started")?;
        if !status.success() {
            bail!("qemu-img failed ({status})");
        }
        Ok(own)
    }

    /// The same for Bochs, which has its own formats: a raw copy, which takes no more of the host's disk than is in it.
    pub fn own_copy(&self, image: &str, folder: &Path) -> Result<PathBuf> {
        let own = folder.join("disk.raw");
        let mut command = Command::new("cp");
        command.args(["--sparse=always", "--reflink=auto"]).arg(self.file(image)).arg(&own);
        let status = command.status().context("cp: can not be started")?;
        if !status.success() {
            bail!("cp failed ({status})");
        }
        Ok(own)
    }
}
