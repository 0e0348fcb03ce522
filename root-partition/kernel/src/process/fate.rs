//! What becomes of a process: all that is left of it for those that hold a Process handle.

use crate::executor::wakers::Wakers;
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Context;
use spin::Mutex;
use syscall::{ProcessState, ProcessStatus};

/// Why a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It said so.
    Exited {
        /// Its exit code.
        code: u32,
    },
    /// It did what it may not.
    Faulted {
        /// The exception.
        vector: u32,
        /// Address of the instruction.
        at: u64,
    },
    /// Somebody ended it.
    Killed,
}

/// A process, as others see it.
#[derive(Debug)]
pub struct Fate {
    name: String,
    killed: AtomicBool,
    /// Guards what became of it and who wants to know: its own task too, until it has ended. A leaf lock.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    status: ProcessStatus,
    wakers: Wakers,
}

impl Fate {
    /// Of a process that runs.
    #[must_use]
    pub fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.into(), killed: AtomicBool::new(false), state: Mutex::default() })
    }

    /// Its name, for the log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What became of it.
    #[must_use]
    pub fn status(&self) -> ProcessStatus {
        self.state.lock().status
    }

    /// Whether it has ended; if not, the task of `context` is woken when it does, or is killed.
    pub fn poll_ended(&self, context: &Context<'_>) -> bool {
        let mut state = self.state.lock();
        if state.status.state == ProcessState::RUNNING {
            state.wakers.add(context);
        }
        state.status.state != ProcessState::RUNNING
    }

    /// Ends it at its next poll, which this brings about.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::SeqCst);
        let wakers = self.state.lock().wakers.take();
        wakers.wake();
    }

    /// Whether it is to end.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// It has ended.
    pub(super) fn seal(&self, end: End) {
        let (state, code, address) = match end {
            End::Exited { code } => (ProcessState::EXITED, code, 0),
            End::Faulted { vector, at } => (ProcessState::FAULTED, vector, at),
            End::Killed => (ProcessState::KILLED, 0, 0),
        };
        let status = ProcessStatus { state, code, address };
        let wakers = {
            let mut state = self.state.lock();
            state.status = status;
            state.wakers.take()
        };
        wakers.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Fate};
    use std::task::{Context, Waker};
    use syscall::ProcessState;

    #[test]
    fn an_end_is_final_and_seen() {
        let fate = Fate::new("worker");
        let context = Context::from_waker(Waker::noop());
        assert!(!fate.poll_ended(&context) && !fate.is_killed());
        fate.kill();
        assert!(fate.is_killed() && !fate.poll_ended(&context));
        fate.seal(End::Faulted { vector: 14, at: 0x40_0000 });
        assert!(fate.poll_ended(&context));
        let status = fate.status();
        assert_eq!((status.state, status.code, status.address), (ProcessState::FAULTED, 14, 0x40_0000));
    }
}
