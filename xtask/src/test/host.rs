//! What needs no machine: format, lints, unit and property tests, loom.

use std::process::Command;

use anyhow::Result;

use super::counts::Counts;
use super::{Options, limits};
use crate::build::{BARE, UEFI};
use crate::host::{self, Need};
use crate::paths::Paths;
use crate::step;

/// Packages that are built for the bare machine only.
const BARE_ONLY: [&str; 3] = ["boot-bios", "boot-uefi", "test-guest"];
/// Packages with loom tests.
const LOOM: [&str; 4] = ["hypervisor", "root-kernel", "vmbus", "vsp"];
/// What the tests of xtask itself, and the fuzzer, need.
const NEEDS: &[Need] = &[host::need("c++", "g++")];

/// Format, lints and links in the documentation, for the host and for the bare machine; and the hypervisor's lines.
pub fn lint(paths: &Paths) -> Result<Counts> {
    host::require(&[host::BUILD, NEEDS])?;
    let mut counts = limits::lines(paths);
    counts += check(cargo(paths, "fmt").args(["--all", "--check"]));
    let mut command = cargo(paths, "clippy");
    command.args(["--workspace", "--all-targets"]);
    for package in BARE_ONLY {
        command.args(["--exclude", package]);
    }
    counts += check(command.args(["--", "-D", "warnings"]));
    counts += check(&mut documentation(paths, "docs"));
    for (target, packages) in [("x86_64-unknown-none", &BARE[..]), ("x86_64-unknown-uefi", &UEFI[..])] {
        let mut clippy = cargo(paths, "clippy");
        let mut doc = documentation(paths, "doc");
        doc.args(["--no-deps", "--document-private-items"]);
        for command in [&mut clippy, &mut doc] {
            command.args(["--release", "--target", target]);
            for package in packages {
                command.args(["--package", package]);
            }
        }
        counts += check(clippy.args(["--", "-D", "warnings"]));
        counts += check(&mut doc);
    }
    Ok(counts)
}

/// A cargo command that fails where documentation names what is not there. It may name what is private: it is for those
/// who work on this.
fn documentation(paths: &Paths, subcommand: &str) -> Command {
    let mut command = cargo(paths, subcommand);
    command.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links");
    command
}

/// Unit and property tests, and the examples in the documentation.
pub fn unit(paths: &Paths, options: &Options) -> Result<Counts> {
    host::require(&[host::BUILD, host::IMAGE])?;
    let mut command = cargo(paths, "test");
    command.args(["--workspace", "--no-fail-fast", "--exclude", "fuzz", "--exclude", "machine-tests"]);
    for package in BARE_ONLY {
        command.args(["--exclude", package]);
    }
    let mut counts = Counts::of(filtered(&mut command, options))?;
    let mut command = cargo(paths, "test");
    command.args(["--package", "machine-tests", "--lib"]);
    counts += Counts::of(filtered(&mut command, options))?;
    Ok(counts)
}

/// The tests that loom runs in every order: in modules, files and functions with `loom` in their names.
pub fn loom(paths: &Paths, options: &Options) -> Result<Counts> {
    let mut command = cargo(paths, "test");
    // Flags of their own would build everything else anew each time: so they have a folder of their own.
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", paths.target.join("loom"));
    command.args(["--release", "--lib", "--test", "*loom*"]);
    for package in LOOM {
        command.args(["--package", package]);
    }
    // Cargo takes one name. Who gives another means tests that are loom's: with its flag there are few others.
    Counts::of(command.arg(options.filter.as_deref().unwrap_or("loom")))
}

fn filtered<'a>(command: &'a mut Command, options: &Options) -> &'a mut Command {
    if let Some(filter) = &options.filter {
        command.arg(filter);
    }
    command
}

/// A cargo command in the repository.
pub fn cargo(paths: &Paths, subcommand: &str) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(&paths.root).arg(subcommand);
    command
}

/// Runs a check that passes or fails as a whole.
fn check(command: &mut Command) -> Counts {
    let arguments: Vec<_> =
        command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
    step::say("Checking", format_args!("cargo {}", arguments.join(" ")));
    let result = step::run(command);
    if let Err(error) = &result {
        eprintln!("error: {error:#}");
    }
    Counts::one(result.is_ok())
}
