//! Where things are: the sources, and what is made of them under `target/`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folders that the jobs share.
pub struct Paths {
    /// The repository.
    pub root: PathBuf,
    /// Cargo's target folder: `CARGO_TARGET_DIR`, or `target/`.
    pub target: PathBuf,
    /// What xtask itself makes.
    pub work: PathBuf,
}

impl Paths {
    /// Finds the folders and makes the working one.
    pub fn new() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.parent().context("xtask has no parent folder")?.to_path_buf();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => root.join(folder),
            None => root.join("target"),
        };
        let work = target.join("bulkhead");
        make_folder(&work)?;
        Ok(Self { root, target, work })
    }

    /// A folder of `work`, made if it is not there.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.work.join(name);
        make_folder(&folder)?;
        Ok(folder)
    }
}

/// Makes a folder and those above it.
pub fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{}: can not be made", folder.display()))
}

/// Reads a whole file; the error names it.
pub fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("{}: can not be read", file.display()))
}

/// Writes a whole file; the error names it.
pub fn write(file: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    std::fs::write(file, content).with_context(|| format!("{}: can not be written", file.display()))
}

/// Copies a file; the error names both.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = std::fs::copy(from, to);
    copied.with_context(|| format!("{}: can not be copied to {}", from.display(), to.display()))?;
    Ok(())
}
