//! What a test and the fake kernel share.

use super::handles::{FakeVm, VmInner};
use crate::store::tests::Disk;
use crate::system::Attachment;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use syscall::worker::{FromWorker, ToWorker};
use syscall::{HostAction, ProcessState, ProcessStatus, VmShare};

/// What a test and the fake share.
#[derive(Default)]
pub struct World {
    pub now: Cell<u64>,
    pub typed: RefCell<VecDeque<u8>>,
    pub shown: RefCell<String>,
    pub log: RefCell<Vec<String>>,
    pub memory_free: Cell<u64>,
    pub power: Cell<Option<HostAction>>,
    /// Workers by the handle of their process.
    pub workers: RefCell<BTreeMap<u32, Worker>>,
    pub disk: RefCell<Option<Disk>>,
    pub(super) next: Cell<u32>,
    /// For how many waits a VM is not gone after its last handle was closed.
    pub lingers: Cell<u32>,
    pub(super) ends: RefCell<BTreeMap<u32, End>>,
    /// How many VM handles there can be before a VM is made.
    pub vms_max: Cell<Option<i32>>,
    /// VM handles that are open.
    pub vms: Cell<i32>,
    /// Files that are open.
    pub files: Cell<i32>,
    pub listens: Cell<bool>,
    /// Processors that idle beside the two.
    pub idlers: Cell<usize>,
    /// What each VM was given of the processors, in the order in which that happened.
    pub shares: RefCell<Vec<VmShare>>,
}

/// A worker process.
#[derive(Default)]
pub struct Worker {
    pub(super) channel: u32,
    /// What it was told.
    pub heard: Vec<ToWorker>,
    pub(super) says: VecDeque<Vec<u8>>,
    pub status: ProcessStatus,
    pub stopped: bool,
    pub asked_to_shut_down: bool,
    pub deaf: bool,
    pub(super) vm: Option<FakeVm>,
    pub attachments: Vec<Attachment>,
}

impl Worker {
    /// Sends what is no message.
    pub fn babbles(&mut self, bytes: &[u8]) {
        self.says.push_back(bytes.to_vec());
    }
}

impl World {
    pub(super) fn handle(&self) -> u32 {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    /// The worker that was started last does something.
    pub fn last<R>(&self, act: impl FnOnce(&mut Worker) -> R) -> R {
        act(self.workers.borrow_mut().last_entry().unwrap().get_mut())
    }

    pub fn says(&self, message: &FromWorker) {
        self.last(|worker| worker.says.push_back(postcard::to_allocvec(message).unwrap()));
    }

    pub fn ends(&self, state: ProcessState, code: u32) {
        self.last(|worker| {
            worker.status = ProcessStatus { state, code, address: 0x40_1234 };
            worker.vm = None;
        });
    }
}

/// A VM that goes.
pub struct End {
    pub(super) waits: u32,
    /// Nothing: it is gone.
    pub(super) left: Option<Rc<VmInner>>,
}
