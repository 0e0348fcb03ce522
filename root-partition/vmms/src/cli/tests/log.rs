//! `host log`.

use super::super::PROMPT;
use super::Host;
use syscall::ProcessState;
use syscall::worker::{FromWorker, StopReason};

fn with_lines(count: usize) -> Host {
    let host = Host::new();
    let lines =
        (0..count).map(|number| format!("[    0.{number:06}] a line of the log that has sixty-four bytes"));
    *host.world.log.borrow_mut() = lines.collect();
    host
}

#[test]
fn a_long_log_holds_nobody_up_and_has_an_end() {
    // 64 KiB.
    let mut host = with_lines(1024);
    let shown = host.types("host log\r\x03vm list\r");
    assert!(shown.len() < 8 << 10 && shown.contains(&format!("^C\n{PROMPT}vm list\nNAME")), "{shown}");
    // Between two of its pieces everything else happens.
    host.is_running();
    host.world.typed.borrow_mut().extend(b"host log\r");
    host.world.shown.borrow_mut().clear();
    for _ in 0..5 {
        host.cli.turn();
    }
    host.world.says(&FromWorker::Stopped(StopReason::PowerOff));
    host.world.ends(ProcessState::EXITED, 0);
    for _ in 0..5 {
        host.cli.turn();
    }
    let shown = host.world.shown.borrow().replace('\r', "");
    assert!(shown.len() < 16 << 10, "{}", shown.len());
    assert!(shown.contains("bytes\ndemo is off: its guest powered off\n[    0.00"), "{shown}");
    let shown = host.types("\x03");
    assert!(shown.ends_with(&format!("^C\n{PROMPT}")), "{shown}");
}

#[test]
fn a_log_is_shown_whole_or_its_last_lines() {
    let mut host = with_lines(1000);
    let whole = host.world.log.borrow().join("\n") + "\n";
    assert_eq!(host.command("host log"), whole);
    let last = "[    0.000998] a line of the log that has sixty-four bytes\n\
                [    0.000999] a line of the log that has sixty-four bytes\n";
    assert_eq!(host.command("host log --lines 2"), last);
    assert_eq!(host.command("host log --lines 0"), "");
    assert_eq!(host.command("host log --lines 5000"), whole);
    // A line without an end that fits nowhere.
    *host.world.log.borrow_mut() = vec!["x".repeat(20_000), "y".into()];
    assert_eq!(host.command("host log"), "x".repeat(20_000) + "\ny\n");
    host.world.log.borrow_mut().clear();
    assert_eq!(host.command("host log"), "");
}
