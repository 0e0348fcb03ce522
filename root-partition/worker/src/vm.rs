//! The worker's loop: starts the guest, answers its intercepts, passes its console on.
//!
//! 1. One system call an intercept: the call that resumes a VP waits for the next event.
//! 2. Console output goes out when a message is full, or [`FLUSH_AFTER`] after its first byte.
//! 3. Nothing that the guest does ends the worker but the guest's own end.

mod console;
mod intercept;

use crate::loader::{self, Guest, LoadError, VpState};
use crate::machine::Machine;
use crate::mmio::Emulator;
use crate::ports::Chipset;
use alloc::vec::Vec;
use syscall::worker::{FromWorker, StopReason};
use syscall::{Error, VmEvent};

/// How long output waits for more, in 100 ns.
const FLUSH_AFTER: u64 = 50_000;
/// How long the worker waits before it tries again to send, in 100 ns.
const RETRY_AFTER: u64 = 50_000;
/// How often it tries again before it gives up: the other side has been deaf for ten seconds.
const RETRIES: u32 = 2_000;

/// Why a guest was not started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartError {
    /// Nothing to start.
    Load(LoadError),
    /// The kernel refused.
    Machine(Error),
}

impl core::fmt::Display for StartError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Load(error) => error.fmt(f),
            Self::Machine(error) => write!(f, "the virtual machine cannot be started: {error}"),
        }
    }
}

/// One VM and its chipset.
pub struct Worker<M: Machine> {
    machine: M,
    memory: M::Memory,
    vps: Vec<M::Pages>,
    chipset: Chipset,
    emulator: Emulator,
    /// When pending output is to be sent; `u64::MAX` when there is none.
    flush_at: u64,
    /// Intercepts since output was last looked after.
    intercepts: u32,
    /// How many more lines about odd instructions go to the log.
    complaints: u32,
    /// Why the guest has to stop, found out by the worker itself.
    stop: Option<StopReason>,
}

impl<M: Machine> Worker<M> {
    /// A worker for `machine` with its mapped memory and the pages of each of its VPs.
    pub fn new(machine: M, memory: M::Memory, vps: Vec<M::Pages>) -> Self {
        Self {
            machine,
            memory,
            vps,
            chipset: Chipset::default(),
            emulator: Emulator::default(),
            flush_at: u64::MAX,
            intercepts: 0,
            complaints: 10,
            stop: None,
        }
    }

    /// Somebody wants the guest's console output from the first byte on.
    pub fn attach_console(&mut self) {
        self.chipset.console.attach(true);
    }

    /// Loads the guest, lets it run and tells `vmms` which of both failed, if one did.
    ///
    /// # Errors
    /// Why it does not run.
    pub fn start(
        &mut self,
        cmdline: &str,
        kernel: &<M::Memory as crate::memory::GuestMemory>::File,
        initrd: Option<&<M::Memory as crate::memory::GuestMemory>::File>,
    ) -> Result<(), StartError> {
        let result = self.try_start(cmdline, kernel, initrd);
        let message = match &result {
            Ok(()) => FromWorker::Started,
            Err(error) => FromWorker::Failed(alloc::format!("{error}")),
        };
        self.tell(&message);
        result
    }

    fn try_start(
        &mut self,
        cmdline: &str,
        kernel: &<M::Memory as crate::memory::GuestMemory>::File,
        initrd: Option<&<M::Memory as crate::memory::GuestMemory>::File>,
    ) -> Result<(), StartError> {
        let vps = u32::try_from(self.vps.len()).unwrap_or(u32::MAX);
        let state = loader::load(&mut self.memory, &Guest { vps, cmdline }, kernel, initrd)
            .map_err(StartError::Load)?;
        self.machine.set_registers(0, state.registers()).map_err(StartError::Machine)?;
        let other = VpState::application_processor();
        for vp in 1..vps {
            self.machine.set_registers(vp, other.registers()).map_err(StartError::Machine)?;
        }
        self.machine.start().map_err(StartError::Machine)
    }

    /// Runs the guest to its end and tells `vmms` about it.
    pub fn run(mut self) -> StopReason {
        let mut resume = None;
        let reason = loop {
            match self.machine.run(resume.take(), self.flush_at) {
                Ok(VmEvent::Intercept(vp)) => {
                    self.answer(vp);
                    resume = Some(vp);
                }
                Ok(VmEvent::Channel) => self.listen(),
                Ok(VmEvent::Timeout) => self.flush(),
                Ok(VmEvent::Stopped) => break StopReason::Killed,
                Err(error) => {
                    self.machine.warn(&alloc::format!("the virtual machine cannot go on: {error}"));
                    break StopReason::Killed;
                }
            }
            if let Some(reason) = self.stop.or(self.chipset.stop()) {
                self.machine.stop();
                break reason;
            }
        };
        self.finish(reason);
        reason
    }
}

#[cfg(test)]
mod tests;
