//! What a person can type: words, the table of commands, parsing, completion, help.

mod arguments;
mod complete;
mod parse;
mod spec;
#[cfg(test)]
mod tests;
mod values;
mod words;

pub use complete::{Names, complete};
pub use parse::{Command, DiskCommand, HostCommand, VmCommand, parse};

use alloc::string::String;
use alloc::vec::Vec;
use spec::{COMMANDS, Spec};

/// What is said below all commands, or all of a noun.
const NOTES: [&str; 5] = [
    "SIZE is a number and B, KiB, MiB, GiB or TiB; PATH begins with data:/",
    "weight: 1 to 10000, shared by all virtual processors of a VM; where processors are short, they are",
    "    shared out in proportion. reserve, limit: the least and the most that a VM gets, in percent of what its",
    "    virtual processors could do. affinity: the processors that it runs on, 0,2-5 or all",
    "Tab completes, the arrow keys edit and recall, Ctrl-C forgets the line",
];
/// What is said above the commands that are there for tests.
const AIDS: &str = "test aids:";

/// The commands that begin with the words of `topic`, or with whose words it begins.
fn about(topic: &[String]) -> impl Iterator<Item = &'static Spec> {
    COMMANDS.iter().filter(move |spec| spec.words.iter().zip(topic).all(|(word, asked)| word == asked))
}

/// The lines of `help` about the commands that begin with `topic`.
#[must_use]
pub fn help(topic: &[String]) -> Vec<String> {
    let lines = |specs: &mut dyn Iterator<Item = &'static Spec>| -> Vec<String> {
        specs.flat_map(|spec| [spec.usage(), alloc::format!("    {}", spec.about)]).collect()
    };
    if about(topic).count() == 1 {
        return lines(&mut about(topic));
    }
    let mut all = lines(&mut about(topic).filter(|spec| !spec.is_aid));
    all.extend(NOTES.iter().map(|&note| note.into()));
    let aids = lines(&mut about(topic).filter(|spec| spec.is_aid));
    all.extend((!aids.is_empty()).then(|| AIDS.into()));
    all.extend(aids);
    all
}
