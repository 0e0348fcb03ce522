//! The driver of Bochs itself, on the bare machine: what it says about a machine is so. And the processors that only
//! Bochs has.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use machine_tests::artifacts::Artifacts;
use machine_tests::bochs::{Boot, Description, Disk};
use machine_tests::cli::{Cli, PATIENCE};
use machine_tests::kind::Kind;
use machine_tests::machine::Machine;

use crate::conformance::conforms;
use crate::machines::{BARE_CD, Bulkhead, CD, IMAGE};

/// A processor without x2APIC, and without virtualization of a guest's.
const OLDER: &str = "corei5_arrandale_m520";
/// How long UEFI firmware may take: it executes a thousand million instructions.
const FIRMWARE: Duration = Duration::from_secs(400);

fn described(on: Kind) -> Result<Description> {
    let mut description = Description::new(Boot::Cd(Artifacts::find()?.file(BARE_CD)));
    description.model = on.bochs_model().unwrap_or_default().to_owned();
    Ok(description)
}

fn bare(on: Kind) -> Result<Machine> {
    let mut machine = Machine::start_bochs(&described(on)?)?;
    Cli(machine.console()).ready()?;
    Ok(machine)
}

/// The error of a machine that did not power off.
fn failure(machine: Machine, limit: Duration) -> String {
    machine.wait_for_power_off(limit).err().map(|error| error.to_string()).unwrap_or_default()
}

pub fn the_root_kernel_boots_on_the_bare_machine(on: Kind) -> Result<()> {
    let mut machine = bare(on)?;
    let info = Cli(machine.console()).run("host info")?;
    ensure!(info.contains("hypervisor: none") && info.contains("processors: 1\n"), "{info}");
    ensure!(is_measured(&info), "{info}");
    Cli(machine.console()).0.type_line("host shutdown")?;
    machine.wait_for_power_off(PATIENCE)
}

pub fn a_console_carries_lines_both_ways(on: Kind) -> Result<()> {
    let mut machine = bare(on)?;
    let mut cli = Cli(machine.console());
    for number in 0..50 {
        cli.refused(&format!("nonsense-{number}"), &format!("nonsense-{number}"))?;
    }
    Ok(())
}

pub fn a_machine_that_goes_on_has_not_powered_off(on: Kind) -> Result<()> {
    let error = failure(bare(on)?, Duration::from_millis(500));
    ensure!(error.contains("did not power off") && error.contains("bulkhead> "), "the error is: {error}");
    Ok(())
}

pub fn a_machine_that_resets_is_told_from_one_that_powers_off(on: Kind) -> Result<()> {
    let mut description = described(on)?;
    description.ends_at_reset = true;
    let mut machine = Machine::start_bochs(&description)?;
    let mut cli = Cli(machine.console());
    cli.ready()?;
    cli.0.type_line("host reboot")?;
    let error = failure(machine, PATIENCE);
    ensure!(error.contains("ended otherwise: reset"), "the error is: {error}");
    Ok(())
}

pub fn a_machine_that_bochs_refuses_is_no_machine(on: Kind) -> Result<()> {
    let mut description = described(on)?;
    description.model = "abacus".to_owned();
    let mut machine = Machine::start_bochs(&description)?;
    let error = machine.console().expect("bulkhead> ", PATIENCE).err();
    let error = error.map(|error| error.to_string()).unwrap_or_default();
    ensure!(error.contains("the machine ended before"), "the error is: {error}");
    let error = failure(machine, PATIENCE);
    ensure!(error.contains("ended otherwise: config:3: cpu directive"), "the error is: {error}");
    Ok(())
}

/// Two of Intel's processors that have VT-x, but not enough of it.
pub fn processors_that_lack_something_are_refused(on: Kind) -> Result<()> {
    for (model, why) in [("core2_penryn_t9600", "no EPT"), ("corei5_lynnfield_750", "no unrestricted guest")]
    {
        let mut machine = with_hypervisor(on, model)?;
        machine.console().expect("Bulkhead: ", PATIENCE).with_context(|| model.to_owned())?;
        let line = machine.console().expect("\n", PATIENCE)?;
        ensure!(line.contains(why), "{model}: {line}");
        machine.console().expect_not("Bulkhead: ", Duration::from_millis(300))?;
    }
    Ok(())
}

/// One without x2APIC of its own, and one whose CPUID claims a time stamp counter of 1.5 GHz, which it has not.
pub fn older_and_newer_processors_will_do(on: Kind) -> Result<()> {
    for model in [OLDER, "corei7_icelake_u"] {
        let mut machine = with_hypervisor(on, model)?;
        let mut cli = Cli(machine.console());
        let log = cli.ready().with_context(|| model.to_owned())?;
        let described = on.described().replace(", APICv", if model == OLDER { "" } else { ", APICv" });
        ensure!(log.contains(&described), "{model}: the first line is not there: {log}");
        let info = cli.run("host info")?;
        ensure!(is_measured(&info), "{model}: {info}");
        let virtualization = described.split(", NX").next().unwrap_or_default();
        ensure!(info.contains(&format!("virtualization: {virtualization}\n")), "{model}: {info}");
        cli.0.type_line("host shutdown")?;
        machine.wait_for_power_off(PATIENCE)?;
    }
    Ok(())
}

/// Where the processor does not complete a guest's EOI the hypervisor does, and nobody sees a difference.
pub fn a_guest_gets_the_same_without_apic_virtualization(on: Kind) -> Result<()> {
    let bulkhead = Bulkhead::boot_model("corei7_ivy_bridge_3770k")?;
    ensure!(!bulkhead.boot_log().contains("APICv"), "it has: {}", bulkhead.boot_log());
    conforms(bulkhead, on)
}

/// UEFI firmware starts it from the disk, and gives no ACPI tables.
pub fn a_disk_boots_over_uefi(on: Kind) -> Result<()> {
    let mut description = described(on)?;
    description.boot = Boot::Uefi;
    description.disk = Some(Disk { file: Artifacts::find()?.file(IMAGE), throwaway: true });
    let mut machine = Machine::start_bochs(&description)?;
    let mut cli = Cli(machine.console());
    cli.0.expect("starting from UEFI", FIRMWARE)?;
    let log = cli.ready()?;
    ensure!(log.contains(on.described()), "the first line is not there: {log}");
    ensure!(cli.state("demo")? == "off", "the sample VM is not off");
    cli.0.type_line("host shutdown")?;
    machine.wait_for_power_off(PATIENCE)
}

/// Whether the frequency is the real one, of a tick an instruction, whatever CPUID claims.
fn is_measured(info: &str) -> bool {
    ["49 MHz", "50 MHz"].iter().any(|right| info.contains(&format!("time-stamp counter: {right}")))
}

fn with_hypervisor(on: Kind, model: &str) -> Result<Machine> {
    let mut description = described(on)?;
    description.boot = Boot::Cd(Artifacts::find()?.file(CD));
    description.model = model.to_owned();
    Machine::start_bochs(&description)
}
