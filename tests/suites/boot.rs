//! Ways to start, and to refuse to.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use machine_tests::artifacts::Artifacts;
use machine_tests::cli::{Cli, PATIENCE};
use machine_tests::kind::Kind;
use machine_tests::machine::Machine;
use machine_tests::qemu::{Boot, Bus, Description, Disk, MODEL, Serial};

use crate::bios;
use crate::machines::{
    Bulkhead, IMAGE, TFTP, accepted, create_guest, create_linux, expect_echo, firmware_machine,
};

/// Where the system partition is in an image, for mtools.
const SYSTEM_PARTITION: &str = "@@1M";

pub fn a_usb_stick_boots_over_uefi() -> Result<()> {
    let artifacts = Artifacts::find()?;
    let disk = |bus| Disk { file: artifacts.file(IMAGE), format: "raw", bus, throwaway: true };
    let mut machine = firmware_machine(vec![disk(Bus::Usb), disk(Bus::Nvme)])?;
    let mut cli = Cli(machine.console());
    let log = cli.ready()?;
    ensure!(
        log.contains("AMD-V, nested paging, NX | 2 processors | 2048 MiB"),
        "the first line is not there: {log}"
    );
    ensure!(cli.state("demo")? == "off", "the sample VM is not off");
    let log = cli.run("host log")?;
    ensure!(log.contains("2 of 2 processors, started in"), "a root VP is missing: {log}");
    cli.0.type_line("host shutdown")?;
    machine.wait_for_power_off(PATIENCE)
}

/// By PXE.
pub fn the_network_boots() -> Result<()> {
    let folder = Artifacts::find()?.file(TFTP);
    let machine = Machine::start(Description::new(Boot::Network(folder), Serial::Pipes))?;
    bios::boots_from_the_menu(machine, Kind::Amd)
}

/// Processors share its queues.
pub fn a_virtio_disk_will_do() -> Result<()> {
    let mut bulkhead = Bulkhead::boot_from_as(Bus::Virtio, |machine| {
        machine.processors = 3;
        machine.extra = ["-global", "virtio-blk-pci.num-queues=2"].map(OsString::from).into();
    })?;
    ensure!(
        bulkhead.cli().run("file list data:/kernels")?.contains("vmlinuz"),
        "the data volume is not read"
    );
    let info = bulkhead.cli().run("host info")?;
    ensure!(
        info.contains("configuration: \\bulkhead\\bulkhead.toml on virtio0"),
        "the configuration is not read: {info}"
    );
    ensure!(
        info.contains("virtualization: AMD-V, nested paging\n") && info.contains("IOMMU: none, "),
        "it is not told what machine it is: {info}"
    );
    let log = bulkhead.cli().run("host log")?;
    ensure!(log.contains("virtio0: queues: 2"), "it has not the queues of the device: {log}");
    bulkhead.shut_down()?;
    Ok(())
}

/// A guest that is kept on one processor after the other reads its disk: each is answered itself.
pub fn every_processor_has_its_own_queue_and_interrupt() -> Result<()> {
    const DISK: &str = "data:/disks/queues.raw";
    for (bus, name) in [(Bus::Virtio, "virtio0"), (Bus::Nvme, "nvme0")] {
        let mut bulkhead = Bulkhead::boot_from_as(bus, |machine| machine.processors = 4)?;
        let mut cli = bulkhead.cli();
        accepted(&mut cli, &format!("disk create {DISK} --size 16MiB"))?;
        create_linux(&mut cli, "queues", DISK)?;
        accepted(&mut cli, "vm set queues --affinity 3")?;
        cli.start_linux("queues")?;
        for processor in (0..4).rev() {
            cli.leave()?;
            accepted(&mut cli, &format!("vm set queues --affinity {processor}"))?;
            cli.enter("queues")?;
            let read = format!("dd if=/dev/sda of=/dev/null bs=1M skip={} count=1", processor * 3 + 2);
            cli.shell(&read, PATIENCE)?;
        }
        cli.power_off()?;
        let log = cli.run("host log")?;
        ensure!(log.contains(&format!("{name}: queues: 4")), "there are not four queues: {log}");
        for processor in 0..4 {
            let said = format!("{name}: interrupts come to processor {processor}\n");
            ensure!(log.contains(&said), "none came to {processor}: {log}");
        }
        bulkhead.shut_down()?;
    }
    Ok(())
}

pub fn a_device_without_message_signalled_interrupts_will_do() -> Result<()> {
    let mut bulkhead = Bulkhead::boot_from(Bus::VirtioByWire)?;
    ensure!(
        bulkhead.cli().run("file list data:/kernels")?.contains("vmlinuz"),
        "the data volume is not read"
    );
    bulkhead.shut_down()?;
    Ok(())
}

