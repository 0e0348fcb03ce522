//! What a virtual machine's handle, its VPs' tasks and its bus share.

use super::memory::GuestMemory;
use super::vp::{State, Vp};
use crate::executor::{self, share::Group};
use crate::hypervisor::FlagWords;
use crate::hypervisor::partition::Partition;
use crate::hypervisor::synic::Receiver;
use crate::time;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::task::{Context, Waker};
use hv_abi::HvStatus;
use spin::Mutex;
use syscall::VmEvent;

/// A VM that was not started yet.
const NOT_STARTED: u64 = u64::MAX;

/// The part of a VM that its tasks keep alive. Its partition is deleted before its memory is freed.
pub struct Inner {
    name: String,
    partition: Arc<Partition>,
    memory: GuestMemory,
    vps: Box<[Vp]>,
    /// What it gets of the processors.
    group: Arc<Group>,
    /// Where the flags are that its VPs raise.
    flag_words: Arc<FlagWords>,
    /// When it was started.
    started: AtomicU64,
    /// The VP that the worker ran last.
    inline: AtomicU32,
    /// Guards what the worker waits for. Taken alone.
    events: Mutex<Events>,
}

/// What [`Vm::next_event`](super::Vm::next_event) returns.
#[derive(Default)]
struct Events {
    /// VPs with an intercept, oldest first.
    intercepts: VecDeque<u32>,
    stopped: bool,
    worker: Option<Waker>,
}

impl Inner {
    /// All of it made.
    pub fn new(
        name: String,
        partition: Arc<Partition>,
        memory: GuestMemory,
        vps: Box<[Vp]>,
        group: Arc<Group>,
        flag_words: Arc<FlagWords>,
    ) -> Self {
        let events = Mutex::new(Events::default());
        Self {
            name,
            partition,
            memory,
            vps,
            group,
            flag_words,
            started: AtomicU64::new(NOT_STARTED),
            inline: AtomicU32::new(0),
            events,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its partition.
    pub fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    /// Where the flags are that its VPs raise.
    pub fn flag_words(&self) -> &Arc<FlagWords> {
        &self.flag_words
    }

    /// Its RAM.
    pub fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    /// Its VPs.
    pub fn vps(&self) -> &[Vp] {
        &self.vps
    }

    /// What it gets of the processors.
    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// One of its VPs.
    #[inline]
    pub fn vp(&self, index: u32) -> Option<&Vp> {
        self.vps.get(index as usize)
    }

    /// Lets every VP run (all but the first wait for their start-up interrupt by themselves); `false`: it did before.
    pub fn start(&self) -> bool {
        let now = time::now();
        if self.started.compare_exchange(NOT_STARTED, now, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return false;
        }
        for vp in &self.vps {
            vp.change(State::Stopped, State::Ready);
            vp.wake_task();
        }
        true
    }

    /// How long it has been running, in 100 ns; `None`: it was not started.
    pub fn uptime(&self) -> Option<u64> {
        let started = self.started.load(Ordering::Relaxed);
        (started != NOT_STARTED).then(|| time::now().saturating_sub(started))
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.events.lock().stopped
    }

    /// Stops every VP for good.
    pub fn stop(&self) {
        self.vps.iter().for_each(Vp::kill);
        executor::dismiss();
        let worker = {
            let mut events = self.events.lock();
            events.stopped = true;
            events.worker.take()
        };
        if let Some(worker) = worker {
            worker.wake();
        }
    }

    /// A VP has an intercept: tells the worker.
    pub fn intercepted(&self, index: u32) {
        if let Some(vp) = self.vp(index) {
            vp.change(State::Ready, State::Intercepted);
        }
        let worker = {
            let mut events = self.events.lock();
            events.intercepts.push_back(index);
            events.worker.take()
        };
        if let Some(other) = self.vp(self.inline.load(Ordering::Relaxed)) {
            other.recall();
        }
        if let Some(worker) = worker {
            worker.wake();
        }
    }

    /// The worker is about to run this VP itself.
    #[inline]
    pub fn runs_inline(&self, index: u32) {
        self.inline.store(index, Ordering::Relaxed);
    }

    /// The hypervisor does not run a VP any more.
    pub fn failed(&self, index: u32, status: HvStatus) {
        log::error!("{}: VP {index} cannot be run: {status:?}", self.name);
        self.stop();
    }

    /// Takes the next event; if there is none, has `context` woken when there is.
    pub fn poll_event(&self, context: &Context<'_>) -> Option<VmEvent> {
        let mut events = self.events.lock();
        if events.stopped {
            return Some(VmEvent::Stopped);
        }
        if let Some(index) = events.intercepts.pop_front() {
            return Some(VmEvent::Intercept(index));
        }
        match &mut events.worker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        None
    }

    /// Something was brought to a VP that may have waited for it.
    pub fn unblock(&self, index: u32) {
        if let Some(vp) = self.vp(index) {
            vp.unblock();
        }
    }
}

/// Signals of one VP of the guest to another that is blocked.
impl Receiver for Inner {
    fn message(&self, _payload: &[u8]) {}
    fn signaled(&self, number: u32) {
        self.unblock(number);
    }
}
