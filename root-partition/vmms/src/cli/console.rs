//! The console of a guest: what is typed goes to it, what it says is shown, Ctrl-] leaves.

use super::{Cli, Mode};
use crate::name::Name;
use crate::store::Volume;
use crate::system::System;
use crate::vm::State;
use alloc::string::String;
use alloc::vec::Vec;
use syscall::worker::CONSOLE_CHUNK;

/// Ctrl-].
const LEAVE: u8 = 0x1D;

impl<S: System, V: Volume> Cli<S, V> {
    /// Goes to the console of a VM that runs, or is about to.
    pub(super) fn open_console(&mut self, name: &Name) -> Result<(), String> {
        match self.manager.vm(name)?.state() {
            state @ (State::Off | State::Invalid) => Err(alloc::format!("{name} is {state}")),
            State::Starting => {
                self.manager.attach(name, true)?;
                self.mode = Mode::Start(name.clone(), true);
                Ok(())
            }
            State::Running | State::Stopping => {
                self.manager.attach(name, true)?;
                self.enter_console(name);
                Ok(())
            }
        }
    }

    /// Its output is asked for already.
    pub(super) fn enter_console(&mut self, name: &Name) {
        self.line(&alloc::format!("[console of {name}; Ctrl-] leaves it]"));
        self.mode = Mode::Console(name.clone());
    }

    /// Gives the guest what was typed; whether it took anything.
    pub(super) fn type_in(&mut self, name: &Name) -> bool {
        let end = self.typed.iter().position(|&byte| byte == LEAVE);
        let count = end.unwrap_or(self.typed.len()).min(CONSOLE_CHUNK);
        if count != 0 && self.manager.is_deaf(name) {
            // Who wants to leave does not wait for the guest.
            let Some(end) = end else { return false };
            self.typed.drain(..end);
            return true;
        }
        let bytes: Vec<u8> = self.typed.drain(..count).collect();
        if !bytes.is_empty() {
            self.manager.type_in(name, &bytes);
        } else if end.is_some() {
            self.typed.pop_front();
            // It is off when that fails, and needs no telling.
            let _ = self.manager.attach(name, false);
            self.line(&alloc::format!("\r\n[left the console of {name}]"));
            self.done();
        }
        true
    }
}
