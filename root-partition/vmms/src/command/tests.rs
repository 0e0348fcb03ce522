//! Lines to commands, and what Tab makes of them.

use super::spec::COMMANDS;
use super::{Command, DiskCommand, Names, VmCommand, complete, help, parse};
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
    is("help", Command::Help(Vec::new()));
    is("vm list", Command::VmList { json: false });
    is(" vm  list --json", Command::VmList { json: true });
    is("vm start demo --console", Command::Vm(name(), VmCommand::Start { console: true }));
    is("vm start --console demo", Command::Vm(name(), VmCommand::Start { console: true }));
    is("vm stop demo", Command::Vm(name(), VmCommand::Stop));
    let path = DataPath::parse("data:/disks/a.vhd").unwrap();
    for size in ["--size 1 GiB", "--size 1GiB", "--size=1GiB", "--size \"1 GiB\"", "--size 1G"] {
        let line = format!("disk create data:/disks/a.vhd {size}");
        is(&line, Command::Disk(DiskCommand::Create { path: path.clone(), size: Size::new(1 << 30) }));
    }
}

#[test]
fn a_definition_on_one_line() {
    let line = "vm create web --memory 256 MiB --vps 2 --kernel data:/k --cmdline \"console=ttyS0 quiet\" \
                --disk data:/a.vhd --disk data:/b.raw";
    let Some(Command::Vm(name, VmCommand::Create(definition))) = parse(line).unwrap() else {
        panic!("not that")
    };
    assert_eq!(name.as_str(), "web");
    assert_eq!((definition.memory, definition.vps), (Size::new(256 << 20), 2));
    assert_eq!(definition.cmdline, "console=ttyS0 quiet");
    assert_eq!(definition.disks.len(), 2);
}

#[test]
fn what_is_set_is_what_is_named() {
    let set = |line: &str| match parse(line).unwrap() {
        Some(Command::Vm(_, VmCommand::Set(changes))) => changes,
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
    let help = help(&[]);
    let at = |line: &str| help.iter().position(|it| it == line).unwrap_or_else(|| panic!("no {line}"));
    let aids = at("test aids:");
    for spec in COMMANDS {
        let usage = at(&spec.usage());
        assert_eq!(help[usage + 1], format!("    {}", spec.about));
        assert_eq!(usage > aids, spec.is_aid, "{}", spec.usage());
    }
    let notes = help.len() - 2 * COMMANDS.len();
    assert_eq!(notes, 6, "every command once");
    assert!(help.contains(
        &"vm create NAME --memory SIZE --vps N --kernel PATH [--initrd PATH] [--cmdline STR] [--disk PATH]… \
          [--weight N] [--reserve PERCENT] [--limit PERCENT] [--affinity LIST] [--autostart on|off]"
            .to_owned()
    ));
}

#[test]
fn help_is_given_about_a_noun_or_a_command() {
    let about = |line: &str| match parse(line).unwrap() {
        Some(Command::Help(topic)) => help(&topic),
        other => panic!("{other:?}"),
    };
    let one = ["vm stop NAME".to_owned(), "    asks the guest to shut down".to_owned()];
    for line in ["help vm stop", "vm stop --help", "vm stop demo --help", "vm stop --force --help"] {
        assert_eq!(about(line)[..2], one, "{line}");
    }
    let vm = about("help vm");
    assert_eq!(vm, about("vm --help"));
    assert!(vm.iter().any(|line| line.starts_with("vm create")) && vm.contains(&"test aids:".to_owned()));
    assert!(!vm.iter().any(|line| line.starts_with("host") || line.starts_with("disk")));
    assert!(!about("help disk").contains(&"test aids:".to_owned()));
    assert_eq!(about("--help"), about("help"));
    assert_eq!(error("help start"), "unknown command `start`; `help` lists all");
    assert_eq!(error("vm fly --help"), "unknown command `vm fly`; `help` lists all");
    // What is quoted is no option.
    assert!(parse("vm set a --cmdline \"--help\"").is_ok_and(|it| !matches!(it, Some(Command::Help(_)))));
}

#[test]
fn what_is_too_large_says_what_is_allowed() {
    let create = "vm create a --memory 2MiB --kernel data:/k";
    for number in ["241", "4294967297", "99999999999"] {
        let says = format!("a VM has 1 to 240 virtual processors, not {number}");
        assert_eq!(error(&format!("{create} --vps {number}")), says);
        assert_eq!(error(&format!("vm set a --vps {number}")), says);
        assert_eq!(
            error(&format!("{create} --vps 1 --weight {number}00000")),
            format!("a weight is 1 to 10000, not {number}00000")
        );
        assert!(error(&format!("vm set a --limit {number}")).starts_with("a limit is 1 to 100 percent"));
        assert!(error(&format!("vm set a --reserve {number}")).starts_with("a reserve is 0 to 100 percent"));
    }
    assert_eq!(error(&format!("{create} --vps 1x")), "--vps: `1x` is not a number");
    assert_eq!(error(&format!("{create} --vps")), "--vps needs N");
    let disks: String = (0..65).map(|number| format!(" --disk data:/disks/{number}")).collect();
    assert_eq!(error(&format!("{create} --vps 1{disks}")), "a VM has at most 64 disks");
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
