//! Words to a command that is wholly checked, but for what only the store knows.

use super::spec::{COMMANDS, Kind, Spec};
use super::words::{Word, words};
use crate::affinity::Affinity;
use crate::changes::Changes;
use crate::definition::{Definition, Disk};
use crate::name::Name;
use crate::path::DataPath;
use crate::share::Share;
use crate::size::Size;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// A command.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the table of commands says what each does")]
pub enum Command {
    Help,
    VmCreate { name: Name, definition: Definition },
    VmSet { name: Name, changes: Changes },
    VmList { json: bool },
    VmShow { name: Name, json: bool },
    VmStart { name: Name, console: bool },
    VmConsole(Name),
    VmStop(Name),
    VmKill(Name),
    VmDelete(Name),
    VmStats { name: Name, json: bool },
    VmCrash(Name),
    VmSpin(Name),
    VmChurn(Name),
    DiskCreate { path: DataPath, size: Size },
    DiskList,
    FileList(DataPath),
    HostInfo,
    HostTop { once: bool, processors: bool, json: bool },
    HostLog { lines: Option<u32> },
    HostShutdown,
    HostReboot,
}

/// The command in `line`; nothing when the line is empty.
///
/// # Errors
/// What is wrong with it, in a line.
pub fn parse(line: &str) -> Result<Option<Command>, String> {
    let words = words(line);
    if let Some(quote) = words.last().and_then(|word| word.open) {
        return Err(alloc::format!("the quote {quote} is not closed"));
    }
    if words.is_empty() {
        return Ok(None);
    }
    let spec = find(&words)?;
    let arguments = Arguments::new(spec, words.get(spec.words.len()..).unwrap_or_default())?;
    command(spec, &arguments).map(Some)
}

fn find(words: &[Word]) -> Result<&'static Spec, String> {
    let is = |spec: &&Spec, count: usize| {
        let typed = words.iter().map(|word| word.text.as_str());
        count <= words.len() && spec.words.iter().take(count).copied().eq(typed.take(count))
    };
    if let Some(spec) = COMMANDS.iter().find(|spec| is(spec, spec.words.len())) {
        return Ok(spec);
    }
    let [first, rest @ ..] = words else { return Err("there is no command".to_owned()) };
    let verbs: Vec<&str> =
        COMMANDS.iter().filter(|spec| is(spec, 1)).filter_map(|spec| spec.words.get(1).copied()).collect();
    match (verbs.is_empty(), rest.first()) {
        (true, _) => Err(alloc::format!("unknown command `{}`; `help` lists all", first.text)),
        (false, Some(verb)) => Err(alloc::format!(
            "unknown command `{} {}`; `{}` takes {}",
            first.text,
            verb.text,
            first.text,
            verbs.join(", ")
        )),
        (false, None) => Err(alloc::format!("`{}` what? {}", first.text, verbs.join(", "))),
    }
}

/// The words behind a command, sorted.
struct Arguments<'a> {
    operands: Vec<&'a str>,
    options: Vec<(&'static str, String)>,
}

impl<'a> Arguments<'a> {
    fn new(spec: &'static Spec, words: &'a [Word]) -> Result<Self, String> {
        let mut arguments = Self { operands: Vec::new(), options: Vec::new() };
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            if word.quoted || !word.text.starts_with("--") {
                arguments.operands.push(&word.text);
                continue;
            }
            let (typed, joined) = match word.text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.text.as_str(), None),
            };
            let Some(option) = spec.options.iter().find(|option| option.name == typed) else {
                return Err(unknown_option(spec, typed));
            };
            if !option.repeated && arguments.all(option.name).next().is_some() {
                return Err(alloc::format!("{} is there twice", option.name));
            }
            let value = match (option.value, joined) {
                (None, None) => String::new(),
                (None, Some(_)) => return Err(alloc::format!("{} takes no value", option.name)),
                (Some(_), Some(value)) => value,
                (Some((kind, what)), None) => {
                    let value = words.next_if(|word| word.quoted || !word.text.starts_with("--"));
                    let value = value.ok_or_else(|| alloc::format!("{} needs {what}", option.name))?;
                    // `256 MiB` is two words and one size.
                    let unit = words.next_if(|next| kind == Kind::Size && Size::is_unit(&next.text));
                    alloc::format!("{}{}", value.text, unit.map_or("", |unit| &unit.text))
                }
            };
            arguments.options.push((option.name, value));
        }
        arguments.check(spec)?;
        Ok(arguments)
    }

    fn check(&self, spec: &Spec) -> Result<(), String> {
        if let Some(surplus) = self.operands.get(spec.operands.len()) {
            return Err(alloc::format!("`{surplus}` is too much; usage: {}", spec.usage()));
        }
        if let Some((_, what)) = spec.operands.get(self.operands.len()) {
            return Err(alloc::format!("{what} is missing; usage: {}", spec.usage()));
        }
        let missing =
            spec.options.iter().find(|option| option.required && self.all(option.name).next().is_none());
        match missing {
            Some(option) => {
                let what = option.value.map_or("", |(_, what)| what);
                Err(alloc::format!("{} {what} is missing; usage: {}", option.name, spec.usage()))
            }
            None => Ok(()),
        }
    }

    /// All values of an option.
    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.options.iter().filter(move |(option, _)| *option == name).map(|(_, value)| value.as_str())
    }

    fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The value of an option that is there; empty otherwise.
    fn value(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// The first operand, which is there.
    fn operand(&self) -> &str {
        self.operands.first().copied().unwrap_or_default()
    }

    fn name(&self) -> Result<Name, String> {
        Name::parse(self.operand())
    }
}

