//! Lines to commands, and what Tab makes of them.

use super::{Command, Names, complete, help, parse};
use crate::affinity::Affinity;
use crate::changes::Changes;
use crate::name::Name;
use crate::path::DataPath;
use crate::size::Size;
use proptest::prelude::*;

fn error(line: &str) -> String {
    parse(line).unwrap_err()
}

#[test]
fn commands_of_every_form() {
    let name = || Name::parse("demo").unwrap();
    let is = |line: &str, command| assert_eq!(parse(line), Ok(Some(command)), "{line}");
    assert_eq!(parse("  "), Ok(None));
    is("help", Command::Help);
    is("vm list", Command::VmList { json: false });
    is(" vm  list --json", Command::VmList { json: true });
    is("vm start demo --console", Command::VmStart { name: name(), console: true });
    is("vm start --console demo", Command::VmStart { name: name(), console: true });
    is("vm stop demo", Command::VmStop(name()));
    let path = DataPath::parse("data:/disks/a.vhd").unwrap();
    for size in ["--size 1 GiB", "--size 1GiB", "--size=1GiB", "--size \"1 GiB\"", "--size 1G"] {
        let line = format!("disk create data:/disks/a.vhd {size}");
        is(&line, Command::DiskCreate { path: path.clone(), size: Size::new(1 << 30) });
    }
}

#[test]
fn a_definition_on_one_line() {
    let line = "vm create web --memory 256 MiB --vps 2 --kernel data:/k --cmdline \"console=ttyS0 quiet\" \
                --disk data:/a.vhd --disk data:/b.raw";
    let Some(Command::VmCreate { name, definition }) = parse(line).unwrap() else { panic!("not that") };
    assert_eq!(name.as_str(), "web");
    assert_eq!((definition.memory, definition.vps), (Size::new(256 << 20), 2));
    assert_eq!(definition.cmdline, "console=ttyS0 quiet");
    assert_eq!(definition.disks.len(), 2);
}

#[test]
fn what_is_set_is_what_is_named() {
    let set = |line: &str| match parse(line).unwrap() {
        Some(Command::VmSet { changes, .. }) => changes,
        other => panic!("{other:?}"),
    };
    let changes = set("vm set web --weight 200 --reserve 10 --limit 50% --affinity 0,2");
    assert_eq!((changes.weight, changes.reserve, changes.limit), (Some(200), Some(10), Some(50)));
    assert_eq!(changes.affinity, Some(Affinity::of(syscall::ProcessorSet::of(0b101))));
    assert!(!changes.need_off());
    assert!(set("vm set web --memory 1 GiB").need_off() && set("vm set web --vps 2").need_off());
    assert_eq!(set("vm set web --autostart on"), Changes { autostart: Some(true), ..Changes::default() });
    assert!(error("vm set web").starts_with("nothing is to be changed; usage: vm set NAME [--weight N] "));
    assert_eq!(error("vm set web --weight -1"), "--weight: `-1` is not a number");
    assert_eq!(error("vm set web --limit half"), "--limit: `half` is not a percentage");
    assert_eq!(error("vm set web --autostart yes"), "--autostart: `yes` is neither `on` nor `off`");
    assert!(error("vm set web --affinity 3-1").starts_with("--affinity: `3-1` is no list of processors"));
    let share = "vm create a --memory 2MiB --vps 1 --kernel data:/k --reserve 20 --limit 10";
    assert_eq!(error(share), "a reserve of 20 % is above the limit of 10 %");
}

