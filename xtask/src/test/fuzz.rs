//! Fuzz targets on the stable compiler: libFuzzer, with LLVM's coverage instrumentation but no sanitizer.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::Options;
use super::counts::Counts;
use super::host::cargo;
use crate::host::{self, Need};
use crate::paths::{self, Paths};
use crate::step;

/// Only what is built for this target is instrumented, so not what runs while building.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// What tells the fuzzer which code an input reached.
const FLAGS: &str = "--cfg fuzzing -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4 \
    -C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table \
    -C llvm-args=-sanitizer-coverage-trace-compares -C debug-assertions -C overflow-checks -C codegen-units=1";
/// libFuzzer is C++.
const NEEDS: &[Need] = &[host::need("c++", "g++")];

/// Builds every target and runs each for a while; inputs that reached something new are kept for the next time.
pub fn run(paths: &Paths, options: &Options) -> Result<Counts> {
    host::require(&[host::BUILD, NEEDS])?;
    step::say("Building", "fuzz targets");
    let target = paths.target.join("fuzz");
    let mut build = cargo(paths, "build");
    build.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", &target);
    build.args(["--package", "fuzz", "--profile", "fuzz", "--bins", "--target", TARGET]);
    step::run(&mut build)?;
    let mut counts = Counts::default();
    for name in targets(&paths.root)? {
        if options.filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        let program = target.join(TARGET).join("fuzz").join(&name);
        let passed = Target { paths, program, name: &name }.run(options)?;
        println!("fuzz target {name} ... {}", if passed { "ok" } else { "FAILED" });
        counts += Counts::one(passed);
    }
    Ok(counts)
}

/// The names of the targets: the files of the fuzz crate.
fn targets(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root.join("tests/fuzz/src/bin"))? {
        if let Some(name) = entry?.path().file_stem() {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// A target that was built.
struct Target<'a> {
    paths: &'a Paths,
    program: PathBuf,
    name: &'a str,
}

impl Target<'_> {
    /// Replays the inputs that once failed, and looks for new ones. Whether all went well.
    fn run(&self, options: &Options) -> Result<bool> {
        let regressions = self.paths.root.join("tests/fuzz/corpus").join(self.name);
        let known = inputs(&regressions)?;
        let mut replay = Command::new(&self.program);
        if !known.is_empty() && !self.passes(replay.args(&known))? {
            return Ok(false);
        }
        step::say("Fuzzing", format_args!("{} for {} s", self.name, options.fuzz_seconds));
        let mut fuzz = Command::new(&self.program);
        // New inputs go into the first folder.
        fuzz.arg(self.paths.folder(&format!("fuzz/{}", self.name))?);
        if !known.is_empty() {
            fuzz.arg(&regressions);
        }
        fuzz.arg(format!("-max_total_time={}", options.fuzz_seconds));
        fuzz.arg(format!("-seed={}", options.fuzz_seed));
        fuzz.args(["-max_len=65536", "-print_final_stats=1", "-verbosity=1"]);
        self.passes(&mut fuzz)
    }

    /// Whether the target survives this; if not, says why, and what input it was.
    fn passes(&self, command: &mut Command) -> Result<bool> {
        let folder = self.paths.folder("fuzz/log")?;
        command.arg(format!("-artifact_prefix={}/crash-{}-", folder.display(), self.name));
        let output = command.arg("-timeout=10").output()?;
        paths::write(&folder.join(self.name), &output.stderr)?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let lines: Vec<_> = text.lines().collect();
            eprintln!("{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
        Ok(output.status.success())
    }
}

/// The inputs in a folder, in the order of their names; none when there is no such folder.
fn inputs(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut inputs = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        inputs.push(entry?.path());
    }
    inputs.sort();
    Ok(inputs)
}
