//! Builds, runs, tests and measures Bulkhead: `cargo xtask COMMAND`.
//!
//! Each command checks the host's tools first, says on standard error what it is doing, and builds what it needs.
//! Everything it makes is under `target/`. A mistake is one line, and the exit code is 1.

mod archive;
mod bench;
mod build;
mod debian;
mod esp;
mod ext4;
mod grub;
mod host;
mod image;
mod iso;
mod kind;
mod modules;
mod netboot;
mod paths;
mod run;
mod sample;
mod size;
mod step;
mod stress;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use build::Profile;
use paths::Paths;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, runs, tests and measures Bulkhead", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds every part for its target.
    Build {
        /// The cargo profile of the bare-metal parts; `fast` builds quicker, without link-time optimization.
        #[arg(long, default_value = "release")]
        profile: Profile,
    },
    /// Writes the image that a server boots: for a USB stick (UEFI), a CD or the network (BIOS).
    Image {
        /// The file to write; with `--pxe`, the folder.
        #[arg(long)]
        out: PathBuf,
        /// Writes an ISO 9660 image for BIOS machines, without a data volume.
        #[arg(long)]
        bios: bool,
        /// Fills the root folder of a TFTP server for BIOS machines that boot by PXE, without a data volume.
        #[arg(long, conflicts_with = "bios")]
        pxe: bool,
        /// The size of the data volume.
        #[arg(long, default_value = "1G", value_parser = size::parse, conflicts_with_all = ["bios", "pxe"])]
        data_size: u64,
        /// The cargo profile of the bare-metal parts.
        #[arg(long, default_value = "release")]
        profile: Profile,
    },
    /// Boots Bulkhead in an emulated machine, with its console on this terminal.
    Run(run::Options),
    /// Runs checks and tests: all that do not take long, or with --nightly those that do.
    Test(test::Options),
    /// Measures, in instructions, and prints a table.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match carry_out(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(command: Command) -> Result<ExitCode> {
    let paths = Paths::new()?;
    match command {
        Command::Build { profile } => {
            host::require(&[host::BUILD])?;
            build::everything(&paths, &profile)?;
        }
        Command::Image { out, bios: true, profile, .. } => {
            host::require(&[host::BUILD, host::ISO])?;
            iso::build(&paths, &profile, &out)?;
        }
        Command::Image { out, pxe: true, profile, .. } => {
            host::require(&[host::BUILD, host::ISO])?;
            netboot::build(&paths, &profile, &out)?;
        }
        Command::Image { out, data_size, profile, .. } => {
            host::require(&[host::BUILD, host::IMAGE])?;
            image::build(&paths, &profile, &out, data_size)?;
        }
        Command::Run(options) => return run::run(&paths, &options),
        Command::Bench(options) => bench::run(&paths, &options)?,
        Command::Test(options) => return test::run(&paths, &options),
    }
    Ok(ExitCode::SUCCESS)
}
