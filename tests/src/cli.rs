//! Bulkhead's command line and a guest's shell, as a person at the console uses them.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::console::Console;

/// What Bulkhead asks with.
pub const PROMPT: &str = "bulkhead> ";
/// What the sample guest's shell asks with.
const SHELL: &str = "~ # ";
/// Ctrl-], which leaves a VM's console.
const LEAVE: &[u8] = b"\x1d";

/// So many characters are typed before their echo is waited for. A serial port holds 16 that nobody has taken, and in Bochs
/// a guest whose interrupts are off keeps the root's away for its whole slice.
const TYPED: usize = 8;

/// What the shell has for a command in its line of 80 characters: longer ones are echoed in two.
const SHELL_LINE: usize = 80 - SHELL.len();

/// How long anything may take that is quick on a quiet machine; the emulated ones share two processors.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Bulkhead's command line on a console.
pub struct Cli<'a>(pub &'a mut Console);

impl Cli<'_> {
    /// Waits for the first prompt.
    pub fn ready(&mut self) -> Result<String> {
        self.0.expect(PROMPT, PATIENCE).context("no prompt")
    }

    /// Gives a command at the prompt; its answer.
    pub fn run(&mut self, command: &str) -> Result<String> {
        self.run_for(command, PATIENCE)
    }

    /// The same, with the time that it may take.
    pub fn run_for(&mut self, command: &str, limit: Duration) -> Result<String> {
        self.type_echoed(command)?;
        let answer = self.0.expect(PROMPT, limit).with_context(|| format!("no prompt after '{command}'"))?;
        Ok(answer.trim_end().to_owned())
    }

    /// Types a line, no faster than its echo comes: notices may come in between, each with a new prompt and the line so
    /// far behind.
    fn type_echoed(&mut self, line: &str) -> Result<()> {
        let mut rest = line;
        while let Some((at, _)) = rest.char_indices().nth(TYPED) {
            let (part, after) = rest.split_at(at);
            self.0.send(part.as_bytes())?;
            self.0.expect(part, PATIENCE).with_context(|| format!("'{line}' was not echoed"))?;
            rest = after;
        }
        self.0.type_line(rest)?;
        let echo = format!("{rest}\n");
        self.0.expect(&echo, PATIENCE).with_context(|| format!("'{line}' was not echoed"))?;
        Ok(())
    }

    /// Gives a command that must be refused in one line with `why` in it.
    pub fn refused(&mut self, command: &str, why: &str) -> Result<String> {
        let answer = self.run(command)?;
        if answer.lines().count() != 1 || !answer.contains(why) {
            bail!("'{command}' was not refused in one line with '{why}': {answer:?}");
        }
        Ok(answer)
    }

    /// A VM's line of `vm list`, as words.
    pub fn listed(&mut self, name: &str) -> Result<Vec<String>> {
        let list = self.run("vm list")?;
        let line = list.lines().find(|line| line.split_whitespace().next() == Some(name));
        let line = line.with_context(|| format!("'{name}' is not in the list: {list}"))?;
        Ok(line.split_whitespace().map(str::to_owned).collect())
    }

    /// The state of a VM as `vm list` says it.
    pub fn state(&mut self, name: &str) -> Result<String> {
        self.listed(name)?.get(1).cloned().context("no state in the list")
    }

    /// Waits until a VM is in a state.
    pub fn wait_for_state(&mut self, name: &str, state: &str, limit: Duration) -> Result<()> {
        let end = std::time::Instant::now() + limit;
        loop {
            let now = self.state(name)?;
            if now == state {
                return Ok(());
            }
            if std::time::Instant::now() > end {
                bail!("'{name}' is '{now}', not '{state}', after {} seconds", limit.as_secs());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Starts a Linux VM and waits for its shell, on its console.
    pub fn start_linux(&mut self, name: &str) -> Result<String> {
        self.type_echoed(&format!("vm start {name} --console"))?;
        let log = self.0.expect(SHELL, 2 * PATIENCE).with_context(|| format!("no shell in '{name}'"))?;
        Ok(log)
    }

    /// Waits for the shell of a Linux that has this console to itself.
    pub fn wait_for_shell(&mut self, limit: Duration) -> Result<String> {
        self.0.expect(SHELL, limit).context("no shell")
    }

    /// Goes to the console of a VM.
    pub fn attach(&mut self, name: &str) -> Result<()> {
        self.type_echoed(&format!("vm console {name}"))?;
        self.0.expect("leaves it]\n", PATIENCE).with_context(|| format!("'{name}' gives no console"))?;
        Ok(())
    }

    /// Goes to the console of a VM whose shell waits for a command.
    pub fn enter(&mut self, name: &str) -> Result<()> {
        self.enter_for(name, PATIENCE)
    }

    /// The same, with the time that the guest may take to come to its shell.
    pub fn enter_for(&mut self, name: &str, limit: Duration) -> Result<()> {
        self.attach(name)?;
        self.0.send(b"\r")?;
        self.0.expect(SHELL, limit).with_context(|| format!("no shell in '{name}'"))?;
        Ok(())
    }

    /// Gives a command to the guest's shell; what it printed.
    pub fn shell(&mut self, command: &str, limit: Duration) -> Result<String> {
        self.shell_begin(command)?;
        let answer =
            self.0.expect(SHELL, limit).with_context(|| format!("the guest did not finish '{command}'"))?;
        Ok(answer.trim_end().to_owned())
    }

    /// The same, without waiting for its end.
    pub fn shell_begin(&mut self, command: &str) -> Result<()> {
        ensure!(command.len() < SHELL_LINE, "'{command}' is longer than the shell's line");
        self.type_echoed(command)
    }

    /// Leaves a VM's console.
    pub fn leave(&mut self) -> Result<()> {
        self.0.send(LEAVE)?;
        self.0.expect(PROMPT, PATIENCE).context("no prompt after Ctrl-]")?;
        Ok(())
    }

    /// Powers the guest off from its shell; Bulkhead's prompt comes back by itself.
    pub fn power_off(&mut self) -> Result<String> {
        self.type_echoed("poweroff")?;
        self.0.expect(PROMPT, PATIENCE).context("the guest did not power off")
    }
}
