//! How long each test takes, for the table that `cargo xtask test machine` prints.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context, Result};
use machine_tests::artifacts::TIMES;

/// Runs a test and, when it passes, appends a line to the file that the environment names: module of the suite, name,
/// milliseconds.
pub fn timed(suite: &str, name: &str, test: impl FnOnce() -> Result<()>) -> Result<()> {
    let began = Instant::now();
    test()?;
    let Some(path) = std::env::var_os(TIMES) else { return Ok(()) };
    // One write: tests that run at the same time do not come between.
    let line = format!("{suite} {name} {}\n", began.elapsed().as_millis());
    let file = OpenOptions::new().create(true).append(true).open(&path);
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .with_context(|| format!("{}: can not be written", path.display()))
}
