//! A guest's page is taken away while its virtual processors use it: nobody reads or writes it any more.

use anyhow::{Context, Result, ensure};
use machine_tests::cli::{Cli, PATIENCE};
use machine_tests::kind::Kind;

use crate::machines::{Bulkhead, accepted};
use crate::shares::create;

/// The test guest that accesses the last page of its 32 MiB.
pub const COMMAND_LINE: &str = "stale 4 33550336";
/// Its virtual processors.
pub const VPS: u32 = 4;
/// How often the command is given, each time for 48 pages.
const TIMES: u32 = 2;

pub fn a_page_that_is_taken_away_is_reached_by_nobody(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot_with_processors(on, 4)?;
    let mut cli = bulkhead.cli();
    create(&mut cli, "stale", VPS, COMMAND_LINE, "")?;
    accepted(&mut cli, "vm start stale")?;
    cli.attach("stale")?;
    cli.0.expect("ACCESSING", PATIENCE)?;
    cli.leave()?;
    let mut all = [0; 3];
    for _ in 0..TIMES {
        all.iter_mut().zip(churn(&mut cli, "stale")?).for_each(|(sum, more)| *sum += more);
    }
    let [taken, in_use, late] = all;
    ensure!(late == 0, "{late} words of {taken} pages were written after the page was taken away");
    // Or this would have tried nothing.
    ensure!(in_use * 2 > taken, "of {taken} pages only {in_use} were in use");
    expect_nothing_stale(&mut cli, "stale")?;
    accepted(&mut cli, "vm kill stale")
}

/// Asks the guest that accesses the page.
pub fn expect_nothing_stale(cli: &mut Cli<'_>, name: &str) -> Result<()> {
    cli.attach(name)?;
    cli.0.type_line("")?;
    cli.0.expect("STALE ", PATIENCE)?;
    let stale = cli.0.expect(" of ", PATIENCE)?;
    cli.leave()?;
    ensure!(stale == "0", "pages that were taken away were read {stale} times");
    Ok(())
}

/// Takes pages from a VM: how many, how many of them were in use, and how many words were written too late.
pub fn churn(cli: &mut Cli<'_>, name: &str) -> Result<[u64; 3]> {
    // `pages taken: 48, in use: 47, late writes: 0`
    let line = cli.run(&format!("vm churn {name}"))?;
    let parts = line.trim().split(", ").map(|part| part.rsplit(' ').next()?.parse().ok());
    let numbers: Option<Vec<u64>> = parts.collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).with_context(|| format!("no figures: {line}"))
}
