//! Which words can follow, for the Tab key.

use super::spec::{COMMANDS, Kind, Spec};
use super::words::{Word, quote, words};
use crate::editor::Completion;
use crate::path::{DataPath, PREFIX};
use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What completion needs to know of the store.
pub trait Names {
    /// The names of all VMs.
    fn vms(&mut self) -> Vec<String>;
    /// The names in a directory; those of directories end with a slash.
    fn directory(&mut self, path: &DataPath) -> Vec<String>;
}

/// What the last word of `left`, the line left of the cursor, can become.
pub fn complete(left: &str, names: &mut impl Names) -> Completion {
    let mut words = words(left);
    let is_new = left.ends_with(char::is_whitespace) && words.last().is_none_or(|word| word.open.is_none());
    let last = if is_new { None } else { words.pop() };
    // What is quoted is not completed.
    if last.as_ref().is_some_and(|word| word.quoted) {
        return Completion::default();
    }
    let word = last.map_or(String::new(), |word| word.text);
    let mut candidates = candidates(&words, &word, names);
    candidates.retain(|candidate| candidate.starts_with(&word) && quote(candidate) == *candidate);
    candidates.sort();
    candidates.dedup();
    Completion { word, candidates }
}

fn candidates(before: &[Word], word: &str, names: &mut impl Names) -> Vec<String> {
    let is_begin = |spec: &&Spec, count: usize| {
        let typed = before.iter().map(|word| word.text.as_str());
        spec.words.iter().take(count).copied().eq(typed.take(count))
    };
    if let Some(spec) = COMMANDS.iter().find(|spec| is_begin(spec, spec.words.len())) {
        return operands(spec, before.get(spec.words.len()..).unwrap_or_default(), word, names);
    }
    let next = COMMANDS.iter().filter(|spec| is_begin(spec, before.len()));
    next.filter_map(|spec| spec.words.get(before.len())).map(|&word| word.to_owned()).collect()
}

fn operands(spec: &Spec, before: &[Word], word: &str, names: &mut impl Names) -> Vec<String> {
    let option = |word: &Word| spec.options.iter().find(|option| option.name == word.text);
    if let Some((kind, _)) = before.last().and_then(option).and_then(|option| option.value) {
        return values(kind, word, names);
    }
    if word.starts_with('-') {
        let free = spec
            .options
            .iter()
            .filter(|option| option.repeated || !before.iter().any(|word| word.text == option.name));
        return free.map(|option| option.name.to_owned()).collect();
    }
    let mut operands = 0;
    let mut is_value = false;
    for word in before {
        if is_value {
            is_value = false;
        } else if let Some(option) = option(word) {
            is_value = option.value.is_some();
        } else {
            operands += 1;
        }
    }
    match spec.operands.get(operands) {
        Some((kind, _)) => values(*kind, word, names),
        None => spec.options.iter().map(|option| option.name.to_owned()).collect(),
    }
}

fn values(kind: Kind, word: &str, names: &mut impl Names) -> Vec<String> {
    match kind {
        Kind::Vm => names.vms(),
        Kind::Path => paths(word, names),
        Kind::Switch => ["on".to_owned(), "off".to_owned()].into(),
        Kind::NewVm | Kind::Size | Kind::Number | Kind::Text => Vec::new(),
    }
}

fn paths(word: &str, names: &mut impl Names) -> Vec<String> {
    if !word.starts_with(PREFIX) {
        return [PREFIX.to_owned()].into();
    }
    let directory = word.rsplit_once('/').map_or(word, |(directory, _)| directory);
    let Ok(path) = DataPath::parse(&alloc::format!("{directory}/")) else { return Vec::new() };
    let begin = path.join("").to_string();
    let begin = if path == DataPath::ROOT { PREFIX.to_owned() } else { begin };
    names.directory(&path).into_iter().map(|name| alloc::format!("{begin}{name}")).collect()
}
