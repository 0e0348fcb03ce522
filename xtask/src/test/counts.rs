//! How many tests passed and failed, read from what test programs print.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::ops::AddAssign;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// Tests that passed and that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
}

impl Counts {
    /// One check.
    pub fn one(passed: bool) -> Self {
        Self { passed: u64::from(passed), failed: u64::from(!passed) }
    }

    /// Adds what a line of a test program's output says: `test result: ok. 7 passed; 0 failed; …`.
    fn add_line(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let number = |word: &str| {
            let before = result.split(word).next()?;
            before.trim_end().rsplit([' ', ';']).next()?.parse::<u64>().ok()
        };
        self.passed += number(" passed").unwrap_or(0);
        self.failed += number(" failed").unwrap_or(0);
    }

    /// Runs test programs, shows what they print, and counts. Programs that fail to build count as one failure.
    pub fn of(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("{:?}: can not be started", command.get_program()))?;
        let mut counts = Self::default();
        for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
            let line = line?;
            println!("{line}");
            counts.add_line(&line);
        }
        if !child.wait()?.success() && counts.failed == 0 {
            counts.failed = 1;
        }
        Ok(counts)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted() {
        let mut counts = Counts::default();
        counts.add_line(
            "test result: ok. 42 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.52s",
        );
        counts.add_line("test result: FAILED. 6 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out");
        counts.add_line("42 passed; 9 failed");
        assert_eq!(counts, Counts { passed: 48, failed: 1 });
    }

    #[test]
    fn a_program_that_fails_without_a_count_is_a_failure() {
        assert_eq!(Counts::of(&mut Command::new("false")).unwrap(), Counts { passed: 0, failed: 1 });
    }
}
