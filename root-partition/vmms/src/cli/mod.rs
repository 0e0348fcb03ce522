//! The command line on the console, and the one loop that everything happens in.
//!
//! 1. The loop waits for the console, every worker and every deadline at once; no VM, however slow, holds it up.
//! 2. A command that takes long keeps the prompt back, not the loop: Ctrl-C gives the prompt back and the command goes
//!    on (a disk that is being made is given up instead, a log ends there). What is typed meanwhile is kept for the prompt.
//! 3. Whatever is wrong gets one line that begins with `error: `.

mod console;
mod disks;
mod events;
mod execute;
#[cfg(test)]
mod fake;
mod input;
mod job;
mod log;
mod names;
mod report;
mod shutdown;
#[cfg(test)]
mod tests;
mod top;

use crate::config::{Configuration, Origin};
use crate::editor::{Editor, Keys};
use crate::name::Name;
use crate::path::DataPath;
use crate::store::{Volume, VolumeError};
use crate::system::System;
use crate::vm::Manager;
use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use events::Held;
use job::Job;
use log::Log;
use shutdown::Shutdown;
use syscall::WaitEntry;
use top::Top;

/// What a line is asked for with, where the host has no name of its own.
pub const PROMPT: &str = "bulkhead> ";
/// Bytes taken from the console in one go.
const INPUT: usize = 1024;
/// Bytes that are kept for later; more stay where they are.
const TYPED_MAX: usize = 64 << 10;

/// Who has the console.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Mode {
    /// The line editor.
    Prompt,
    /// A command that waits for a VM to run; then its console, if that was asked for.
    Start(Name, bool),
    /// A command that waits for a VM to be off.
    Stop(Name),
    /// The guest of a VM.
    Console(Name),
    /// A disk that is being made.
    Job,
    /// A table that changes.
    Top(Top),
    /// A log that is being shown.
    Log(Log),
    /// The end.
    Shutdown(Shutdown),
}

/// The command line.
pub struct Cli<S: System, V: Volume> {
    manager: Manager<S, V>,
    configuration: Configuration,
    editor: Editor,
    keys: Keys,
    mode: Mode,
    /// What was typed and not yet used.
    typed: VecDeque<u8>,
    /// What is to be written to the console.
    out: Vec<u8>,
    /// What is told when the console is free again.
    held: Held,
    job: Option<Job<V::Draft>>,
}

impl<S: System, V: Volume> Cli<S, V> {
    /// A command line for the VMs on `volume`; why there is none, if so.
    pub fn new(system: S, configuration: Configuration, volume: Result<V, VolumeError>) -> Self {
        let prompt = configuration.settings.host_name.as_ref().map(|name| alloc::format!("{name}> "));
        let why = volume.as_ref().err().copied();
        let mut cli = Self {
            manager: Manager::new(system, volume.ok()),
            configuration,
            editor: Editor::new(prompt.unwrap_or_else(|| PROMPT.to_owned())),
            keys: Keys::default(),
            mode: Mode::Prompt,
            typed: VecDeque::new(),
            out: Vec::new(),
            held: Held::default(),
            job: None,
        };
        cli.report(why);
        cli
    }

    /// Says what is not as it should be from the start.
    fn report(&mut self, no_volume: Option<VolumeError>) {
        if let Origin::Refused(why) = &self.configuration.origin {
            let line = alloc::format!("{why}; the defaults are used");
            self.error(&line);
        }
        match no_volume {
            Some(VolumeError::NoVolume) => {
                let name = &self.configuration.settings.data_volume;
                let line =
                    alloc::format!("there is no data volume (an ext4 partition that is named `{name}`)");
                self.error(&line);
            }
            Some(error) => self.error(&alloc::format!("{error}")),
            None => {}
        }
    }

    /// Starts what starts with the host and shows the prompt.
    pub fn begin(&mut self) {
        let vms = self.manager.vms().iter().filter(|_| self.configuration.settings.autostart);
        let autostart: Vec<Name> = vms
            .filter(|vm| vm.definition.as_ref().is_ok_and(|definition| definition.autostart))
            .map(|vm| vm.name.clone())
            .collect();
        for name in autostart {
            if let Err(error) = self.manager.start(&name, false) {
                self.error(&error);
            }
        }
        self.editor.draw(&mut self.out);
        self.flush();
    }

    /// Does all that there is to do, for ever.
    pub fn run(&mut self) -> ! {
        loop {
            self.turn();
        }
    }

    /// Waits for the next things that happen and deals with them.
    pub fn turn(&mut self) {
        let mut entries = self.manager.wait_entries();
        if self.typed.len() < TYPED_MAX {
            entries.push(self.manager.system.console_entry());
        }
        let mut deadline = self.manager.deadline();
        match &self.mode {
            Mode::Shutdown(shutdown) => deadline = deadline.min(shutdown.deadline),
            Mode::Top(top) => deadline = deadline.min(top.deadline()),
            Mode::Log(_) => deadline = 0,
            _ => {}
        }
        let has_line = self.mode == Mode::Prompt && !self.typed.is_empty();
        if self.job.is_some() || has_line {
            deadline = 0;
        }
        self.manager.system.wait(&mut entries, deadline);
        self.step(&entries);
    }

    fn step(&mut self, entries: &[WaitEntry]) {
        if self.typed.len() < TYPED_MAX {
            let mut input = [0; INPUT];
            let count = self.manager.system.console_read(&mut input);
            self.typed.extend(input.iter().take(count));
        }
        for event in self.manager.step(entries) {
            self.happened(event);
        }
        self.work();
        self.use_input();
        self.mind_shutdown();
        self.mind_top();
        self.mind_log();
        self.flush();
    }

    fn flush(&mut self) {
        if !self.out.is_empty() {
            self.manager.system.console_write(&self.out);
            self.out.clear();
        }
    }

    /// A line of output.
    fn line(&mut self, line: &str) {
        self.out.extend(line.bytes());
        self.out.extend(b"\r\n");
    }

    fn lines(&mut self, lines: impl IntoIterator<Item = String>) {
        lines.into_iter().for_each(|line| self.line(&line));
    }

    fn error(&mut self, error: &str) {
        self.line(&alloc::format!("error: {}", error.replace(['\r', '\n'], " ")));
    }

    /// The command that kept the prompt back is done.
    fn done(&mut self) {
        self.mode = Mode::Prompt;
        let held = core::mem::take(&mut self.held);
        self.lines(held.lines());
        self.editor.draw(&mut self.out);
    }

    /// Says that a path is no file of the volume.
    fn volume(&mut self) -> Result<&mut V, String> {
        self.manager.volume.as_mut().ok_or_else(|| alloc::format!("{}", VolumeError::NoVolume))
    }

    /// Names the path in an error.
    fn at(path: &DataPath) -> impl Fn(VolumeError) -> String {
        let path = alloc::format!("{path}");
        move |error| path.to_owned() + ": " + &alloc::format!("{error}")
    }
}
