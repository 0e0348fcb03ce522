//! Workers that do not do what they should.

use super::super::PROMPT;
use super::{DEMO, Host};
use syscall::ProcessState;
use syscall::worker::{FromWorker, StopReason, ToWorker};

#[test]
fn a_worker_that_crashes_takes_its_vm_only() {
    let other =
        String::from_utf8(DEMO.to_vec()).unwrap().replace("[[disk]]\npath = \"data:/disks/demo.raw\"\n", "");
    let mut host = Host::with(&[("demo", DEMO), ("alpha", other.as_bytes())]);
    host.types("vm start alpha\r");
    host.world.says(&FromWorker::Started);
    host.goes_on();
    host.is_running();
    assert_eq!(host.command("vm crash demo"), "");
    assert_eq!(host.heard().last(), Some(&ToWorker::Crash));
    host.types("vm li");
    host.world.ends(ProcessState::FAULTED, 6);
    assert_eq!(
        host.goes_on(),
        "\x1b[Kdemo is off: its worker crashed (exception 6 at 0x401234)\nbulkhead> vm li"
    );
    let list = host.types("st\r");
    assert!(list.contains("\nalpha  running") && list.contains("\ndemo   off"), "{list}");
    host.is_running();
}

#[test]
fn a_worker_that_was_taken_over_changes_nobodys_terminal() {
    let mut host = Host::new();
    host.is_running();
    host.world.says(&FromWorker::Started);
    host.world.says(&FromWorker::Started);
    assert_eq!(host.goes_on(), "", "said once");
    host.world.says(&FromWorker::Failed("\x1b[2J\r\nbulkhead> ".repeat(100)));
    host.world.ends(ProcessState::EXITED, 0);
    let shown = host.goes_on();
    assert!(shown.contains("demo is off: [2Jbulkhead> [2J") && !shown.contains("\x1b[2"), "{shown}");
    assert!(shown.lines().all(|line| line.len() < 250), "{shown}");
}

#[test]
fn a_worker_that_talks_nonsense_is_killed() {
    let mut host = Host::new();
    host.is_running();
    host.world.last(|worker| worker.babbles(&[0xFF; 40]));
    assert!(host.goes_on().contains("demo is off: its worker talks nonsense"));
    assert_eq!(host.world.last(|worker| worker.status.state), ProcessState::KILLED);
}

#[test]
fn a_deaf_worker_holds_nobody_up() {
    let mut host = Host::new();
    host.is_running();
    host.types("vm console demo\r");
    host.heard();
    host.world.last(|worker| worker.deaf = true);
    host.types("abc");
    assert_eq!(host.heard(), []);
    host.types("\x1d");
    assert!(host.command("vm list").contains("running"));
    host.world.last(|worker| worker.deaf = false);
    host.goes_on();
    assert_eq!(host.heard(), [ToWorker::ConsoleInput(b"abc".to_vec()), ToWorker::ConsoleAttach(false)]);
}

#[test]
fn a_flood_for_a_deaf_worker_is_kept_within_bounds() {
    let mut host = Host::new();
    host.is_running();
    host.types("vm console demo\r");
    host.world.last(|worker| worker.deaf = true);
    host.types(&"x".repeat(1 << 20));
    assert!(host.cli.typed.len() < 66 << 10);
    host.world.last(|worker| worker.deaf = false);
    host.heard();
    for _ in 0..20 {
        host.goes_on();
    }
    let heard: usize =
        host.heard().iter().map(|it| if let ToWorker::ConsoleInput(it) = it { it.len() } else { 0 }).sum();
    assert_eq!(heard, 1 << 20);
}

#[test]
fn pages_can_be_taken_from_a_vm_that_runs() {
    let mut host = Host::with(&[("demo", DEMO)]);
    assert!(host.command("vm churn demo").contains("error"), "it is off");
    host.is_running();
    assert_eq!(host.command("vm churn demo"), "pages taken: 48, in use: 48, late writes: 0\n");
}

#[test]
fn a_worker_that_talks_on_after_its_end_is_killed_all_the_same() {
    let mut host = Host::new();
    host.is_running();
    host.world.says(&FromWorker::Stopped(StopReason::PowerOff));
    let mut shown = host.goes_on();
    for _ in 0..2 {
        host.world.now.set(host.world.now.get() + 40_000_000);
        host.world.says(&FromWorker::ConsoleOutput(b"and so on".to_vec()));
        shown += &host.goes_on();
    }
    assert!(shown.contains("demo is off: its guest powered off\n"), "{shown}");
    assert_eq!(host.world.last(|worker| worker.status.state), ProcessState::KILLED);
}

#[test]
fn who_kills_a_vm_twice_does_not_wait_for_its_worker() {
    let mut host = Host::new();
    host.is_running();
    assert_eq!(host.command("vm spin demo"), "");
    assert_eq!(host.heard().last(), Some(&ToWorker::Spin));
    assert!(host.types("vm kill demo\r\x03").contains("demo goes on stopping\n"));
    assert_eq!(host.world.last(|worker| worker.status.state), ProcessState::RUNNING);
    assert_eq!(host.types("vm kill demo\r"), format!("vm kill demo\ndemo is off\n{PROMPT}"));
    host.is_clean();
}
