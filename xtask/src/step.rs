//! Says what is going on, and runs other programs.

use std::fmt::Display;
use std::io::IsTerminal;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Says what happens now, in the manner of cargo: a verb, and on what.
pub fn say(verb: &str, what: impl Display) {
    if std::io::stderr().is_terminal() {
        eprintln!("\x1b[1;32m{verb:>12}\x1b[0m {what}");
    } else {
        eprintln!("{verb:>12} {what}");
    }
}

/// Runs a program that shows its own progress (on standard error); fails when it does.
pub fn run(command: &mut Command) -> Result<()> {
    let name = name(command);
    let status = command.stdin(Stdio::null()).stdout(std::io::stderr()).status();
    let status = status.with_context(|| format!("{name}: can not be started"))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

/// Runs a program that is only heard when it fails; what it printed.
pub fn quietly(command: &mut Command) -> Result<String> {
    let name = name(command);
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{name}: can not be started"))?;
    if !output.status.success() {
        bail!("{name} failed ({}): {}", output.status, last_line(&output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The last thing that a program said, which is mostly why it failed.
fn last_line(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy);
    let last = text.iter().rev().flat_map(|text| text.lines().rev()).find(|line| !line.trim().is_empty());
    last.unwrap_or("it printed nothing").to_owned()
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
