//! `host top`: what it shows, and who gets what is typed meanwhile.

use super::super::PROMPT;
use super::super::events::Held;
use super::Host;
use syscall::ProcessState;
use syscall::worker::{FromWorker, StopReason};

#[test]
fn top_shows_a_second_once_or_each_second_until_a_key() {
    let mut host = Host::new();
    host.is_running();
    assert_eq!(host.types("host top --once\r"), "host top --once\n");
    host.world.now.set(host.world.now.get() + 10_000_000);
    let expected = "\
VM    VPS  WEIGHT  LIMIT  GUEST   ROOT   HYPERVISOR  WAITING  LIMITED  WAKE-UPS/S  EXITS/S  MOSTLY
demo  1    100     100 %  50.0 %  2.0 %  5.0 %       25.0 %   12.5 %   0           110      hypercall 100, cpuid 10

PROCESSOR  GUEST   ROOT    HYPERVISOR  IDLE
0          50.0 %  10.0 %  5.0 %       35.0 %
1          0.0 %   0.0 %   0.0 %       100.0 %
";
    assert_eq!(host.goes_on(), format!("{expected}{PROMPT}"));
    host.types("host top\r");
    for _ in 0..2 {
        assert_eq!(host.goes_on(), "");
        host.world.now.set(host.world.now.get() + 10_000_000);
        let shown = host.goes_on();
        assert!(shown.starts_with("\x1b[H\x1b[?7lVM ") && shown.contains("any key ends this"), "{shown}");
        assert!(shown.ends_with("\x1b[J\x1b[?7h"), "lines are as long as they are again: {shown}");
    }
    assert_eq!(host.types("\x03"), PROMPT);
}

#[test]
fn what_is_typed_behind_a_look_is_the_next_command() {
    let mut host = Host::new();
    let shown = host.types("host top --once\rvm list\r");
    assert_eq!(shown, "host top --once\n");
    host.world.now.set(host.world.now.get() + 10_000_000);
    let shown = host.goes_on();
    assert!(shown.contains("PROCESSOR") && shown.contains("vm list\nNAME"), "{shown}");
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
    host.world.ends(ProcessState::EXITED, 0);
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

/// What a table that changes shows after a second.
fn rows(host: &mut Host, command: &str) -> Vec<String> {
    host.types(&format!("{command}\r"));
    host.world.now.set(host.world.now.get() + 10_000_000);
    let shown = host.goes_on().replace("\x1b[K", "");
    assert_eq!(host.types("q"), PROMPT);
    shown.lines().map(str::to_owned).collect()
}

#[test]
fn a_table_that_changes_fits_a_terminal() {
    let vm = |number: usize, vps: u32| {
        (
            format!("vm{number:02}"),
            format!("memory = \"2 MiB\"\nvps = {vps}\nkernel = \"data:/kernels/vmlinuz\"\n"),
        )
    };
    let vms: Vec<(String, String)> =
        (0..30).map(|number| vm(number, if number == 17 { 4 } else { 1 })).collect();
    let vms: Vec<(&str, &[u8])> = vms.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let mut host = Host::with(&vms);
    for (name, _) in &vms[..20] {
        host.types(&format!("vm start {name}\r"));
        host.world.says(&FromWorker::Started);
        host.goes_on();
    }
    host.world.idlers.set(62);
    let shown = rows(&mut host, "host top");
    // The last is the cursor's.
    assert!(shown.len() <= 24, "{shown:#?}");
    assert!(shown[1].starts_with("vm17  4    ") && shown.iter().any(|row| row == "and 4 more"), "{shown:#?}");
    assert!(
        shown.iter().any(|row| row.starts_with("all 64     0.7 %  0.1 %  0.0 %       98.9 %")),
        "{shown:#?}"
    );
    let shown = rows(&mut host, "host top --processors");
    assert!(
        shown.iter().any(|row| row.starts_with("63 ")) && shown.iter().any(|row| row.starts_with("vm19 "))
    );
}

#[test]
fn what_a_person_reads_is_what_a_program_reads() {
    let text = "memory = \"2 MiB\"\nvps = 3\nkernel = \"data:/kernels/vmlinuz\"\n";
    let mut host = Host::with(&[("demo", text.as_bytes())]);
    host.is_running();
    host.world.now.set(123_456_000);
    let (human, show) = (host.command("vm stats demo"), host.command("vm show demo"));
    let json = |host: &mut Host, command: &str| -> serde_json::Value {
        serde_json::from_str(host.command(command).trim()).unwrap()
    };
    let stats = json(&mut host, "vm stats demo --json");
    let value = |name: &str| {
        let row = human.lines().find(|row| row.trim_start().starts_with(name)).unwrap();
        row.trim_start()[name.len()..].trim().to_owned()
    };
    let seconds = |key: &str| {
        let time = stats[key].as_u64().unwrap();
        format!("{}.{:03} s", time / 10_000_000, time / 10_000 % 1000)
    };
    for (name, key) in [
        ("guest time", "guest_time"),
        ("hypervisor's time", "hypervisor_time"),
        ("worker's time", "root_time"),
        ("waited for a processor", "wait_time"),
        ("waited at its limit", "limited_time"),
    ] {
        assert_eq!(value(name), seconds(key), "{human}");
    }
    assert_eq!(seconds("guest_time"), "18.518 s", "of three virtual processors");
    assert!(show.contains("guest time: 18.518 s\n"), "{show}");
    let exits = stats["exits"].as_object().unwrap();
    assert_eq!(exits.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), stats["exits_total"]);
    for (name, count) in
        [("exits", &stats["exits_total"]), ("cpuid", &exits["cpuid"]), ("hypercall", &exits["hypercall"])]
    {
        assert_eq!(value(name), count.to_string());
    }
    assert_eq!((value("disk requests"), value("disk bytes written")), ("110".into(), "130".into()));
    // The same key is the same thing in every object.
    let top = json(&mut host, "host top --json");
    let vm = &top["vms"][0];
    for key in [
        "up_time",
        "guest_time",
        "hypervisor_time",
        "root_time",
        "wait_time",
        "limited_time",
        "exits",
        "exits_total",
    ] {
        assert_eq!(vm[key], stats[key], "{key}");
        assert!(!stats[key].is_null(), "{key}");
    }
    let (vp, processor) = (&stats["each_vp"][2], &top["processors"][0]);
    assert_eq!(vp["guest_time"].as_u64().unwrap() * 3, stats["guest_time"]);
    assert!(vp["exits"].is_object() && processor["idle_time"].is_u64() && processor["root_time"].is_u64());
    let list = json(&mut host, "vm list --json");
    assert_eq!((&list[0]["uptime_seconds"], &list[0]["vps"]), (&65.into(), &vm["vps"]));
}