fn unknown_option(spec: &Spec, typed: &str) -> String {
    let known: Vec<&str> = spec.options.iter().map(|option| option.name).collect();
    let command = spec.words.join(" ");
    if known.is_empty() {
        return alloc::format!("`{command}` has no options, so no `{typed}` either");
    }
    alloc::format!("`{command}` has no option `{typed}`; it has {}", known.join(", "))
}

fn command(spec: &Spec, arguments: &Arguments<'_>) -> Result<Command, String> {
    let json = arguments.has("--json");
    Ok(match spec.words {
        ["vm", "create"] => Command::VmCreate { name: arguments.name()?, definition: definition(arguments)? },
        ["vm", "set"] => Command::VmSet { name: arguments.name()?, changes: changes(spec, arguments)? },
        ["vm", "list"] => Command::VmList { json },
        ["vm", "show"] => Command::VmShow { name: arguments.name()?, json },
        ["vm", "start"] => Command::VmStart { name: arguments.name()?, console: arguments.has("--console") },
        ["vm", "console"] => Command::VmConsole(arguments.name()?),
        ["vm", "stop"] => Command::VmStop(arguments.name()?),
        ["vm", "kill"] => Command::VmKill(arguments.name()?),
        ["vm", "delete"] => Command::VmDelete(arguments.name()?),
        ["vm", "stats"] => Command::VmStats { name: arguments.name()?, json },
        ["vm", "crash"] => Command::VmCrash(arguments.name()?),
        ["vm", "spin"] => Command::VmSpin(arguments.name()?),
        ["vm", "churn"] => Command::VmChurn(arguments.name()?),
        ["disk", "create"] => {
            Command::DiskCreate { path: file(arguments.operand())?, size: size(arguments, "--size")? }
        }
        ["disk", "list"] => Command::DiskList,
        ["file", "list"] => Command::FileList(DataPath::parse(arguments.operand())?),
        ["host", "info"] => Command::HostInfo,
        ["host", "top"] => {
            let (once, processors) = (arguments.has("--once"), arguments.has("--processors"));
            Command::HostTop { once, processors, json }
        }
        ["host", "log"] => Command::HostLog { lines: number(arguments, "--lines")? },
        ["host", "shutdown"] => Command::HostShutdown,
        ["host", "reboot"] => Command::HostReboot,
        _ => Command::Help,
    })
}

fn definition(arguments: &Arguments<'_>) -> Result<Definition, String> {
    let disks = arguments.all("--disk").map(|path| Ok(Disk { path: file(path)?, read_only: false }));
    let share = Share::default();
    let definition = Definition {
        memory: size(arguments, "--memory")?,
        vps: number(arguments, "--vps")?.unwrap_or_default(),
        kernel: file(arguments.value("--kernel"))?,
        initrd: arguments.all("--initrd").next().map(file).transpose()?,
        cmdline: arguments.value("--cmdline").to_owned(),
        autostart: false,
        weight: number(arguments, "--weight")?.unwrap_or(share.weight),
        reserve: percent(arguments, "--reserve")?.unwrap_or(share.reserve),
        limit: percent(arguments, "--limit")?.unwrap_or(share.limit),
        affinity: affinity(arguments)?.unwrap_or(share.affinity),
        disks: disks.collect::<Result<_, String>>()?,
    };
    definition.check()?;
    Ok(definition)
}

fn changes(spec: &Spec, arguments: &Arguments<'_>) -> Result<Changes, String> {
    if arguments.options.is_empty() {
        return Err(alloc::format!("nothing is to be changed; usage: {}", spec.usage()));
    }
    Ok(Changes {
        weight: number(arguments, "--weight")?,
        reserve: percent(arguments, "--reserve")?,
        limit: percent(arguments, "--limit")?,
        affinity: affinity(arguments)?,
        autostart: switch(arguments, "--autostart")?,
        memory: arguments.has("--memory").then(|| size(arguments, "--memory")).transpose()?,
        vps: number(arguments, "--vps")?,
        cmdline: arguments.all("--cmdline").next().map(ToOwned::to_owned),
    })
}

fn number(arguments: &Arguments<'_>, option: &str) -> Result<Option<u32>, String> {
    let parse = |text: &str| text.parse().map_err(|_| alloc::format!("{option}: `{text}` is not a number"));
    arguments.all(option).next().map(parse).transpose()
}

fn percent(arguments: &Arguments<'_>, option: &str) -> Result<Option<u32>, String> {
    let parse = |text: &str| {
        let digits = text.strip_suffix('%').unwrap_or(text).trim_end();
        digits.parse().map_err(|_| alloc::format!("{option}: `{text}` is not a percentage"))
    };
    arguments.all(option).next().map(parse).transpose()
}

fn affinity(arguments: &Arguments<'_>) -> Result<Option<Affinity>, String> {
    let parse = |text: &str| Affinity::parse(text).map_err(|error| alloc::format!("--affinity: {error}"));
    arguments.all("--affinity").next().map(parse).transpose()
}

fn switch(arguments: &Arguments<'_>, option: &str) -> Result<Option<bool>, String> {
    match arguments.all(option).next() {
        None => Ok(None),
        Some("on") => Ok(Some(true)),
        Some("off") => Ok(Some(false)),
        Some(other) => Err(alloc::format!("{option}: `{other}` is neither `on` nor `off`")),
    }
}

fn size(arguments: &Arguments<'_>, option: &str) -> Result<Size, String> {
    Size::parse(arguments.value(option)).map_err(|error| alloc::format!("{option}: {error}"))
}

fn file(text: &str) -> Result<DataPath, String> {
    match DataPath::parse(text)? {
        path if path == DataPath::ROOT => Err(alloc::format!("`{text}` is not a file")),
        path => Ok(path),
    }
}