/// The board has no configuration space in memory either, and more memory than its controller reaches.
pub fn an_ide_disk_will_do_and_keeps_what_it_was_given() -> Result<()> {
    for (command_line, mode) in [("", "DMA"), ("ata-pio", "PIO")] {
        let mut bulkhead = Bulkhead::boot_with(Bus::Ide, command_line)?;
        let log = bulkhead.cli().run("host log")?;
        ensure!(log.contains(&format!("ata0: QEMU HARDDISK, {mode}")), "it is not served by {mode}: {log}");
        ensure!(!log.contains("lost"), "its interrupts do not arrive: {log}");
        create_guest(&mut bulkhead.cli(), "kept", "echo")?;
        let mut again = bulkhead.cut_power()?.boot()?;
        ensure!(again.cli().state("kept")? == "off", "{mode}: what was written is gone");
        accepted(&mut again.cli(), "vm start kept")?;
        expect_echo(&mut again.cli(), "kept", "hello")?;
        again.shut_down()?;
    }
    Ok(())
}

/// The driver gives up after 15 seconds, resets what the disk is on, and goes on with it.
fn a_disk_that_does_not_answer_is_given_up(bus: Bus, said: &str) -> Result<()> {
    let mut bulkhead = Bulkhead::boot_from(bus)?;
    bulkhead.limit_disk(16)?;
    let refused =
        bulkhead.cli().run("vm create late --memory 32MiB --vps 1 --kernel data:/kernels/test-guest")?;
    ensure!(refused.contains("error"), "it was answered: {refused}");
    bulkhead.limit_disk(0)?;
    let log = bulkhead.cli().run("host log")?;
    ensure!(log.contains(said), "it was not reset: {log}");
    create_guest(&mut bulkhead.cli(), "next", "echo")?;
    accepted(&mut bulkhead.cli(), "vm start next")?;
    expect_echo(&mut bulkhead.cli(), "next", "hello")?;
    bulkhead.shut_down()?;
    Ok(())
}

pub fn an_nvme_disk_that_does_not_answer_is_given_up() -> Result<()> {
    a_disk_that_does_not_answer_is_given_up(Bus::Nvme, "the controller is reset")
}

pub fn an_ide_disk_that_does_not_answer_is_given_up() -> Result<()> {
    a_disk_that_does_not_answer_is_given_up(Bus::Ide, "the channel is reset")
}

pub fn processors_that_lack_something_are_refused() -> Result<()> {
    let cases = [
        (MODEL.replace("+svm", "-svm"), "neither AMD-V nor VT-x"),
        (MODEL.replace("+npt", "-npt"), "no nested paging"),
        (format!("{MODEL},-nx"), "no NX"),
        ("qemu64".to_owned(), "no nested paging"),
    ];
    for (model, why) in cases {
        expect_refusal(&model, "", why)?;
    }
    Ok(())
}

/// A command line without room is refused by the loader, and not cut.
pub fn a_command_line_that_is_too_long_is_refused() -> Result<()> {
    expect_refusal(MODEL, &"x".repeat(1025), "the command line is longer than 1024 bytes")
}

/// On this processor, with this command line, the boot ends with one line that says why.
fn expect_refusal(model: &str, command_line: &str, why: &str) -> Result<()> {
    let mut description = Description::new(Artifacts::find()?.pvh(command_line), Serial::Pipes);
    description.model = model.to_owned();
    description.processors = 1;
    let mut machine = Machine::start(description)?;
    machine.console().expect("Bulkhead: ", PATIENCE).with_context(|| model.to_owned())?;
    let line = machine.console().expect("\n", PATIENCE)?;
    ensure!(line.contains(why), "{model}: {line}");
    machine.console().expect_not("Bulkhead: ", Duration::from_millis(300))
}

pub fn a_missing_or_damaged_file_is_named_and_the_firmware_goes_on() -> Result<()> {
    let artifacts = Artifacts::find()?;
    let folder = tempfile::tempdir()?;
    let image = folder.path().join("image");
    run(Command::new("cp").arg("--sparse=always").arg(artifacts.file(IMAGE)).arg(&image))?;
    let partition = format!("{}{SYSTEM_PARTITION}", image.display());
    run(Command::new("mdel").args(["-i", &partition, "::/bulkhead/worker"]))?;
    expect_firmware_back(&image, "\\bulkhead\\worker: no such file on the boot volume")?;
    let damaged = folder.path().join("kernel");
    std::fs::write(&damaged, b"\x7FELF and no more")?;
    run(Command::new("mcopy").args(["-o", "-i", &partition]).arg(&damaged).arg("::/bulkhead/kernel"))?;
    expect_firmware_back(&image, "\\bulkhead\\kernel: not a complete ELF file")
}

/// Boots an image that can not be started: the message comes, and then the firmware has the machine.
fn expect_firmware_back(image: &Path, message: &str) -> Result<()> {
    let disk = Disk { throwaway: true, ..Disk::nvme(image) };
    let mut machine = firmware_machine(vec![disk])?;
    machine.console().expect(message, PATIENCE)?;
    machine.console().expect("returning to the firmware", PATIENCE)?;
    machine.console().expect("BdsDxe: failed to start", PATIENCE)?;
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let status =
        command.status().with_context(|| format!("{:?}: can not be started", command.get_program()))?;
    ensure!(status.success(), "{command:?} failed ({status})");
    Ok(())
}
