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
    lines.push(
        "weight: 1 to 10000, shared by all virtual processors of a VM; where processors are short, they are"
            .into(),
    );
    lines.push("    shared out in proportion. reserve, limit: the least and the most that a VM gets, in percent of what its".into());
    lines.push(
        "    virtual processors could do. affinity: the processors that it runs on, 0,2-5 or all".into(),
    );
    lines.push("Tab completes, the arrow keys edit and recall, Ctrl-C forgets the line".into());
    lines
}
