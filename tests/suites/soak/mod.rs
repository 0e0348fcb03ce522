//! Everything at once and at random, for as long as is wanted: VMs that begin and end, flood each other with interrupts,
//! lose pages and get other shares, beside a Linux that writes to its disk and reads it back.
//!
//! After each round all is as it should be: who was not ended runs, the command line answers, memory has come back,
//! nobody complains. `cargo xtask test --soak` runs it; the seed that it prints makes the same choices again.

mod guests;
mod linux;

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use machine_tests::artifacts::{SOAK_MINUTES, SOAK_SEED};
use machine_tests::cli::Cli;
use machine_tests::kind::Kind;

use crate::machines::{Bulkhead, free_memory};
use crate::top::answered_within;
use guests::Guests;
use linux::Linux;

/// KiB that the root's heaps may grow by after the first round: its log alone has room for 256 KiB. A page that each
/// life of a VM loses is more.
const GROWTH: u64 = 1536;
/// Rounds in which Linux goes on running.
const ROUNDS_OF_LINUX: u32 = 4;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

pub fn everything_at_random() -> Result<()> {
    let minutes = number(SOAK_MINUTES).unwrap_or(30);
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |time| time.as_secs());
    let seed = number(SOAK_SEED).unwrap_or_else(now);
    println!("soak: {minutes} minutes, seed {seed}");
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let mut soak = Soak { random: Rng::with_seed(seed), guests: Guests::default(), actions: Vec::new() };
    let mut bulkhead = Bulkhead::boot_with_processors(Kind::Amd, 4)?;
    let run = soak.run(&mut bulkhead.cli(), end);
    run.with_context(|| format!("seed {seed}; {}", soak.actions.join("; ")))?;
    let off = bulkhead.shut_down().context("the machine does not power off")?;
    off.check_data_volume()
}

struct Soak {
    random: Rng,
    guests: Guests,
    /// What was done in this round.
    actions: Vec<String>,
}

impl Soak {
    fn run(&mut self, cli: &mut Cli<'_>, end: Instant) -> Result<()> {
        let mut linux = Linux::create(cli)?;
        // As many as there will ever be: heaps grow.
        self.guests.begin_all(cli, &mut self.random)?;
        self.guests.end_all(cli)?;
        let (mut alone, mut beside_linux) = (None, None);
        let mut round = 0;
        while Instant::now() < end {
            if round % ROUNDS_OF_LINUX == 0 {
                memory_is_back(cli, &mut alone)?;
                linux.begin(cli)?;
                beside_linux = None;
            }
            self.round(cli, &mut linux)?;
            memory_is_back(cli, &mut beside_linux)?;
            round += 1;
            println!("soak: round {round}, {} lives: {}", self.guests.lives(), self.actions.join("; "));
            if round % ROUNDS_OF_LINUX == 0 {
                linux.end(cli, &mut self.random)?;
                host_does_not_complain(cli)?;
            }
        }
        host_does_not_complain(cli)
    }

    /// Some of everything, and all guests' ends.
    fn round(&mut self, cli: &mut Cli<'_>, linux: &mut Linux) -> Result<()> {
        self.actions.clear();
        for _ in 0..self.random.u64(6..14) {
            let action = self.act(cli, linux)?;
            self.actions.push(action);
        }
        self.guests.all_run(cli)?;
        answers_soon(cli)?;
        self.guests.end_all(cli)?;
        linux.does_not_complain(cli)
    }

    /// Something; what it was.
    fn act(&mut self, cli: &mut Cli<'_>, linux: &mut Linux) -> Result<String> {
        let random = &mut self.random;
        match random.u64(..11) {
            0..5 => self.guests.begin_or_end(cli, random),
            5 => self.guests.take_pages(cli, random),
            6 => self.guests.share(cli, random),
            7 => self.guests.talk(cli, random),
            8 => linux.use_disk(cli, random),
            9 => self.guests.resets(cli),
            _ => {
                let time = Duration::from_millis(random.u64(100..3000));
                std::thread::sleep(time);
                Ok(format!("{time:?}"))
            }
        }
    }
}

/// The free memory is, but for what heaps grow by, what it was when this was asked first.
fn memory_is_back(cli: &mut Cli<'_>, before: &mut Option<u64>) -> Result<()> {
    let free = free_memory(cli)?;
    let before = *before.get_or_insert(free);
    ensure!(free + GROWTH >= before, "of {before} KiB {free} KiB are free");
    Ok(())
}

/// The command line answers within a second of the machine's.
fn answers_soon(cli: &mut Cli<'_>) -> Result<()> {
    let seconds = answered_within(cli, "vm list")?;
    ensure!(seconds < 1.0, "the command line answers after {seconds:.2} s");
    Ok(())
}

fn host_does_not_complain(cli: &mut Cli<'_>) -> Result<()> {
    let log = cli.run("host log")?;
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("] error: ")).collect();
    ensure!(errors.is_empty(), "the host complains: {errors:#?}");
    Ok(())
}
