//! How long the machines' tests took: a table, as the README has it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use machine_tests::artifacts::TIMES;

use super::machine::KINDS;

/// Tests that are named below the table.
const LONGEST: usize = 5;

/// The file to which tests append their times.
pub struct Times(PathBuf);

/// A test that passed.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Test {
    machine: String,
    suite: String,
    name: String,
    milliseconds: u64,
}

/// What is printed.
pub struct Table(Vec<Test>);

impl Times {
    /// An empty file in `folder`, of which `command` is told.
    pub fn new(folder: &Path, command: &mut Command) -> Result<Self> {
        let file = folder.join("times.txt");
        std::fs::write(&file, "").with_context(|| format!("{}: can not be written", file.display()))?;
        command.env(TIMES, &file);
        Ok(Self(file))
    }

    /// What was appended.
    pub fn read(&self) -> Result<Table> {
        let text = std::fs::read_to_string(&self.0);
        let text = text.with_context(|| format!("{}: can not be read", self.0.display()))?;
        Ok(Table(text.lines().filter_map(Test::parse).collect()))
    }
}

impl Test {
    /// `machine::amd::boot a_usb_stick_boots 1234`; the first word is the test program's.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (module, name, milliseconds) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
        let mut modules = module.rsplit("::").map(str::to_owned);
        let (suite, machine) = (modules.next()?, modules.next()?);
        Some(Self { machine, suite, name: name.to_owned(), milliseconds })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut suites = BTreeMap::<&str, BTreeMap<&str, (u64, u64)>>::new();
        for test in &self.0 {
            for suite in [test.suite.as_str(), "all"] {
                let of_machine = suites.entry(suite).or_default().entry(&test.machine).or_default();
                *of_machine = (of_machine.0 + 1, of_machine.1 + test.milliseconds);
            }
        }
        let all = suites.remove("all");
        let machines = KINDS.map(|kind| kind.name());
        writeln!(formatter, "\n| tests, seconds | `{}` |\n|---|---|---|---|", machines.join("` | `"))?;
        for (suite, of) in suites.into_iter().chain(all.map(|all| ("all", all))) {
            let cells = machines.map(|machine| match of.get(machine) {
                Some((count, milliseconds)) => format!("{count}, {} s", milliseconds.div_ceil(1000)),
                None => "–".to_owned(),
            });
            writeln!(formatter, "| {suite} | {} |", cells.join(" | "))?;
        }
        let mut longest: Vec<&Test> = self.0.iter().collect();
        longest.sort_by_key(|test| std::cmp::Reverse(test.milliseconds));
        writeln!(formatter)?;
        for test in longest.into_iter().take(LONGEST) {
            let Test { machine, suite, name, milliseconds } = test;
            writeln!(formatter, "{:>6} s  {machine}::{suite}::{name}", milliseconds.div_ceil(1000))?;
        }
        writeln!(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_summed_for_each_suite_and_machine() {
        let lines = ["machine::amd::boot a 1200", "machine::amd::boot b 900", "machine::intel::story c 5000"];
        let table = Table(lines.iter().filter_map(|line| Test::parse(line)).collect()).to_string();
        assert!(table.contains("| boot | 2, 3 s | – | – |\n| story | – | 1, 5 s | – |\n"), "{table}");
        assert!(table.contains("| all | 2, 3 s | 1, 5 s | – |\n"), "{table}");
        assert!(table.contains("     5 s  intel::story::c\n     2 s  amd::boot::a\n"), "{table}");
        assert_eq!(Test::parse("machine::amd::boot a"), None);
    }
}
