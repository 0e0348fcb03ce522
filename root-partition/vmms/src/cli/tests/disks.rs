//! Disks: made, given up, and used by one VM at a time.

use super::super::fake::Fake;
use super::super::{Cli, PROMPT};
use super::{DEMO, Host};
use crate::config::Configuration;
use crate::store::Volume;
use crate::store::tests::path;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use syscall::HostAction;
use syscall::ProcessState;
use syscall::worker::{FromWorker, StopReason};

#[test]
fn a_disk_is_used_by_one_vm_at_a_time() {
    let mut host = Host::with(&[("demo", DEMO), ("twin", DEMO)]);
    host.is_running();
    assert_eq!(host.command("vm start twin"), "error: data:/disks/demo.raw is in use by demo\n");
    host.types("vm kill demo\r");
    assert!(host.world.last(|worker| worker.stopped));
    host.world.says(&FromWorker::Stopped(StopReason::Killed));
    host.world.ends(ProcessState::EXITED, 0);
    assert_eq!(host.goes_on(), format!("demo is off\n{PROMPT}"));
    assert_eq!(host.types("vm start twin\r"), "vm start twin\n");
    let attachments = host.world.last(|worker| worker.attachments.clone());
    assert_eq!((attachments.len(), attachments[0].lun, attachments[0].length), (1, 0, 1 << 20));
}

#[test]
fn a_disk_is_the_same_by_any_of_its_names() {
    let text = String::from_utf8(DEMO.to_vec()).unwrap();
    let twin = text.replace("demo.raw", "link.raw");
    let both = format!("{text}\n[[disk]]\npath = \"data:/disks/link.raw\"\n");
    let mut host = Host::with(&[("both", both.as_bytes()), ("demo", DEMO), ("twin", twin.as_bytes())]);
    host.image.run("debugfs", &["-w", "-R", "ln /disks/demo.raw /disks/link.raw"]);
    host.cli = Cli::new(Fake(Rc::clone(&host.world)), Configuration::default(), Ok(host.image.volume()));
    host.cli.begin();
    let refused = host.command("vm start both");
    assert_eq!(refused, "error: data:/disks/link.raw is the same file as data:/disks/demo.raw\n");
    host.is_running();
    assert_eq!(host.command("vm start twin"), "error: data:/disks/link.raw is in use by demo\n");
}

#[test]
fn disks_are_made_a_piece_at_a_time() {
    let mut host = Host::new();
    let made = host.command("disk create data:/disks/new.vhd --size 3 MiB");
    assert_eq!(made, "data:/disks/new.vhd is made: 3 MiB\n");
    let made = host.command("disk create data:/disks/new.raw --size 1M");
    assert_eq!(made, "data:/disks/new.raw is made: 1 MiB\n");
    let error = host.command("disk create data:/disks/new.raw --size 1M");
    assert_eq!(error, "error: data:/disks/new.raw: it is there already\n");
    assert_eq!(
        host.command("disk create data:/disks/big.raw --size 1G"),
        "error: data:/disks/big.raw: the data volume is full\n"
    );
    assert!(host.command("disk create data:/none/a --size 1M").ends_with("no such file or directory\n"));
    assert!(host.command("disk create data:/disks/a --size 5").contains("made of sectors of 512 bytes"));
    assert_eq!(
        host.command("disk list"),
        "PATH                  SIZE   FORMAT  USED BY\n\
         data:/disks/demo.raw  1 MiB  raw     demo\n\
         data:/disks/new.raw   1 MiB  raw     -\n\
         data:/disks/new.vhd   3 MiB  VHD     -\n"
    );
    let json: serde_json::Value = serde_json::from_str(host.command("disk list --json").trim()).unwrap();
    let disk = serde_json::json!({
        "path": "data:/disks/demo.raw", "format": "raw", "size": 1 << 20, "error": null, "used_by": ["demo"]
    });
    assert_eq!((&json[0], json.as_array().unwrap().len()), (&disk, 3));
    host.types("host reboot\r");
    assert_eq!(host.world.power.get(), Some(HostAction::Reboot));
    host.image.check();
}

#[test]
fn a_disk_that_is_given_up_leaves_nothing() {
    let mut host = Host::new();
    host.world.typed.borrow_mut().extend(b"disk create data:/disks/new.raw --size 9M\r");
    host.cli.turn();
    host.cli.turn();
    let shown = host.types("\x03");
    assert!(shown.contains("data:/disks/new.raw is not made"), "{shown}");
    assert_eq!(host.command("file list data:/disks"), "NAME      SIZE\ndemo.raw  1 MiB\n");
    host.types("host shutdown\r");
    host.image.check();
}

#[test]
fn a_damaged_vhd_is_refused() {
    let mut host = Host::new();
    host.command("disk create data:/disks/bad.vhd --size 1 MiB");
    let create =
        "vm create web --memory 64 MiB --vps 1 --kernel data:/kernels/vmlinuz --disk data:/disks/bad.vhd";
    host.command(create);
    let layout = host.cli.manager.volume.as_mut().unwrap().layout(&path("data:/disks/bad.vhd")).unwrap();
    let last = layout.extents.last().unwrap();
    let before: u64 = layout.extents.iter().map(|extent| extent.length).sum::<u64>() - last.length;
    let footer = last.start + (layout.length - 512 - before);
    // The creator's version is under the checksum.
    host.image.disk().file.write_all_at(&[0xEE], footer + 32).unwrap();
    assert_eq!(
        host.command("vm start web"),
        "error: data:/disks/bad.vhd: the checksum of its VHD footer is wrong\n"
    );
    host.is_clean();
    assert!(host.command("disk list").contains("unusable: the checksum of its VHD footer is wrong"));
    let json: serde_json::Value = serde_json::from_str(host.command("disk list --json").trim()).unwrap();
    assert_eq!(
        (&json[0]["error"], &json[0]["size"]),
        (&"the checksum of its VHD footer is wrong".into(), &serde_json::Value::Null)
    );
}

#[test]
fn what_happens_while_a_disk_is_made_has_a_line_of_its_own() {
    let mut host = Host::new();
    host.is_running();
    host.world.typed.borrow_mut().extend(b"disk create data:/disks/new.raw --size 9M\r");
    host.cli.turn();
    host.world.now.set(host.world.now.get() + 20_000_000);
    host.cli.turn();
    host.world.says(&FromWorker::Stopped(StopReason::PowerOff));
    host.world.ends(ProcessState::EXITED, 0);
    let shown = host.goes_on();
    assert!(shown.contains("\x1b[Kdemo is off: its guest powered off\n"), "{shown:?}");
    assert!(shown.ends_with(&format!("data:/disks/new.raw is made: 9 MiB\n{PROMPT}")), "{shown:?}");
}
