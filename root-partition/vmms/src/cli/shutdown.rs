//! The end: every VM off, the data volume clean, then the power.

use super::{Cli, Mode};
use crate::name::Name;
use crate::store::Volume;
use crate::system::System;
use crate::vm::{SECOND, State};
use alloc::vec::Vec;
use syscall::{HostAction, LogLevel};

/// How long the guests have to shut down.
const GRACE: u64 = 60 * SECOND;
/// How long killed workers have to end.
const KILL_TIME: u64 = 10 * SECOND;

/// What is going to happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shutdown {
    action: HostAction,
    /// When patience ends.
    pub deadline: u64,
    /// Whether the VMs are being killed.
    killing: bool,
}

impl<S: System, V: Volume> Cli<S, V> {
    pub(super) fn begin_shutdown(&mut self, action: HostAction) {
        self.manager.closing = true;
        for name in self.not_off() {
            if self.manager.vm(&name).is_ok_and(|vm| vm.state() == State::Stopping) {
                continue;
            }
            match self.manager.stop(&name) {
                Ok(()) => self.line(&alloc::format!("{name} is asked to shut down")),
                Err(_) => {
                    self.line(&alloc::format!("{name} does not listen to shutdown requests and is killed"));
                    self.kill(&name);
                }
            }
        }
        let deadline = self.manager.system.monotonic().saturating_add(GRACE);
        self.mode = Mode::Shutdown(Shutdown { action, deadline, killing: false });
    }

    /// Goes on with it, if it has begun.
    pub(super) fn mind_shutdown(&mut self) {
        let Mode::Shutdown(shutdown) = self.mode else { return };
        if self.manager.all_off() {
            return self.power(shutdown.action);
        }
        let now = self.manager.system.monotonic();
        if now < shutdown.deadline {
            return;
        }
        if shutdown.killing {
            self.line("a VM cannot be stopped; going on without it");
            return self.power(shutdown.action);
        }
        for name in self.not_off() {
            self.line(&alloc::format!("{name} did not shut down in time and is killed"));
            self.kill(&name);
        }
        let deadline = now.saturating_add(KILL_TIME);
        self.mode = Mode::Shutdown(Shutdown { deadline, killing: true, ..shutdown });
    }

    fn power(&mut self, action: HostAction) {
        if let Some(volume) = &mut self.manager.volume
            && let Err(error) = volume.unmount()
        {
            let line = alloc::format!("the data volume is not clean: {error}");
            self.manager.system.log(LogLevel::Error, &line);
            self.error(&line);
        }
        // Nothing may be written after this.
        self.manager.volume = None;
        self.flush();
        let error = self.manager.system.power(action);
        self.error(&alloc::format!("the machine does not switch itself off: {error}"));
        self.done();
    }

    fn not_off(&self) -> Vec<Name> {
        let vms = self.manager.vms().iter();
        let on = vms.filter(|vm| !matches!(vm.state(), State::Off | State::Invalid));
        on.map(|vm| vm.name.clone()).collect()
    }

    fn kill(&mut self, name: &Name) {
        if let Err(error) = self.manager.kill(name) {
            self.error(&error);
        }
    }
}
