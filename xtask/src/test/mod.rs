//! `cargo xtask test`: checks and tests, and a last line that counts.

mod counts;
mod fuzz;
mod host;
mod inputs;
mod limits;
mod machine;
mod times;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::build::Profile;
use crate::kind::Machine;
use crate::paths::Paths;
use crate::step;
use counts::Counts;

/// Which checks are run.
#[derive(Args)]
pub struct Options {
    /// Only these; all of them when none is named.
    #[arg(value_enum)]
    stages: Vec<Stage>,
    /// Only tests whose names contain this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Seconds that each fuzz target runs.
    #[arg(long, default_value_t = 20)]
    fuzz_seconds: u32,
    /// Where the fuzzer's random numbers begin, not 0: the same one tries the same inputs, as far as time allows.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    fuzz_seed: u32,
    /// The cargo profile of the bare-metal parts in machines.
    #[arg(long, default_value = "release")]
    profile: Profile,
    /// Whole machines of this kind only.
    #[arg(long)]
    machine: Option<Machine>,
    /// Only the tests that take long: the soak; on VT-x shares on four processors, and stress-ng in guests with 1, 2, 4
    /// and 8 processors.
    #[arg(long, conflicts_with = "stages")]
    nightly: bool,
    /// Only this of them: everything at once and at random in one machine.
    #[arg(long, conflicts_with_all = ["stages", "filter", "machine"])]
    soak: bool,
    /// For how long it is soaked.
    #[arg(long, value_name = "MINUTES", default_value_t = 30)]
    soak_minutes: u32,
    /// Where its random numbers begin: the same one makes the same choices. Another one each time by default.
    #[arg(long, value_name = "NUMBER")]
    soak_seed: Option<u64>,
    /// Machines that run at the same time.
    #[arg(long, default_value_t = 2)]
    machines: usize,
}

impl Options {
    /// Whether the tests that take long are run, and nothing else.
    fn is_nightly(&self) -> bool {
        self.nightly || self.soak
    }
}

/// A group of checks.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// Format, lints, and how many lines of code the hypervisor has.
    Lint,
    /// Unit and property tests on the host.
    Unit,
    /// Every interleaving of the lock-free parts.
    Loom,
    /// Fuzz targets, each for a bounded time.
    Fuzz,
    /// How large the hypervisor is; whole machines in QEMU and Bochs.
    Machine,
}

/// Runs the stages in order; a failure in one does not keep the others from running.
pub fn run(paths: &Paths, options: &Options) -> Result<ExitCode> {
    let mut total = Counts::default();
    for &stage in Stage::value_variants() {
        let wanted = if options.is_nightly() { &[Stage::Machine][..] } else { &options.stages };
        if !wanted.is_empty() && !wanted.contains(&stage) {
            continue;
        }
        let counts = match stage {
            Stage::Lint => host::lint(paths)?,
            Stage::Unit => host::unit(paths, options)?,
            Stage::Loom => host::loom(paths, options)?,
            Stage::Fuzz => fuzz::run(paths, options)?,
            Stage::Machine => machine::run(paths, options)?,
        };
        let name = stage.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        step::say("Done", format_args!("{name}: {counts}"));
        total += counts;
    }
    println!("{total}");
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
