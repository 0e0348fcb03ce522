//! A disk with Debian's stress-ng and the libraries that it needs, for guests with several processors.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::paths::{self, Paths};
use crate::{debian, sample};

/// The program's package.
const PROGRAM: &str = "stress-ng";
/// The packages of its libraries, and those that these need.
const LIBRARIES: [&str; 23] = [
    "libapparmor1",
    "libbsd0",
    "libc6",
    "libcrypt1",
    "libdrm2",
    "libegl1",
    "libexpat1",
    "libffi8",
    "libgbm1",
    "libgles2",
    "libglvnd0",
    "libipsec-mb1",
    "libjpeg62-turbo",
    "libjudydebian1",
    "libkmod2",
    "liblzma5",
    "libmd0",
    "libsctp1",
    "libssl3",
    "libwayland-server0",
    "libxxhash0",
    "libzstd1",
    "zlib1g",
];
/// Where packages have their libraries.
const FOLDERS: [&str; 2] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];
/// The size of the disk.
const DISK: u64 = 64 << 20;
/// What guests do with it.
const SCRIPT: &str = include_str!("../../tests/programs/smp.sh");

/// Makes the disk, a VHD.
pub fn disk(paths: &Paths) -> Result<PathBuf> {
    let folder = paths.folder("stress")?;
    let disk = folder.join("stress.vhd");
    let content = folder.join("content");
    let libraries = content.join("lib");
    paths::make_folder(&libraries)?;
    let program = debian::unpacked(paths, PROGRAM)?.join("usr/bin").join(PROGRAM);
    copy(&program, &content.join(PROGRAM))?;
    for package in LIBRARIES {
        let unpacked = debian::unpacked(paths, package)?;
        let copied = FOLDERS.map(|from| copy_libraries(&unpacked.join(from), &libraries));
        let copied = copied.into_iter().sum::<Result<usize>>()?;
        ensure!(copied != 0, "{package}: no library");
    }
    let script = content.join("smp.sh");
    paths::write(&script, SCRIPT)?;
    make_executable(&script)?;
    sample::make_disk(&folder, &disk, "stress", DISK, &content)?;
    Ok(disk)
}

/// Copies the shared objects of a folder, those that are named by a link too; how many there were.
fn copy_libraries(from: &Path, to: &Path) -> Result<usize> {
    let mut copied = 0;
    for entry in std::fs::read_dir(from).into_iter().flatten() {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains(".so") && file.is_file() {
            copy(&file, &to.join(&name))?;
            copied += 1;
        }
    }
    Ok(copied)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(from, to).with_context(|| format!("{}: can not be copied", from.display()))?;
    Ok(())
}

fn make_executable(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755))?)
}
