//! What a person can type: words, the table of commands, parsing, completion, help.

mod complete;
mod parse;
mod spec;
#[cfg(test)]
mod tests;
mod words;

pub use complete::{Names, complete};
pub use parse::{Command, parse};

use alloc::string::String;
use alloc::vec::Vec;
use spec::COMMANDS;

/// The lines of `help`.
#[must_use]
pub fn help() -> Vec<String> {
    let mut lines = Vec::new();
    for spec in COMMANDS {
        lines.push(spec.usage());
        lines.push(alloc::format!("    {}", spec.about));
    }
    lines.push("SIZE is a number and B, KiB, MiB, GiB or TiB; PATH begins with data:/".into());
    lines.push("Tab completes, the arrow keys edit and recall, Ctrl-C forgets the line".into());
    lines
}
