//! What VMs get of the processors: in proportion to their weights, no less than their reserve, no more than their limit,
//! and where they may run.

use anyhow::{Result, ensure};
use machine_tests::cli::Cli;
use machine_tests::kind::Kind;

use crate::machines::{Bulkhead, accepted};
use crate::top::{Top, watch};

/// For how many of the machine's seconds it is watched who runs, once.
const WINDOW: f64 = 10.0;
/// The same in QEMU, whose processors have a turn of up to a tenth of a second each: whoever runs on one is charged for the
/// others' turns too, and for the host's pauses, and makes up for it.
const WINDOW_IN_TURNS: f64 = 30.0;
/// For how many seconds it is not watched after a change.
const SETTLE: f64 = 1.0;
/// How far something may be from what it is to be.
const TOLERANCE: f64 = 0.05;

/// Creates a VM of `vps` virtual processors that runs the test guest with a command line.
pub fn create(cli: &mut Cli<'_>, name: &str, vps: u32, command_line: &str, share: &str) -> Result<()> {
    let kernel = "--kernel data:/kernels/test-guest";
    let rest = format!("--vps {vps} {kernel} --cmdline \"{command_line}\" {share}");
    accepted(cli, &format!("vm create {name} --memory 32MiB {rest}"))
}

/// So much at least of what all of them have. What the root partition takes for itself, the turns of QEMU's other processors
/// too, is nobody's.
fn has_at_least(part: f64, shares: &[f64], percent: f64) -> bool {
    part >= shares.iter().sum::<f64>() * percent / 100.0 * (1.0 - TOLERANCE)
}

/// For how long it is watched who runs on a machine.
fn window(on: Kind) -> f64 {
    if on.bochs_model().is_some() { WINDOW } else { WINDOW_IN_TURNS }
}

/// It is as `check` wants it.
pub fn expect(
    on: Kind,
    cli: &mut Cli<'_>,
    names: &[&str],
    what: &str,
    check: impl Fn(&[f64]) -> bool,
) -> Result<()> {
    watch(cli, names, SETTLE)?;
    let shares = watch(cli, names, window(on))?;
    println!("{what}: {names:?} have {shares:.1?} % of a processor");
    ensure!(check(&shares), "{what}: {names:?} have {shares:.1?} % of a processor");
    Ok(())
}

fn is_near(part: f64, wanted: f64) -> bool {
    (part - wanted).abs() <= wanted * TOLERANCE
}

/// Whether parts are in this proportion, each within 5 % of what it is to be.
pub fn are_in_proportion(parts: &[f64], proportion: &[f64]) -> bool {
    let (all, whole): (f64, f64) = (parts.iter().sum(), proportion.iter().sum());
    parts.iter().zip(proportion).all(|(part, wanted)| is_near(*part, all * wanted / whole))
}

/// The processors of a machine.
pub fn processors(on: Kind) -> u32 {
    if on.bochs_model().is_some() { 1 } else { 2 }
}

pub fn shares_are_what_they_were_set_to(on: Kind) -> Result<()> {
    let mut bulkhead = Bulkhead::boot(on)?;
    let mut cli = bulkhead.cli();
    let vps = processors(on);
    let host = f64::from(vps) * 100.0;
    let all = ["one", "two", "four"];
    for (name, weight) in all.iter().zip([100, 200, 400]) {
        create(&mut cli, name, vps, &format!("work {vps}"), &format!("--weight {weight}"))?;
        accepted(&mut cli, &format!("vm start {name}"))?;
    }
    expect(on, &mut cli, &all, "weights", |shares| are_in_proportion(shares, &[1.0, 2.0, 4.0]))?;
    accepted(&mut cli, "vm set four --limit 25")?;
    let limited = |shares: &[f64]| {
        let [one, two, four] = shares else { return false };
        let wanted = host * 0.25;
        *four <= wanted * (1.0 + TOLERANCE)
            && has_at_least(*four, shares, 25.0)
            && are_in_proportion(&[*one, *two], &[1.0, 2.0])
    };
    expect(on, &mut cli, &all, "a limit of 25 %", limited)?;
    accepted(&mut cli, "vm set one --weight 1 --reserve 40")?;
    expect(on, &mut cli, &all, "a reserve of 40 %", |shares| {
        shares.first().is_some_and(|one| has_at_least(*one, shares, 40.0))
    })?;
    cli.refused("vm set two --reserve 70", "beside one it can have")?;
    cli.refused("vm set two --affinity 7", "there is no processor 7")?;
    cli.refused("vm set two --reserve 60 --limit 50", "above the limit")?;
    if vps == 2 {
        accepted(&mut cli, "vm set one --weight 100 --reserve 0 --affinity 1")?;
        accepted(&mut cli, "vm set two --weight 300 --affinity 1")?;
        accepted(&mut cli, "vm set four --limit 100 --affinity 0")?;
        expect(on, &mut cli, &all, "affinity", |shares| {
            let [one, two, four] = shares else { return false };
            has_at_least(*four, shares, 50.0)
                && one + two <= 100.5
                && are_in_proportion(&[*one, *two], &[1.0, 3.0])
        })?;
    }
    for name in all {
        accepted(&mut cli, &format!("vm kill {name}"))?;
    }
    alone_under_a_limit(on, &mut cli)
}

/// A limit holds where nobody else wants the processor.
fn alone_under_a_limit(on: Kind, cli: &mut Cli<'_>) -> Result<()> {
    // QEMU's timers are the host's, and late: so it has less, as nobody makes up for a limit.
    let least = if on.bochs_model().is_some() { 25.0 * (1.0 - TOLERANCE) } else { 20.0 };
    let most = 25.0 * (1.0 + TOLERANCE);
    create(cli, "alone", 1, "work", "--limit 25")?;
    accepted(cli, "vm start alone")?;
    expect(on, cli, &["alone"], "a limit on an idle host", |shares| {
        shares.first().is_some_and(|share| (least..=most).contains(share))
    })?;
    // Whatever it did not run it was kept from it, but for the moments in which somebody else did.
    let now = Top::now(cli)?;
    let time = |key| now.seconds("alone", key);
    let (ran, limited, waited) = (now.ran("alone")?, time("limited_time")?, time("wait_time")?);
    let (sum, all) = (ran + limited + waited, time("up_time")?);
    ensure!(
        limited > 2.0 * ran && is_near(sum, all),
        "of {all} s it ran for {ran}, waited for {waited} and was kept from it for {limited}"
    );
    Ok(())
}
