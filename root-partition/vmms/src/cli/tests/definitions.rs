//! Definitions: made, refused, deleted.

use super::super::PROMPT;
use super::{DEMO, Host};
use syscall::ProcessState;
use syscall::worker::FromWorker;

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
fn a_malformed_definition_is_named_with_its_line() {
    let mut host = Host::with(&[("bad", b"memory = \"-5 MiB\"\n"), ("demo", DEMO)]);
    assert!(host.command("vm list").contains("bad   invalid  -    -        -       -\n"));
    let error = "data:/vms/bad/bad.toml: line 1: a size cannot be negative: `-5 MiB`";
    assert_eq!(host.command("vm start bad"), format!("error: {error}\n"));
    assert!(host.command("host log").contains(error));
    assert_eq!(host.command("vm delete bad"), "bad is deleted; its disks are kept\n");
}
