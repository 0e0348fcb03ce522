//! Words to a command that is wholly checked, but for what only the store knows.

use super::arguments::Arguments;
use super::spec::{COMMANDS, Spec};
use super::values::{changes, definition, file, number, size};
use super::words::{Word, words};
use crate::changes::Changes;
use crate::definition::Definition;
use crate::name::Name;
use crate::path::DataPath;
use crate::size::Size;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// A command.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the table of commands says what each does")]
pub enum Command {
    /// About the commands that begin with these words.
    Help(Vec<String>),
    Vm(Name, VmCommand),
    VmList {
        json: bool,
    },
    Disk(DiskCommand),
    FileList(DataPath),
    Host(HostCommand),
}

/// What is done with a VM.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the table of commands says what each does")]
pub enum VmCommand {
    Create(Definition),
    Set(Changes),
    Show { json: bool },
    Start { console: bool },
    Console,
    Stop,
    Kill,
    Delete,
    Stats { json: bool },
    Crash,
    Spin,
    Churn,
}

/// What is done with disks.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the table of commands says what each does")]
pub enum DiskCommand {
    Create { path: DataPath, size: Size },
    List { json: bool },
}

/// What is done with the host.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the table of commands says what each does")]
pub enum HostCommand {
    Info { json: bool },
    Top { once: bool, processors: bool, json: bool },
    Log { lines: Option<u32> },
    Shutdown,
    Reboot,
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
    if let Some(topic) = topic(&words) {
        if super::about(&topic).next().is_none() {
            return Err(alloc::format!("unknown command `{}`; `help` lists all", topic.join(" ")));
        }
        return Ok(Some(Command::Help(topic)));
    }
    let spec = find(&words)?;
    let arguments = Arguments::new(spec, words.get(spec.words.len()..).unwrap_or_default())?;
    command(spec, &arguments).map(Some)
}

/// The words about which help is asked for: behind `help`, or before `--help`.
fn topic(words: &[Word]) -> Option<Vec<String>> {
    let is = |word: &Word, text: &str| !word.quoted && word.text == text;
    let texts = |words: &[Word]| words.iter().map(|word| word.text.clone()).collect();
    match words {
        [first, rest @ ..] if is(first, "help") => Some(texts(rest)),
        _ => words.iter().position(|word| is(word, "--help")).and_then(|at| words.get(..at)).map(texts),
    }
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

fn command(spec: &Spec, arguments: &Arguments<'_>) -> Result<Command, String> {
    let json = arguments.has("--json");
    Ok(match spec.words {
        ["vm", "list"] => Command::VmList { json },
        ["vm", verb] => Command::Vm(arguments.name()?, of_vm(verb, spec, arguments)?),
        ["disk", "create"] => Command::Disk(DiskCommand::Create {
            path: file(arguments.operand())?,
            size: size(arguments, "--size")?,
        }),
        ["disk", _] => Command::Disk(DiskCommand::List { json }),
        ["file", _] => Command::FileList(DataPath::parse(arguments.operand())?),
        ["host", verb] => Command::Host(of_host(verb, arguments)?),
        _ => Command::Help(Vec::new()),
    })
}

fn of_vm(verb: &str, spec: &Spec, arguments: &Arguments<'_>) -> Result<VmCommand, String> {
    let json = arguments.has("--json");
    Ok(match verb {
        "create" => VmCommand::Create(definition(arguments)?),
        "set" => VmCommand::Set(changes(spec, arguments)?),
        "show" => VmCommand::Show { json },
        "start" => VmCommand::Start { console: arguments.has("--console") },
        "console" => VmCommand::Console,
        "stop" => VmCommand::Stop,
        "kill" => VmCommand::Kill,
        "delete" => VmCommand::Delete,
        "crash" => VmCommand::Crash,
        "spin" => VmCommand::Spin,
        "churn" => VmCommand::Churn,
        _ => VmCommand::Stats { json },
    })
}

fn of_host(verb: &str, arguments: &Arguments<'_>) -> Result<HostCommand, String> {
    let json = arguments.has("--json");
    Ok(match verb {
        "top" => {
            let (once, processors) = (arguments.has("--once"), arguments.has("--processors"));
            HostCommand::Top { once, processors, json }
        }
        "log" => HostCommand::Log { lines: number(arguments, "--lines", |_| Ok(()))? },
        "shutdown" => HostCommand::Shutdown,
        "reboot" => HostCommand::Reboot,
        _ => HostCommand::Info { json },
    })
}
