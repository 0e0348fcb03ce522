//! How a VM ends, and what starts after it.

use super::{DEMO, Host};
use syscall::ProcessState;
use syscall::worker::{FromWorker, StopReason};

#[test]
fn a_vm_is_off_when_its_memory_and_its_disks_are_free() {
    let other = String::from_utf8(DEMO.to_vec()).unwrap().replace("256 MiB", "16 MiB");
    let mut host = Host::with(&[("demo", DEMO), ("other", other.as_bytes())]);
    host.world.memory_free.set(300 << 20);
    host.world.lingers.set(450);
    host.is_running();
    host.types("vm kill demo\r");
    host.world.says(&FromWorker::Stopped(StopReason::Killed));
    host.world.ends(ProcessState::EXITED, 0);
    assert_eq!(host.goes_on(), "", "the prompt waits for it");
    assert_eq!(host.types("\x03"), "^C\ndemo goes on stopping\nbulkhead> ");
    assert!(host.command("vm list").contains("demo   stopping"));
    assert_eq!(host.command("vm start demo"), "error: demo is stopping already\n");
    let other = host.types("vm start other\r");
    assert!(other.contains("error: data:/disks/demo.raw is in use by demo\n"), "{other}");
    assert!(other.ends_with("\x1b[Kdemo is off: it was killed\nbulkhead> "), "{other:?}");
    assert_eq!(host.world.memory_free.get(), 300 << 20);
    host.is_running();
}

#[test]
fn a_guest_that_resets_itself_finds_its_memory_again() {
    let mut host = Host::new();
    host.world.memory_free.set(300 << 20);
    host.world.lingers.set(3);
    host.is_running();
    host.world.now.set(20_000_000);
    host.world.says(&FromWorker::Stopped(StopReason::Reset));
    host.world.ends(ProcessState::EXITED, 0);
    assert!(host.goes_on().contains("demo was reset by its guest and starts again\n"));
    host.world.says(&FromWorker::Started);
    assert!(host.goes_on().contains("demo is running\n"));
}
