//! What happened to VMs, and who is told.

use super::{Cli, Mode};
use crate::editor::Editor;
use crate::name::Name;
use crate::store::Volume;
use crate::system::System;
use crate::vm::Event;
use alloc::string::String;
use alloc::vec::Vec;

/// Lines that are held back at most.
const HELD_MAX: usize = 32;

/// What happened while nothing could be told.
#[derive(Default)]
pub struct Held {
    lines: Vec<String>,
    /// How many more there were.
    more: usize,
}

impl Held {
    /// Holds a line back.
    pub fn hold(&mut self, line: &str) {
        if self.lines.len() < HELD_MAX {
            self.lines.push(line.into());
        } else {
            self.more += 1;
        }
    }

    /// All of it.
    pub fn lines(self) -> impl Iterator<Item = String> {
        let more = (self.more != 0).then(|| alloc::format!("and {} more, see `host log`", self.more));
        self.lines.into_iter().chain(more)
    }
}

impl<S: System, V: Volume> Cli<S, V> {
    /// A line that nobody waits for: above the prompt, in brackets between what a guest says, after a table.
    fn notice(&mut self, line: &str) {
        match &self.mode {
            Mode::Prompt => {
                Editor::hide(&mut self.out);
                self.line(line);
                self.editor.draw(&mut self.out);
            }
            Mode::Console(_) => self.out.extend(alloc::format!("\r\n[{line}]\r\n").bytes()),
            Mode::Top(top) if !top.is_once() => self.held.hold(line),
            Mode::Job => {
                self.hide_progress();
                self.line(line);
            }
            _ => self.line(line),
        }
    }

    pub(super) fn happened(&mut self, event: Event) {
        match event {
            Event::Started(name) => self.started(&name),
            Event::Output(name, bytes) => {
                if self.mode == Mode::Console(name) {
                    self.out.extend(bytes);
                }
            }
            Event::Reset(name) => {
                self.notice(&alloc::format!("{name} was reset by its guest and starts again"));
            }
            Event::StillRunning(name) => {
                let line = alloc::format!(
                    "the guest of {name} did not shut down in time and runs on; `vm kill {name}` stops it at once"
                );
                if self.mode == Mode::Stop(name) {
                    self.error(&line);
                    self.done();
                } else {
                    self.notice(&line);
                }
            }
            Event::Off { name, why, failed } => self.off(&name, &why, failed),
        }
    }

    fn started(&mut self, name: &Name) {
        match &self.mode {
            Mode::Start(waiting, console) if waiting == name => {
                let console = *console;
                self.line(&alloc::format!("{name} is running"));
                if console { self.enter_console(name) } else { self.done() }
            }
            Mode::Console(attached) if attached == name => {}
            _ => self.notice(&alloc::format!("{name} is running")),
        }
    }

    fn off(&mut self, name: &Name, why: &str, failed: bool) {
        match &self.mode {
            Mode::Start(waiting, _) if waiting == name => {
                if failed {
                    self.error(why)
                } else {
                    self.line(why)
                }
                self.done();
            }
            Mode::Stop(waiting) if waiting == name => {
                self.line(&alloc::format!("{name} is off"));
                self.done();
            }
            Mode::Console(attached) if attached == name => {
                self.notice(why);
                self.done();
            }
            _ => self.notice(why),
        }
    }
}
