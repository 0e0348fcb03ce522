//! The messages between `vmms` and a worker, over the worker's channel; encoded with postcard.
//!
//! `vmms` makes the VM, attaches nothing itself, and sends [`ToWorker::Start`] with the handles in the order of the
//! fields that count them: the Vm, the kernel file, the initrd file if any. The worker loads, starts the VM and answers
//! [`FromWorker::Started`], or [`FromWorker::Failed`] with one line for the person who asked.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The largest piece of console data in one message, in bytes.
pub const CONSOLE_CHUNK: usize = 4096;

/// From `vmms` to a worker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// Load and start. Handles: Vm, kernel File, then the initrd File if `initrd`.
    Start {
        /// RAM in bytes.
        memory: u64,
        /// Virtual processors.
        vps: u32,
        /// The kernel's command line.
        cmdline: String,
        /// Whether an initrd File follows.
        initrd: bool,
        /// Whether console output is wanted from the first byte on.
        console: bool,
    },
    /// Bytes for the guest's first serial port.
    ConsoleInput(Vec<u8>),
    /// Whether console output is wanted now; what came before is kept in a bounded ring and sent first.
    ConsoleAttach(bool),
    /// Fault on purpose: a test of what a crash takes with it.
    Crash,
    /// Never listen again: a test of what ends a program that makes no call any more.
    Spin,
}

/// From a worker to `vmms`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum FromWorker {
    /// The guest runs.
    Started,
    /// It could not be started; one line that says why. The worker exits next.
    Failed(String),
    /// What the guest wrote to its first serial port.
    ConsoleOutput(Vec<u8>),
    /// The guest is off; the worker exits next.
    Stopped(StopReason),
}

/// Why a guest is off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StopReason {
    /// It powered itself off.
    PowerOff,
    /// It reset itself: `vmms` starts it again.
    Reset,
    /// A virtual processor could not go on (triple fault).
    TripleFault,
    /// A virtual processor was in a state that the processor or the hypervisor cannot go on from.
    InvalidState,
    /// `vmms` stopped it.
    Killed,
}

impl StopReason {
    /// In words, after "is off:".
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::PowerOff => "its guest powered off",
            Self::Reset => "its guest reset itself",
            Self::TripleFault => "its guest ended in a triple fault",
            Self::InvalidState => "its guest was in a state that no processor goes on from",
            Self::Killed => "it was stopped",
        }
    }

    /// Whether nobody wanted it.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::TripleFault | Self::InvalidState)
    }
}
