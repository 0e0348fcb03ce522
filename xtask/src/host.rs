//! What the host must have: Debian packages and Rust targets; what is missing is installed, or named.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::step;

/// Something that a job needs from the host.
pub struct Need {
    /// A file that is there when the package is: a path, or the name of a program.
    file: &'static str,
    /// The Debian package that has it.
    package: &'static str,
}

/// A need: a file or program, and the package that has it.
pub const fn need(file: &'static str, package: &'static str) -> Need {
    Need { file, package }
}

/// What building needs.
pub const BUILD: &[Need] =
    &[need("cc", "gcc"), need("objcopy", "binutils"), need("/usr/lib/x86_64-linux-gnu/libc.a", "libc6-dev")];
/// What images and the sample guest need.
pub const IMAGE: &[Need] = &[
    need("mformat", "mtools"),
    need("mkfs.ext4", "e2fsprogs"),
    need("debugfs", "e2fsprogs"),
    need("dpkg-deb", "dpkg"),
    need("apt-get", "apt"),
    need("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"),
];
/// What running needs.
pub const RUN: &[Need] =
    &[need("qemu-system-x86_64", "qemu-system-x86"), need("/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf")];

/// What images for BIOS machines need.
pub const ISO: &[Need] = &[
    need("grub-mkrescue", "grub-common"),
    need("/usr/lib/grub/i386-pc", "grub-pc-bin"),
    need("xorriso", "xorriso"),
    need("mformat", "mtools"),
];
/// What running in Bochs needs.
pub const BOCHS: &[Need] = &[
    need("bochs-bin", "bochs"),
    need("/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so", "bochs-term"),
    need("/usr/share/bochs/BIOS-bochs-latest", "bochsbios"),
    need("/usr/share/bochs/VGABIOS-lgpl-latest", "vgabios"),
    need("/usr/share/ovmf/OVMF.fd", "ovmf"),
];

/// The targets of the bare-metal parts.
const TARGETS: [&str; 2] = ["x86_64-unknown-none", "x86_64-unknown-uefi"];

/// Makes sure that all of `needs` is there: installs as root, otherwise says what to type.
pub fn require(needs: &[&[Need]]) -> Result<()> {
    let mut missing: Vec<&str> = needs
        .iter()
        .copied()
        .flatten()
        .filter(|need| !is_there(need.file))
        .map(|need| need.package)
        .collect();
    missing.sort_unstable();
    missing.dedup();
    if !missing.is_empty() {
        install(&missing)?;
    }
    targets()
}

fn is_there(file: &str) -> bool {
    if file.starts_with('/') {
        return Path::new(file).exists();
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/sbin"]);
    folders.map(|folder| Path::new(folder).join(file)).any(|file| file.exists())
}

fn install(packages: &[&str]) -> Result<()> {
    if !is_root() {
        for package in packages {
            eprintln!("missing: {package:<16} install it with: sudo apt-get install {package}");
        }
        bail!("{} Debian package(s) missing", packages.len());
    }
    step::say("Installing", packages.join(" "));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-y", "--no-install-recommends"]);
        step::run(command.args(arguments))
    };
    let arguments: Vec<&str> = ["install"].iter().chain(packages).copied().collect();
    // The lists may be old or absent: only then are they fetched.
    apt(&arguments).or_else(|_| {
        apt(&["update"])?;
        apt(&arguments)
    })
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Adds the Rust targets that the toolchain lacks.
fn targets() -> Result<()> {
    let sysroot = step::quietly(Command::new("rustc").args(["--print", "sysroot"]))?;
    for target in TARGETS {
        if !Path::new(sysroot.trim()).join("lib/rustlib").join(target).exists() {
            step::say("Adding", format_args!("Rust target {target}"));
            step::run(Command::new("rustup").args(["target", "add", target]))?;
        }
    }
    Ok(())
}
