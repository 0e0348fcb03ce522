//! The small guests: the test guest, which does one thing or another.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use machine_tests::cli::Cli;

use crate::machines::{accepted, expect_echo};
use crate::shares::create;
use crate::stale;

/// How many there are at most.
const COUNT: usize = 6;
/// The host's processors.
const PROCESSORS: u64 = 4;

/// What one does, on how many virtual processors.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Program {
    command_line: &'static str,
    vps: u32,
}

const fn program(command_line: &'static str, vps: u32) -> Program {
    Program { command_line, vps }
}

const ECHO: Program = program("echo", 1);
const STALE: Program = program(stale::COMMAND_LINE, stale::VPS);
/// Begins again and again. Each time a notice comes, between whatever else is on the console.
const RESET: Program = program("reset", 1);
const PROGRAMS: [Program; 8] = [
    ECHO,
    STALE,
    program("work", 1),
    program("work 4", 4),
    program("spin", 1),
    program("idle", 1),
    program("flood-interrupts 4", 4),
    program("flood-hypercalls", 1),
];

/// Those that there are, by their places.
#[derive(Default)]
pub struct Guests {
    running: [Option<Program>; COUNT],
    lives: u64,
}

fn name(place: usize) -> String {
    format!("guest{place}")
}

impl Guests {
    /// How often one began.
    pub fn lives(&self) -> u64 {
        self.lives
    }

    fn begin(&mut self, cli: &mut Cli<'_>, place: usize, program: Program) -> Result<()> {
        create(cli, &name(place), program.vps, program.command_line, "")?;
        accepted(cli, &format!("vm start {}", name(place)))?;
        self.running[place] = Some(program);
        self.lives += 1;
        Ok(())
    }

    fn end(&mut self, cli: &mut Cli<'_>, place: usize) -> Result<()> {
        accepted(cli, &format!("vm kill {}", name(place)))?;
        accepted(cli, &format!("vm delete {}", name(place)))?;
        self.running[place] = None;
        Ok(())
    }

    /// Begins one at every place.
    pub fn begin_all(&mut self, cli: &mut Cli<'_>, random: &mut Rng) -> Result<()> {
        for place in 0..COUNT {
            let program = random.choice(&PROGRAMS).copied().unwrap_or(ECHO);
            self.begin(cli, place, Program { vps: 4, ..program })?;
        }
        Ok(())
    }

    /// Ends all.
    pub fn end_all(&mut self, cli: &mut Cli<'_>) -> Result<()> {
        for place in 0..COUNT {
            if self.running[place].is_some() {
                self.end(cli, place)?;
            }
        }
        Ok(())
    }

    /// Begins one, or ends one, at any place.
    pub fn begin_or_end(&mut self, cli: &mut Cli<'_>, random: &mut Rng) -> Result<String> {
        let place = random.usize(..COUNT);
        if self.running[place].is_some() {
            self.end(cli, place)?;
            return Ok(format!("-{place}"));
        }
        let program = random.choice(&PROGRAMS).copied().unwrap_or(ECHO);
        self.begin(cli, place, program)?;
        Ok(format!("+{place} {}", program.command_line))
    }

    /// Lets one reset itself for a while.
    pub fn resets(&mut self, cli: &mut Cli<'_>) -> Result<String> {
        let free = self.running.iter().position(Option::is_none);
        let Some(place) = free else { return Ok("no resets".to_owned()) };
        self.begin(cli, place, RESET)?;
        std::thread::sleep(Duration::from_secs(3));
        self.end(cli, place)?;
        Ok("resets".to_owned())
    }

    /// One that runs.
    fn any(&self, random: &mut Rng) -> Option<(usize, Program)> {
        let running: Vec<_> = (0..COUNT).filter_map(|place| Some((place, self.running[place]?))).collect();
        random.choice(&running).copied()
    }

    /// Takes pages from one.
    pub fn take_pages(&mut self, cli: &mut Cli<'_>, random: &mut Rng) -> Result<String> {
        let Some((place, _)) = self.any(random) else { return Ok("no pages".to_owned()) };
        let [taken, in_use, late] = stale::churn(cli, &name(place))?;
        ensure!(late == 0, "{late} words of {}'s pages changed after they were taken away", name(place));
        Ok(format!("{in_use} of {taken} pages of {place}"))
    }

    /// Gives one another share.
    pub fn share(&mut self, cli: &mut Cli<'_>, random: &mut Rng) -> Result<String> {
        let Some((place, _)) = self.any(random) else { return Ok("no share".to_owned()) };
        let (weight, limit) = (random.u64(10..1000), random.u64(20..101));
        let first = random.u64(..PROCESSORS);
        let last = random.u64(first..PROCESSORS);
        let share = format!("--weight {weight} --limit {limit} --affinity {first}-{last}");
        accepted(cli, &format!("vm set {} {share}", name(place)))?;
        Ok(format!("{place} {share}"))
    }

    /// Talks to one that answers.
    pub fn talk(&mut self, cli: &mut Cli<'_>, random: &mut Rng) -> Result<String> {
        match self.any(random) {
            Some((place, ECHO)) => expect_echo(cli, &name(place), "still here")?,
            Some((place, STALE)) => stale::expect_nothing_stale(cli, &name(place))?,
            _ => return Ok("no talk".to_owned()),
        }
        Ok("talk".to_owned())
    }

    /// All that were begun run, and nobody else.
    pub fn all_run(&self, cli: &mut Cli<'_>) -> Result<()> {
        let list = cli.run("vm list")?;
        for (place, program) in self.running.iter().enumerate() {
            let line = list.lines().find(|line| line.split_whitespace().next() == Some(&name(place)));
            let Some(program) = program else {
                ensure!(line.is_none(), "there still is {}: {list}", name(place));
                continue;
            };
            let state = line.and_then(|line| line.split_whitespace().nth(1)).context("it is not listed")?;
            ensure!(state.starts_with("running"), "{} ({}) is {state}", name(place), program.command_line);
        }
        Ok(())
    }
}
