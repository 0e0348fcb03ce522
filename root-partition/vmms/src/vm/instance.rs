//! A VM that is not off: its worker, its partition and what is known of both.
//!
//! It is off only when nothing of it is left: its worker has ended, its memory is free, and no disk has a request of it. So
//! whatever starts afterwards finds its memory, and nobody writes to its disks any more.

use crate::path::DataPath;
use crate::system::System;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use syscall::worker::{StopReason, ToWorker};
use syscall::{ProcessState, ProcessStatus};

/// What a VM is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nothing.
    Off,
    /// Its worker loads it.
    Starting,
    /// Its guest runs.
    Running,
    /// Its guest was asked to shut down, or is being killed; or something of it is still left.
    Stopping,
    /// It has no valid definition.
    Invalid,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Off => "off",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Invalid => "invalid",
        })
    }
}

/// What the worker said last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// The guest is off.
    Stopped(StopReason),
    /// The guest could not be started.
    Failed(String),
}

/// What has to happen by some time, or else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// The worker has loaded the guest, or is killed.
    Load(u64),
    /// The guest has shut down, or is left running.
    Shutdown(u64),
    /// The worker has ended, or is killed.
    End(u64),
}

impl Timer {
    /// The monotonic time.
    pub fn deadline(self) -> u64 {
        match self {
            Self::Load(at) | Self::Shutdown(at) | Self::End(at) => at,
        }
    }
}

/// A disk that a VM uses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsedDisk {
    /// Its file.
    pub path: DataPath,
    /// The file's number on the volume, by whatever name it was opened.
    pub number: u64,
    /// Whether it is only read.
    pub read_only: bool,
}

impl UsedDisk {
    /// Whether its use keeps the file with this number from being used, or only read.
    pub fn excludes(&self, number: u64, read_only: bool) -> bool {
        self.number == number && !(self.read_only && read_only)
    }
}

/// A partition, from its start to its end.
pub enum Partition<S: System> {
    /// It is there.
    Here(S::Vm),
    /// Its worker has ended: it goes.
    Goes(S::VmEnd),
    /// It is gone.
    Gone,
}

impl<S: System> Partition<S> {
    /// The partition, unless it goes.
    pub fn here(&self) -> Option<&S::Vm> {
        match self {
            Self::Here(vm) => Some(vm),
            Self::Goes(_) | Self::Gone => None,
        }
    }
}

/// The worker and partition of a VM.
pub struct Instance<S: System> {
    /// The partition.
    pub vm: Partition<S>,
    /// The worker.
    pub process: S::Process,
    /// The worker's other end.
    pub channel: S::Channel,
    /// The worker has closed its end: it is about to end.
    pub hung_up: bool,
    /// When it was started.
    pub started: u64,
    /// Its guest has reset itself, too soon: it starts again then.
    pub rests_until: Option<u64>,
    /// Starting, running or stopping.
    pub state: State,
    /// What has to happen next.
    pub timer: Option<Timer>,
    /// What the worker said last.
    pub end: Option<End>,
    /// Whether `vmms` killed it.
    pub killed: bool,
    /// Its disks.
    pub disks: Vec<UsedDisk>,
    /// Whether somebody wants its console output.
    pub attached: bool,
    /// Messages that the worker's queue had no room for.
    pub unsent: Vec<Vec<u8>>,
}

impl<S: System> Instance<S> {
    /// Sends the worker a message, now or as soon as there is room.
    pub fn tell(&mut self, system: &S, message: &ToWorker) {
        if let Ok(bytes) = postcard::to_allocvec(message) {
            self.unsent.push(bytes);
            self.send(system);
        }
    }

    /// Sends what there is room for.
    pub fn send(&mut self, system: &S) {
        while let Some(first) = self.unsent.first() {
            match system.send(&self.channel, first) {
                Err(syscall::Error::WouldBlock) => return,
                // A worker that is gone needs nothing more.
                Ok(()) | Err(_) => drop(self.unsent.remove(0)),
            }
        }
    }
}

/// Why a worker is gone, when it did not say so itself.
pub fn crash(status: &ProcessStatus) -> String {
    let address = status.address;
    match status.state {
        ProcessState::FAULTED => {
            alloc::format!("its worker crashed (exception {} at {address:#x})", status.code)
        }
        ProcessState::KILLED => "its worker was killed".into(),
        _ => alloc::format!("its worker ended with code {}", status.code),
    }
}
