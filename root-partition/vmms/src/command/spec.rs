//! Which commands there are: one table for parsing, completion and help.

/// What a word of a command is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The name of a VM that is there.
    Vm,
    /// The name of a VM to be.
    NewVm,
    /// A path on the data volume.
    Path,
    /// A size.
    Size,
    /// A number.
    Number,
    /// `on` or `off`.
    Switch,
    /// Any text.
    Text,
}

/// An option of a command.
#[derive(Debug)]
pub struct OptionSpec {
    /// As it is typed, `--memory`.
    pub name: &'static str,
    /// What follows it; nothing for a switch.
    pub value: Option<(Kind, &'static str)>,
    /// Whether the command cannot be without it.
    pub required: bool,
    /// Whether it may be there more than once.
    pub repeated: bool,
}

/// A command.
#[derive(Debug)]
pub struct Spec {
    /// Its words.
    pub words: &'static [&'static str],
    /// What follows them, all required.
    pub operands: &'static [(Kind, &'static str)],
    /// Its options.
    pub options: &'static [OptionSpec],
    /// What it does, in a line.
    pub about: &'static str,
    /// Whether it is there for tests only.
    pub is_aid: bool,
}

const fn required(name: &'static str, kind: Kind, value: &'static str) -> OptionSpec {
    OptionSpec { name, value: Some((kind, value)), required: true, repeated: false }
}

const fn optional(name: &'static str, kind: Kind, value: &'static str) -> OptionSpec {
    OptionSpec { name, value: Some((kind, value)), required: false, repeated: false }
}

const fn switch(name: &'static str) -> OptionSpec {
    OptionSpec { name, value: None, required: false, repeated: false }
}

const JSON: OptionSpec = switch("--json");
const VM: &[(Kind, &str)] = &[(Kind::Vm, "NAME")];

const fn spec(
    words: &'static [&'static str],
    operands: &'static [(Kind, &'static str)],
    options: &'static [OptionSpec],
    about: &'static str,
) -> Spec {
    Spec { words, operands, options, about, is_aid: false }
}

/// A test aid.
const fn aid(words: &'static [&'static str], about: &'static str) -> Spec {
    Spec { words, operands: VM, options: &[], about, is_aid: true }
}

const WEIGHT: OptionSpec = optional("--weight", Kind::Number, "N");
const RESERVE: OptionSpec = optional("--reserve", Kind::Number, "PERCENT");
const LIMIT: OptionSpec = optional("--limit", Kind::Number, "PERCENT");
const AFFINITY: OptionSpec = optional("--affinity", Kind::Text, "LIST");
const AUTOSTART: OptionSpec = optional("--autostart", Kind::Switch, "on|off");

/// All commands, in the order of `help`.
pub static COMMANDS: &[Spec] = &[
    spec(
        &["help"],
        &[],
        &[],
        "what there is to type; `help vm`, `help vm create` or `vm create --help`: about that only",
    ),
    spec(
        &["vm", "create"],
        &[(Kind::NewVm, "NAME")],
        &[
            required("--memory", Kind::Size, "SIZE"),
            required("--vps", Kind::Number, "N"),
            required("--kernel", Kind::Path, "PATH"),
            optional("--initrd", Kind::Path, "PATH"),
            optional("--cmdline", Kind::Text, "STR"),
            OptionSpec { name: "--disk", value: Some((Kind::Path, "PATH")), required: false, repeated: true },
            WEIGHT,
            RESERVE,
            LIMIT,
            AFFINITY,
            AUTOSTART,
        ],
        "defines a VM in data:/vms/NAME/NAME.toml",
    ),
    spec(
        &["vm", "set"],
        VM,
        &[
            WEIGHT,
            RESERVE,
            LIMIT,
            AFFINITY,
            AUTOSTART,
            optional("--memory", Kind::Size, "SIZE"),
            optional("--vps", Kind::Number, "N"),
            optional("--cmdline", Kind::Text, "STR"),
        ],
        "changes a VM's share of the processors, at once; the last three only while it is off",
    ),
    spec(&["vm", "list"], &[], &[JSON], "all VMs and their state"),
    spec(&["vm", "show"], VM, &[JSON], "one VM: its definition and its state"),
    spec(&["vm", "start"], VM, &[switch("--console")], "starts a VM; --console stays at its console"),
    spec(&["vm", "console"], VM, &[], "the console of a running VM; Ctrl-] leaves it"),
    spec(&["vm", "stop"], VM, &[], "asks the guest to shut down"),
    spec(&["vm", "kill"], VM, &[], "stops a VM at once"),
    spec(&["vm", "delete"], VM, &[], "deletes the definition of a VM that is off; its disks stay"),
    spec(&["vm", "stats"], VM, &[JSON], "what a running VM and each of its virtual processors has done"),
    spec(
        &["disk", "create"],
        &[(Kind::Path, "PATH")],
        &[required("--size", Kind::Size, "SIZE")],
        "makes a zeroed disk: a fixed VHD when PATH ends in .vhd, otherwise raw",
    ),
    spec(&["disk", "list"], &[], &[JSON], "the disks on the data volume"),
    spec(&["file", "list"], &[(Kind::Path, "PATH")], &[], "what is in a directory of the data volume"),
    spec(&["host", "info"], &[], &[JSON], "this machine"),
    spec(
        &["host", "top"],
        &[],
        &[switch("--once"), switch("--processors"), JSON],
        "what VMs and processors are doing, each second until a key is pressed; --once: one second; --processors: each, \
         where there are many; --json: all since the start",
    ),
    spec(
        &["host", "log"],
        &[],
        &[optional("--lines", Kind::Number, "N")],
        "what the host has logged since it started; --lines: the last of it",
    ),
    spec(&["host", "shutdown"], &[], &[], "stops all VMs, then powers off"),
    spec(&["host", "reboot"], &[], &[], "stops all VMs, then resets the machine"),
    aid(&["vm", "crash"], "makes the worker of a VM crash"),
    aid(&["vm", "spin"], "makes the worker of a VM loop and listen to nobody"),
    aid(&["vm", "churn"], "takes pages away from a running VM for a moment"),
];

impl Spec {
    /// How it is typed.
    #[must_use]
    pub fn usage(&self) -> alloc::string::String {
        let mut usage = self.words.join(" ");
        for (_, name) in self.operands {
            usage.push(' ');
            usage.push_str(name);
        }
        for option in self.options {
            let value =
                option.value.map_or(alloc::string::String::new(), |(_, name)| alloc::format!(" {name}"));
            usage.push_str(&match (option.required, option.repeated) {
                (true, _) => alloc::format!(" {}{value}", option.name),
                (false, false) => alloc::format!(" [{}{value}]", option.name),
                (false, true) => alloc::format!(" [{}{value}]…", option.name),
            });
        }
        usage
    }
}
