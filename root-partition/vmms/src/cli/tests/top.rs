//! `host top`: what it shows, and who gets what is typed meanwhile.

use super::super::PROMPT;
use super::super::events::Held;
use super::Host;
use syscall::worker::{FromWorker, StopReason};

#[test]
fn top_shows_a_second_once_or_each_second_until_a_key() {
    let mut host = Host::new();
    host.is_running();
    assert_eq!(host.types("host top --once\r"), "host top --once\n");
    host.world.now.set(host.world.now.get() + 10_000_000);
    let expected = "PROCESSOR  GUEST   ROOT    HYPERVISOR  IDLE\n\
                    0          50.0 %  10.0 %  5.0 %       35.0 %\n\
                    1          0.0 %   0.0 %   0.0 %       100.0 %\n\
                    \n\
                    VM    GUEST   ROOT   HYPERVISOR  WAITING  WAKE-UPS/S  EXITS/S  MOSTLY\n\
                    demo  50.0 %  0.0 %  5.0 %       25.0 %   0           110      hypercall 100, cpuid 10\n";
    assert_eq!(host.goes_on(), format!("{expected}{PROMPT}"));
    let json = host.command("host top --json");
    assert!(
        json.starts_with(r#"{"uptime":10000000,"processors":[{"guest":5000000,"root":1000000,"#),
        "{json}"
    );
    assert!(json.contains(r#""exits":{"cpuid":10,"hypercall":100}}]}"#), "{json}");
    let json = host.command("vm stats demo --json");
    assert!(
        json.contains(r#""guest_time":5000000,"hypervisor_time":500000,"root_time":0,"exits":110,"#),
        "{json}"
    );
    host.types("host top\r");
    for _ in 0..2 {
        assert_eq!(host.goes_on(), "");
        host.world.now.set(host.world.now.get() + 10_000_000);
        let shown = host.goes_on();
        assert!(shown.starts_with("\x1b[HPROCESSOR") && shown.contains("any key ends this"), "{shown}");
    }
    assert_eq!(host.types("\x03"), PROMPT);
    assert!(host.command("vm stats demo").contains("VP  PROCESSOR  GUEST"));
}

#[test]
fn what_is_typed_behind_a_look_is_the_next_command() {
    let mut host = Host::new();
    let shown = host.types("host top --once\rvm list\r");
    assert_eq!(shown, "host top --once\n");
    host.world.now.set(host.world.now.get() + 10_000_000);
    let shown = host.goes_on();
    assert!(shown.starts_with("PROCESSOR") && shown.contains("vm list\nNAME"), "{shown}");
    // Nothing else has to happen for that.
    host.world.typed.borrow_mut().extend(b"host top --once\rvm list\r");
    for _ in 0..3 {
        host.cli.turn();
    }
    assert!(host.world.shown.borrow().ends_with(&format!("data:/disks/demo.raw\r\n{PROMPT}")));
    host.types("host top --once\r");
    assert_eq!(host.types("ls\x03"), format!("^C\n{PROMPT}"));
}

#[test]
fn a_key_of_several_bytes_ends_the_table_and_leaves_nothing() {
    let mut host = Host::new();
    for key in ["\x1b[A", "\x1b[15~", "\x1b[[A", "ä", "\x1bOP", "\r\n", " "] {
        assert_eq!(host.types("host top\r\n"), "host top\n\x1b[2J", "a line end is one key");
        assert_eq!(host.types(key), PROMPT, "{key:?}");
    }
    // Nobody knows yet whether that is all of the key; at the next look it is.
    host.types("host top\r");
    assert_eq!(host.types("\x1b"), "");
    host.world.now.set(host.world.now.get() + 10_000_000);
    assert_eq!(host.goes_on(), PROMPT);
    assert!(host.command("vm list").contains("NAME"));
}

#[test]
fn what_happens_behind_the_table_is_told_after_it() {
    let mut host = Host::new();
    host.is_running();
    host.types("host top\r");
    host.world.says(&FromWorker::Stopped(StopReason::PowerOff));
    host.world.ends(1, 0);
    assert_eq!(host.goes_on(), "");
    assert_eq!(host.types("q"), format!("demo is off: its guest powered off\n{PROMPT}"));
    // Once.
    host.types("host top\r");
    assert_eq!(host.types("q"), PROMPT);
}

#[test]
fn no_more_is_held_back_than_fits() {
    let mut held = Held::default();
    (0..40).for_each(|number| held.hold(&number.to_string()));
    let lines: Vec<String> = held.lines().collect();
    assert_eq!((lines.len(), lines[0].as_str()), (33, "0"));
    assert_eq!(lines[32], "and 8 more, see `host log`");
}
