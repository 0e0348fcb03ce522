//! Booting without UEFI: GRUB's menu.

use std::time::Duration;

use anyhow::{Result, ensure};
use machine_tests::artifacts::Artifacts;
use machine_tests::bochs;
use machine_tests::cli::{Cli, PATIENCE};
use machine_tests::kind::Kind;
use machine_tests::machine::Machine;
use machine_tests::qemu::{Boot, Description, Serial};

use crate::machines::PEOPLE_CD;

/// As long as GRUB may take to show its menu.
const MENU: Duration = Duration::from_secs(60);

/// The CD for people, where one of them chooses the entry without graphics at the serial port.
pub fn a_cd_boots(on: Kind) -> Result<()> {
    let cd = Artifacts::find()?.file(PEOPLE_CD);
    let machine = match on.bochs_model() {
        None => Machine::start(Description::new(Boot::Cd(cd), Serial::Pipes))?,
        Some(model) => {
            let mut description = bochs::Description::new(bochs::Boot::Cd(cd));
            description.model = model.to_owned();
            Machine::start_bochs(&description)?
        }
    };
    boots_from_the_menu(machine, on)
}

/// Chooses the entry without graphics, and looks whether all of Bulkhead but its disk is there.
pub fn boots_from_the_menu(mut machine: Machine, on: Kind) -> Result<()> {
    let mut cli = Cli(machine.console());
    cli.0.expect("without graphics", MENU)?;
    // Ctrl-N is "down".
    cli.0.send(b"\x0e\r")?;
    let log = cli.ready()?;
    ensure!(log.contains(on.described()), "the first line is not there: {log}");
    ensure!(log.contains("there is no data volume"), "nobody said that the data volume is missing: {log}");
    cli.0.type_line("host shutdown")?;
    machine.wait_for_power_off(PATIENCE)
}