#[test]
fn mistakes_are_named() {
    assert_eq!(error("frobnicate"), "unknown command `frobnicate`; `help` lists all");
    assert!(error("vm fly demo").starts_with("unknown command `vm fly`; `vm` takes create, set, list, "));
    assert!(error("vm").starts_with("`vm` what? create, set, "));
    assert_eq!(error("vm start"), "NAME is missing; usage: vm start NAME [--console]");
    assert_eq!(error("vm start a b"), "`b` is too much; usage: vm start NAME [--console]");
    assert_eq!(error("vm start a --fast"), "`vm start` has no option `--fast`; it has --console");
    assert_eq!(error("vm stop a --fast"), "`vm stop` has no options, so no `--fast` either");
    assert_eq!(error("vm start a --console --console"), "--console is there twice");
    assert_eq!(error("vm start a --console=yes"), "--console takes no value");
    assert_eq!(error("vm start 'a"), "the quote ' is not closed");
    assert_eq!(error("disk create data:/a --size"), "--size needs SIZE");
    assert_eq!(
        error("disk create data:/a --size 5 GB"),
        "`GB` is too much; usage: disk create PATH --size SIZE"
    );
    assert_eq!(
        error("disk create data:/a --size 5GB"),
        "--size: `GB` is not a unit; B, KiB, MiB, GiB and TiB are"
    );
    assert_eq!(error("disk create data:/a --size -5GiB"), "--size: a size cannot be negative: `-5GiB`");
    assert_eq!(error("disk create data:/ --size 5GiB"), "`data:/` is not a file");
    assert!(error("vm create a --vps 1 --kernel data:/k").starts_with("--memory SIZE is missing; usage: "));
    let create = |rest: &str| error(&format!("vm create a --kernel data:/k {rest}"));
    assert_eq!(create("--memory 1MiB --vps 1"), "memory is a multiple of 2 MiB, not 1 MiB");
    assert_eq!(create("--memory 2MiB --vps 0"), "a VM has 1 to 240 virtual processors, not 0");
    assert_eq!(create("--memory 2MiB --vps x"), "--vps: `x` is not a number");
    let twice = "--memory 2MiB --vps 1 --disk data:/d --disk data:/d";
    assert_eq!(create(twice), "data:/d is there twice");
}

#[test]
fn help_names_every_command() {
    let help = help();
    assert!(help.contains(
        &"vm create NAME --memory SIZE --vps N --kernel PATH [--initrd PATH] [--cmdline STR] [--disk PATH]… \
          [--weight N] [--reserve PERCENT] [--limit PERCENT] [--affinity LIST]"
            .to_owned()
    ));
    assert!(help.iter().any(|line| line.contains("vm crash") || line.contains("test aid")));
}

struct Store;

impl Names for Store {
    fn vms(&mut self) -> Vec<String> {
        vec!["demo".into(), "web".into()]
    }

    fn directory(&mut self, path: &DataPath) -> Vec<String> {
        match path.to_string().as_str() {
            "data:/" => vec!["disks/".into(), "vms/".into()],
            "data:/disks" => vec!["a.vhd".into(), "b c".into(), "demo.vhd".into()],
            _ => Vec::new(),
        }
    }
}

#[test]
fn tab_knows_commands_names_options_and_paths() {
    let is = |left: &str, word: &str, candidates: &[&str]| {
        let completion = complete(left, &mut Store);
        assert_eq!(
            (completion.word.as_str(), completion.candidates),
            (word, candidates.iter().map(|c| (*c).into()).collect()),
            "{left}"
        );
    };
    is("", "", &["disk", "file", "help", "host", "vm"]);
    is("vm st", "st", &["start", "stats", "stop"]);
    is("vm set demo --a", "--a", &["--affinity", "--autostart"]);
    is("vm set demo --autostart ", "", &["off", "on"]);
    is("vm start ", "", &["demo", "web"]);
    is("vm start w", "w", &["web"]);
    is("vm start demo ", "", &["--console"]);
    is("vm create x --memory 1 --v", "--v", &["--vps"]);
    is("vm create x --kernel ", "", &["data:/"]);
    is("vm create x --kernel data:/d", "data:/d", &["data:/disks/"]);
    is("file list data:/", "data:/", &["data:/disks/", "data:/vms/"]);
    is("disk create data:/disks/", "data:/disks/", &["data:/disks/a.vhd", "data:/disks/demo.vhd"]);
    is("vm start \"de", "", &[]);
    is("nonsense ", "", &[]);
}

proptest! {
    #[test]
    fn no_line_is_too_strange(line in ".*") {
        let _ = parse(&line);
        let _ = complete(&line, &mut Store);
    }

    #[test]
    fn no_command_is_too_strange(words in proptest::collection::vec(prop_oneof![
        Just("vm"), Just("create"), Just("start"), Just("disk"), Just("--size"), Just("--memory"), Just("--console"),
        Just("data:/x"), Just("5"), Just("GiB"), Just("--json"), Just("\""), Just("a"), Just("--disk="), Just("list"),
    ], 0..12)) {
        let line = words.join(" ");
        let _ = parse(&line);
        let completion = complete(&line, &mut Store);
        prop_assert!(completion.candidates.iter().all(|candidate| candidate.starts_with(&completion.word)));
    }
}
