//! The worker's side of the channel to `vmms`.

use super::{FLUSH_AFTER, RETRIES, RETRY_AFTER, Worker};
use crate::machine::Machine;
use alloc::vec;
use syscall::worker::{CONSOLE_CHUNK, FromWorker, StopReason, ToWorker};
use syscall::{Error, MESSAGE_MAX};

/// Messages taken from the channel before the guest goes on.
const MESSAGES_AT_ONCE: u32 = 32;
/// Intercepts between looks at the clock while output waits.
const INTERCEPTS_BETWEEN: u32 = 256;

impl<M: Machine> Worker<M> {
    /// Takes what `vmms` has sent.
    pub(super) fn listen(&mut self) {
        let mut buffer = vec![0; MESSAGE_MAX];
        for _ in 0..MESSAGES_AT_ONCE {
            let length = match self.machine.receive(&mut buffer) {
                Ok(length) => length,
                Err(Error::WouldBlock) => break,
                Err(_) => {
                    self.stop = Some(StopReason::Killed);
                    break;
                }
            };
            let bytes = buffer.get(..length).unwrap_or(&buffer);
            match postcard::from_bytes(bytes) {
                Ok(message) => self.obey(message),
                Err(_) => self.machine.warn("a message from vmms cannot be understood"),
            }
        }
    }

    fn obey(&mut self, message: ToWorker) {
        match message {
            ToWorker::ConsoleInput(bytes) => {
                self.chipset.console.type_in(&bytes);
                self.chipset.feed(&self.machine);
            }
            ToWorker::ConsoleAttach(attached) => {
                self.chipset.console.attach(attached);
                self.flush();
            }
            ToWorker::Crash => self.machine.crash(),
            ToWorker::Spin => self.machine.spin(),
            ToWorker::Start { .. } => self.machine.warn("vmms wants to start a guest that runs"),
        }
    }

    /// Sends all pending output, or what the queue has room for.
    pub(super) fn flush(&mut self) {
        self.flush_at = u64::MAX;
        while self.chipset.console.pending() != 0 {
            let chunk = self.chipset.console.chunk();
            let count = chunk.len();
            match self.send(&FromWorker::ConsoleOutput(chunk.to_vec())) {
                Ok(()) => self.chipset.console.sent(count),
                Err(Error::WouldBlock) => {
                    self.flush_at = self.machine.monotonic().saturating_add(RETRY_AFTER);
                    return;
                }
                Err(_) => {
                    self.chipset.console.attach(false);
                    return;
                }
            }
        }
    }

    /// Looks after output: called after each intercept with output pending.
    pub(super) fn mind_output(&mut self) {
        if self.flush_at == u64::MAX {
            self.flush_at = self.machine.monotonic().saturating_add(FLUSH_AFTER);
            self.intercepts = 0;
            return;
        }
        self.intercepts = self.intercepts.wrapping_add(1);
        let late =
            self.intercepts.is_multiple_of(INTERCEPTS_BETWEEN) && self.machine.monotonic() >= self.flush_at;
        if late || self.chipset.console.pending() >= CONSOLE_CHUNK && self.intercepts.is_multiple_of(64) {
            self.flush();
        }
        // A full ring holds the guest up, as a slow line would, but not for ever.
        for _ in 0..RETRIES {
            if !self.chipset.console.is_full() {
                return;
            }
            self.flush();
            if self.chipset.console.is_full() {
                self.machine.sleep(self.machine.monotonic().saturating_add(RETRY_AFTER));
            }
        }
    }

    /// Sends the rest of the output and the end.
    pub(super) fn finish(&mut self, reason: StopReason) {
        for _ in 0..RETRIES {
            self.flush();
            if self.chipset.console.pending() == 0 {
                break;
            }
            self.machine.sleep(self.machine.monotonic().saturating_add(RETRY_AFTER));
        }
        self.tell(&FromWorker::Stopped(reason));
    }

    /// Sends `message`, waiting for room.
    pub(super) fn tell(&self, message: &FromWorker) {
        for _ in 0..RETRIES {
            if self.send(message) != Err(Error::WouldBlock) {
                return;
            }
            self.machine.sleep(self.machine.monotonic().saturating_add(RETRY_AFTER));
        }
    }

    fn send(&self, message: &FromWorker) -> Result<(), Error> {
        let bytes = postcard::to_allocvec(message).map_err(|_| Error::OutOfMemory)?;
        self.machine.send(&bytes)
    }
}
