//! The driver itself, on the bare machine: what it says about a machine is so.

use std::time::Duration;

use anyhow::{Result, ensure};
use machine_tests::artifacts::Artifacts;
use machine_tests::cli::PATIENCE;
use machine_tests::machine::Machine;
use machine_tests::qemu::{Boot, Description, Serial};

fn echo() -> Result<Machine> {
    let kernel = Artifacts::find()?.part("test-guest");
    let boot = Boot::Pvh { kernel, module: None, command_line: "echo".to_owned() };
    let mut machine = Machine::start(Description::new(boot, Serial::Pipes))?;
    machine.console().expect("ECHO\n", PATIENCE)?;
    Ok(machine)
}

pub fn a_console_carries_lines_both_ways() -> Result<()> {
    let mut machine = echo()?;
    for number in 0..50 {
        machine.console().type_line(&format!("line {number}"))?;
        machine.console().expect(&format!("echo: line {number}\n"), PATIENCE)?;
    }
    Ok(())
}

pub fn a_machine_that_goes_on_has_not_powered_off() -> Result<()> {
    let error = echo()?.wait_for_power_off(Duration::from_millis(500)).err();
    let error = error.map(|error| error.to_string()).unwrap_or_default();
    ensure!(error.contains("did not power off") && error.contains("ECHO"), "the error is: {error}");
    Ok(())
}

pub fn a_machine_that_resets_is_told_from_one_that_powers_off() -> Result<()> {
    let kernel = Artifacts::find()?.part("test-guest");
    let boot = Boot::Pvh { kernel, module: None, command_line: "triple-fault".to_owned() };
    let mut description = Description::new(boot, Serial::Pipes);
    description.extra.push("-no-reboot".into());
    let error = Machine::start(description)?.wait_for_power_off(PATIENCE).err();
    let error = error.map(|error| error.to_string()).unwrap_or_default();
    ensure!(error.contains("guest-reset"), "the error is: {error}");
    Ok(())
}
