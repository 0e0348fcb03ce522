//! Consoles: who sees what a guest says, and who gets the keys.

use super::super::PROMPT;
use super::Host;
use syscall::ProcessState;
use syscall::worker::{FromWorker, StopReason, ToWorker};

#[test]
fn a_console_is_left_and_entered_again() {
    let mut host = Host::new();
    host.is_running();
    host.world.says(&FromWorker::ConsoleOutput(b"nobody sees this".to_vec()));
    assert_eq!(host.goes_on(), "");
    host.heard();
    let shown = host.types("vm console demo\rls\x1dvm list\r");
    assert!(shown.contains("leaves it]\n\n[left the console of demo]\nbulkhead> vm list\nNAME"), "{shown}");
    let expected = [
        ToWorker::ConsoleAttach(true),
        ToWorker::ConsoleInput(b"ls".to_vec()),
        ToWorker::ConsoleAttach(false),
    ];
    assert_eq!(host.heard(), expected);
}

#[test]
fn a_guest_that_resets_itself_starts_again_and_keeps_its_console() {
    let mut host = Host::new();
    host.types("vm start demo --console\r");
    host.world.says(&FromWorker::Started);
    host.goes_on();
    host.world.now.set(20_000_000);
    host.world.says(&FromWorker::Stopped(StopReason::Reset));
    host.world.ends(ProcessState::EXITED, 0);
    assert_eq!(host.goes_on(), "\n[demo was reset by its guest and starts again]\n");
    assert_eq!(host.world.workers.borrow().len(), 2);
    host.world.says(&FromWorker::Started);
    assert_eq!(host.goes_on(), "");
    assert!(matches!(host.heard()[..], [ToWorker::Start { console: true, .. }]));
    host.world.says(&FromWorker::ConsoleOutput(b"again".to_vec()));
    assert_eq!(host.goes_on(), "again");
    assert_eq!(host.world.vms.get(), 2);
}

#[test]
fn a_guest_that_resets_itself_all_the_time_starts_once_a_second() {
    let mut host = Host::new();
    host.is_running();
    for second in 1..3 {
        host.world.says(&FromWorker::Stopped(StopReason::Reset));
        host.world.ends(ProcessState::EXITED, 0);
        assert_eq!(host.goes_on(), "");
        assert!(host.command("vm list").contains("demo  starting"));
        // Nothing spins meanwhile.
        let mut entries = host.cli.manager.wait_entries();
        assert!(entries.is_empty());
        crate::system::System::wait(&host.cli.manager.system, &mut entries, host.cli.manager.deadline());
        assert_eq!(host.world.now.get(), second * 10_000_000);
        assert!(host.goes_on().contains("demo was reset by its guest and starts again\n"));
        host.world.says(&FromWorker::Started);
        assert!(host.goes_on().contains("demo is running\n"));
    }
    host.world.says(&FromWorker::Stopped(StopReason::Reset));
    host.world.ends(ProcessState::EXITED, 0);
    host.goes_on();
    assert!(host.types("vm kill demo\r").contains("demo is off\n"));
    host.is_clean();
}

#[test]
fn a_guest_that_is_off_at_once_was_heard() {
    let mut host = Host::new();
    host.types("vm start demo --console\r");
    host.world.says(&FromWorker::Started);
    host.world.says(&FromWorker::ConsoleOutput(b"figures".to_vec()));
    host.world.says(&FromWorker::Stopped(StopReason::PowerOff));
    host.world.ends(ProcessState::EXITED, 0);
    let shown = host.goes_on();
    assert!(
        shown.ends_with("leaves it]\nfigures\n[demo is off: its guest powered off]\nbulkhead> "),
        "{shown}"
    );
}

#[test]
fn control_c_gives_the_prompt_back() {
    let mut host = Host::new();
    let shown = host.types("vm start demo\r\x03vm list\r");
    assert!(
        shown.starts_with("vm start demo\n^C\ndemo goes on starting\nbulkhead> vm list\nNAME"),
        "{shown}"
    );
    assert!(shown.contains("demo  starting"));
    host.world.says(&FromWorker::Started);
    assert_eq!(host.goes_on(), format!("\x1b[Kdemo is running\n{PROMPT}"));
}
