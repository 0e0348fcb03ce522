//! Fuzz targets on the stable compiler: libFuzzer, with LLVM's coverage instrumentation but no sanitizer.

use std::path::Path;
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
        let passed = fuzz(paths, &program, &name, options.fuzz_seconds)?;
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

fn fuzz(paths: &Paths, program: &Path, name: &str, seconds: u32) -> Result<bool> {
    step::say("Fuzzing", format_args!("{name} for {seconds} s"));
    let corpus = paths.folder(&format!("fuzz/{name}"))?;
    let log = paths.folder("fuzz/log")?.join(name);
    let output = Command::new(program)
        .arg(&corpus)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/crash-{name}-", paths.folder("fuzz/log")?.display()))
        .args(["-max_len=65536", "-timeout=10", "-print_final_stats=1", "-verbosity=1"])
        .output()?;
    paths::write(&log, &output.stderr)?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<_> = text.lines().collect();
        eprintln!("{}", lines[lines.len().saturating_sub(30)..].join("\n"));
    }
    Ok(output.status.success())
}
