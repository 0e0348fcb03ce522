//! Definitions: made, refused, deleted.

use super::super::fake::Fake;
use super::super::{Cli, PROMPT};
use super::{DEMO, Host};
use crate::config::Configuration;
use crate::store::Volume;
use crate::store::tests::path;
use crate::vm::State;
use std::rc::Rc;
use syscall::ProcessState;
use syscall::worker::{FromWorker, ToWorker};

#[test]
fn what_cannot_be_started_leaves_nothing() {
    let mut host = Host::new();
    host.world.memory_free.set(100 << 20);
    assert_eq!(host.command("vm start demo"), "error: demo needs 256 MiB of memory, 100 MiB is free\n");
    host.world.memory_free.set(1 << 30);
    host.is_clean();
    assert_eq!(host.command("vm start web"), "error: there is no VM web\n");
    let shown = host.types("vm start demo\r");
    assert_eq!(shown, "vm start demo\n");
    host.world.says(&FromWorker::Failed("not a kernel: no boot sector".into()));
    host.world.ends(ProcessState::EXITED, 0);
    assert_eq!(host.goes_on(), format!("error: demo is off: not a kernel: no boot sector\n{PROMPT}"));
    host.is_clean();
    host.is_running();
    assert_eq!(host.command("vm start demo"), "error: demo is running already\n");
    assert_eq!(host.command("vm delete demo"), "error: demo is running; stop it first\n");
}

#[test]
fn definitions_are_made_and_deleted() {
    let mut host = Host::with(&[]);
    let create = "vm create web --memory 64 MiB --vps 2 --kernel data:/kernels/vmlinuz";
    assert_eq!(host.command(create), "web is defined; `vm start web` starts it\n");
    assert_eq!(host.command(create), "error: there is a VM web already\n");
    let missing = "vm create other --memory 64 MiB --vps 2 --kernel data:/kernels/nothing";
    assert_eq!(host.command(missing), "error: data:/kernels/nothing: no such file or directory\n");
    assert_eq!(host.command("file list data:/vms"), "NAME  SIZE\nweb/  -\n");
    let json = host.command("vm show web --json");
    let value: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!(value["memory"], 64 << 20);
    assert_eq!((&value["state"], &value["uptime_seconds"]), (&"off".into(), &serde_json::Value::Null));
    let list: serde_json::Value = serde_json::from_str(host.command("vm list --json").trim()).unwrap();
    assert_eq!(list[0], value);
    assert!(host.command("vm show web").contains("\nkernel: data:/kernels/vmlinuz\n"));
    assert_eq!(host.command("vm delete web"), "web is deleted; its disks are kept\n");
    assert_eq!(host.command("file list data:/vms"), "NAME  SIZE\n");
    host.types("host shutdown\r");
    host.image.check();
}

#[test]
fn what_is_set_while_it_is_off_is_what_starts() {
    let mut host = Host::new();
    let set =
        "vm set demo --memory 64 MiB --vps 3 --cmdline \"console=ttyS0 quiet\" --autostart on --weight 7";
    assert_eq!(host.command(set), "demo is changed\n");
    let read = |host: &mut Host| {
        let volume = host.cli.manager.volume.as_mut().unwrap();
        String::from_utf8(volume.read(&path("data:/vms/demo/demo.toml"), 4096).unwrap()).unwrap()
    };
    let file = read(&mut host);
    for line in [
        "memory = \"64 MiB\"",
        "vps = 3",
        "cmdline = \"console=ttyS0 quiet\"",
        "autostart = true",
        "weight = 7",
    ] {
        assert!(file.lines().any(|it| it == line), "no `{line}` in: {file}");
    }
    assert!(host.command("vm show demo").contains("\nautostart: true\n"));
    host.types("vm start demo\r");
    let heard = host.heard();
    let [ToWorker::Start { memory, vps, cmdline, .. }] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((*memory, *vps, cmdline.as_str()), (64 << 20, 3, "console=ttyS0 quiet"));
    assert_eq!(host.world.memory_free.get(), (1 << 30) - (64 << 20));
    // Whether it starts with the host can be changed at any time; what is refused changes nothing.
    host.world.says(&FromWorker::Started);
    host.goes_on();
    assert_eq!(host.command("vm set demo --autostart off"), "demo is changed\n");
    assert!(host.command("vm set demo --cmdline x").starts_with("error: demo is running; "));
    assert_eq!(read(&mut host), file.replace("autostart = true", "autostart = false"));
}

#[test]
fn a_vm_is_made_to_start_with_the_host() {
    let mut host = Host::with(&[]);
    host.command("vm create web --memory 64MiB --vps 1 --kernel data:/kernels/vmlinuz --autostart on");
    assert!(host.command("vm show web").contains("\nautostart: true\n"));
    host.types("host shutdown\r");
    let configuration = Configuration::default();
    let mut cli = Cli::new(Fake(Rc::clone(&host.world)), configuration, Ok(host.image.volume()));
    cli.begin();
    assert_eq!(cli.manager.vms()[0].state(), State::Starting);
}

#[test]
fn a_limit_of_the_host_is_named() {
    let many = (0..65).map(|number| format!("\n[[disk]]\npath = \"data:/disks/{number}\"\n"));
    let text = String::from_utf8(DEMO.to_vec()).unwrap();
    let disks = text.split("\n[[disk]]").next().unwrap().to_owned() + &many.collect::<String>();
    let mut host = Host::with(&[("demo", DEMO), ("disks", disks.as_bytes())]);
    let refused = host.command("vm start disks");
    assert!(refused.ends_with("a VM has at most 64 disks\n") && refused.lines().count() == 1, "{refused}");
    // The kernel says so when there are as many VMs as there can be.
    host.world.vms_max.set(Some(0));
    assert_eq!(
        host.command("vm start demo"),
        "error: demo cannot be made (256 MiB of memory): a limit of the host is reached, the host log says which\n"
    );
    host.is_clean();
    host.world.vms_max.set(None);
    host.is_running();
}

#[test]
fn a_malformed_definition_is_named_with_its_line() {
    let mut host = Host::with(&[("bad", b"memory = \"-5 MiB\"\n"), ("demo", DEMO)]);
    assert!(host.command("vm list").contains("bad   invalid  -    -        -       -\n"));
    let error = "data:/vms/bad/bad.toml: line 1: a size cannot be negative: `-5 MiB`";
    assert_eq!(host.command("vm start bad"), format!("error: {error}\n"));
    assert!(host.command("host log").contains(error));
    assert_eq!(host.command("vm delete bad"), "bad is deleted; its disks are kept\n");
}
