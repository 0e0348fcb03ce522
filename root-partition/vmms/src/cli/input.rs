//! What is typed, and who gets it.

use super::names::StoreNames;
use super::{Cli, Mode};
use crate::command::{complete, parse};
use crate::store::Volume;
use crate::system::System;

/// Ctrl-C.
const CANCEL: u8 = 0x03;

impl<S: System, V: Volume> Cli<S, V> {
    /// Gives what was typed to who has the console.
    pub(super) fn use_input(&mut self) {
        while !self.typed.is_empty() {
            match &self.mode {
                Mode::Prompt => {
                    let Some(byte) = self.typed.pop_front() else { return };
                    self.key(byte);
                }
                Mode::Console(name) => {
                    let name = name.clone();
                    if !self.type_in(&name) {
                        return;
                    }
                }
                Mode::Top(top) if !top.is_once() => {
                    let Some(byte) = self.typed.pop_front() else { return };
                    if self.keys.ends_with(byte) {
                        self.done();
                    }
                }
                Mode::Start(..)
                | Mode::Stop(_)
                | Mode::Job
                | Mode::Top(_)
                | Mode::Log(_)
                | Mode::Shutdown(_) => {
                    let Some(at) = self.typed.iter().position(|&byte| byte == CANCEL) else { return };
                    self.typed.drain(..=at);
                    self.cancel();
                }
            }
        }
    }

    fn key(&mut self, byte: u8) {
        let Some(key) = self.keys.decode(byte) else { return };
        let mut names = StoreNames(&mut self.manager);
        let line = self.editor.key(key, &mut self.out, |left| complete(left, &mut names));
        let Some(line) = line else { return };
        match parse(&line) {
            Ok(None) => {}
            Ok(Some(command)) => {
                if let Err(error) = self.execute(command) {
                    self.error(&error);
                }
            }
            Err(error) => self.error(&error),
        }
        if self.mode == Mode::Prompt {
            self.editor.draw(&mut self.out);
        }
    }

    /// Ctrl-C while a command keeps the prompt back.
    fn cancel(&mut self) {
        self.out.extend(b"^C\r\n");
        match core::mem::replace(&mut self.mode, Mode::Prompt) {
            Mode::Start(name, _) => {
                // It is off when that fails, and needs no telling.
                let _ = self.manager.attach(&name, false);
                self.line(&alloc::format!("{name} goes on starting"));
            }
            Mode::Stop(name) => self.line(&alloc::format!("{name} goes on stopping")),
            Mode::Job => self.give_up_job(),
            Mode::Shutdown(_) => {
                self.manager.closing = false;
                self.line("the host stays on; VMs that were asked to stop go on stopping");
            }
            Mode::Prompt | Mode::Console(_) | Mode::Top(_) | Mode::Log(_) => {}
        }
        self.editor.draw(&mut self.out);
    }
}
